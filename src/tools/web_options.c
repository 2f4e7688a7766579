#include "tools/web_options.h"

#include "base/mem.h"
#include "net/address_guard.h"
#include "tools/web_endpoint.h"

#define FIELD(name) offsetof(struct web_config, name)

const struct option web_options[] = {
    {.key = "tools.web.allow",
     .type = OPTION_LIST,
     .offset = FIELD(allow),
     .help = "hosts and networks that web_fetch may ask although they are not public"},
    {.key = "tools.web.trust_proxy",
     .type = OPTION_BOOL,
     .offset = FIELD(proxied),
     .fallback = "false",
     .help = "web_fetch may use the proxy of the environment, which keeps it from private hosts"},
    {.key = "tools.web.search.provider",
     .type = OPTION_STRING,
     .offset = FIELD(search_provider),
     .choices = "searxng,tavily,brave,exa",
     .help = "the service that web_search asks; without one there is no such tool"},
    {.key = "tools.web.search.base_url",
     .type = OPTION_STRING,
     .offset = FIELD(search_url),
     .help = "its address: of your SearXNG, or of a proxy before one of the others"},
    {.key = "tools.web.search.api_key",
     .type = OPTION_STRING,
     .offset = FIELD(search_key),
     .flags = OPTION_SECRET,
     .help = "its key; SearXNG needs none"},
    {.key = "tools.http.endpoints",
     .type = OPTION_TREE,
     .offset = FIELD(endpoints),
     .choices = web_endpoint_places,
     .flags = OPTION_STRICT | OPTION_OWN,
     .help = "servers that http_request may ask: name, url, methods, headers, help"},
};

const size_t web_option_count = ARRAY_LEN(web_options);

int web_config_check(const struct web_config *config, struct error *err)
{
    struct address_guard *guard = NULL;
    int r = address_guard_create(config->allow.items, config->allow.count, false, &guard, err);
    address_guard_destroy(guard);
    if (r < 0)
        return error_wrap(err, "tools.web.allow");
    r = web_search_check(config, err);
    if (r < 0)
        return r;
    r = web_endpoints_check(&config->endpoints, err);
    return r < 0 ? error_wrap(err, "tools.http.endpoints") : 0;
}
