#include "serve/key.h"

#include <strings.h>

#include "base/mem.h"
#include "net/http_server.h"

// Takes the same time wherever the two differ.
static bool is_same(struct span given, struct span key)
{
    unsigned differs = given.len != key.len;
    for (size_t i = 0; i < given.len; i++)
        differs |= (unsigned char)given.data[i] ^ (unsigned char)key.data[i % key.len];
    return !differs;
}

static struct span of_bearer(struct span given)
{
    static const char scheme[] = "Bearer ";
    if (given.len < sizeof scheme - 1 || strncasecmp(given.data, scheme, sizeof scheme - 1) != 0)
        return SPAN_ABSENT;
    return span_trim(span_skip(given, sizeof scheme - 1));
}

bool key_shown(const struct http_exchange *exchange, const char *own_header, struct span key)
{
    const char *const names[] = {own_header, "x-litellm-api-key", "api-key", "x-api-key"};
    if (!key.len)
        return false;
    bool shown = is_same(of_bearer(http_exchange_header(exchange, "Authorization")), key);
    for (size_t i = 0; !shown && i < ARRAY_LEN(names); i++) {
        struct span given = names[i] ? http_exchange_header(exchange, names[i]) : SPAN_ABSENT;
        struct span bearer = of_bearer(given);
        shown = is_same(bearer.len ? bearer : given, key);
    }
    return shown;
}
