#include <string.h>
#include <strings.h>

#include "config/variables.h"
#include "mcp/remote.h"

/*
 * What an entry gives its server so that it lets us in, which the server may show in a result. Not
 * all that is in a header or a variable is a secret: one that says a language would take it out of
 * every text.
 */
enum {
    NAME_SIZE = 128,
    UNNAMED_MIN = 16, // bytes of a value whose name does not say that it is one
};

struct secrets {
    const char **values;
    size_t count, max;
};

static void add(struct secrets *secrets, const char *value)
{
    if (value && secrets->count < secrets->max)
        secrets->values[secrets->count++] = value;
}

// "NAME=value", "Name: value". `hidden`: it came from where nothing else is kept.
static void add_named(struct secrets *secrets, const char *text, char between, bool hidden)
{
    char name[NAME_SIZE] = "";
    const char *end = strchr(text, between), *value = end ? end + 1 : text;
    size_t len = (size_t)(value - text);
    memcpy(name, text, len && len <= sizeof name ? len - 1 : 0);
    value += strspn(value, " ");
    bool authorizes = strcasecmp(name, "Authorization") == 0;
    const char *blank = authorizes ? strchr(value, ' ') : NULL; // behind "Bearer"
    if (authorizes || variables_looks_secret(name) || (hidden && strlen(value) >= UNNAMED_MIN))
        add(secrets, blank ? blank + 1 : value);
}

size_t mcp_remote_secrets(const struct mcp_remote *remote, const char **ret_values, size_t max)
{
    struct secrets secrets = {.values = ret_values, .max = max};
    const struct header_source *headers = &remote->headers;
    const struct mcp_texts *environment = &remote->config.environment;
    const struct mcp_texts *written = &remote->config.headers;
    for (size_t i = 0; i < environment->count; i++)
        add_named(&secrets, environment->texts[i], '=', false);
    for (size_t i = 0; i < written->count; i++)
        add_named(&secrets, written->texts[i], ':', false);
    for (size_t i = 0; i < headers->owned_count; i++)
        add_named(&secrets, headers->owned[i], ':', true);
    add(&secrets, remote->config.client_secret);
    add(&secrets, remote->grant.access_token);
    add(&secrets, remote->grant.refresh_token);
    add(&secrets, remote->grant.client_secret);
    return secrets.count;
}
