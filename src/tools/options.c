#include "tools/options.h"

#include "base/mem.h"
#include "net/address_guard.h"

#define FIELD(name) offsetof(struct tools_config, name)

const struct option tools_options[] = {
    {.key = "tools.web.allow",
     .type = OPTION_LIST,
     .offset = FIELD(web_allow),
     .help = "hosts and networks that web_fetch may ask although they are not public"},
    {.key = "tools.web.trust_proxy",
     .type = OPTION_BOOL,
     .offset = FIELD(web_proxied),
     .fallback = "false",
     .help = "web_fetch may use the proxy of the environment, which keeps it from private hosts"},
};

const size_t tools_option_count = ARRAY_LEN(tools_options);

int tools_config_check(const struct tools_config *config, struct error *err)
{
    struct address_guard *guard = NULL;
    int r =
        address_guard_create(config->web_allow.items, config->web_allow.count, false, &guard, err);
    address_guard_destroy(guard);
    return r < 0 ? error_wrap(err, "tools.web.allow") : 0;
}
