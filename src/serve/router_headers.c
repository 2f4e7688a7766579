#include "serve/router_headers.h"

#include <stddef.h>

#include "base/mem.h"
#include "net/http_field.h"
#include "net/http_server.h"
#include "serve/router_pages.h"

enum { HEADER_LIST_MAX = 1024 }; // bytes of the names of headers that a page wants to send

static const struct {
    struct span name;
    size_t offset;
} known[] = {
    {{"x-hermes-slot", 13}, offsetof(struct router_headers, slot)},
    {{"x-hermes-session", 16}, offsetof(struct router_headers, session)},
    {{"x-hermes-job", 12}, offsetof(struct router_headers, job)},
    {{"x-hermes-priority", 17}, offsetof(struct router_headers, priority)},
    {{"x-litellm-call-id", 17}, offsetof(struct router_headers, call_id)},
    {{"Content-Encoding", 16}, offsetof(struct router_headers, coding)},
    {{"Origin", 6}, offsetof(struct router_headers, origin)},
};

// The first of each name counts.
static void take(void *context, struct span name, struct span value)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct span *to = (struct span *)((char *)context + known[i].offset);
        if (name.len == known[i].name.len && http_same_name(name, known[i].name) && !to->data)
            *to = value;
    }
}

void router_headers_read(const struct http_exchange *exchange, struct router_headers *ret_headers)
{
    *ret_headers = (struct router_headers){0};
    http_exchange_each_header(exchange, take, ret_headers);
}

static void allow(struct http_exchange *exchange)
{
    char list[HEADER_LIST_MAX + 1];
    struct span wanted = http_exchange_header(exchange, "Access-Control-Request-Headers");
    if (wanted.len && wanted.len <= HEADER_LIST_MAX) {
        memcpy(list, wanted.data, wanted.len);
        list[wanted.len] = '\0';
        http_exchange_add_header(exchange, "Access-Control-Allow-Headers", list);
    }
    http_exchange_add_header(exchange, "Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
    http_exchange_add_header(exchange, "Access-Control-Max-Age", "600");
    http_exchange_reply(exchange, 200, "text/plain; charset=utf-8", SPAN_LITERAL("OK"));
}

bool router_headers_welcome(struct http_exchange *exchange, const struct router_headers *headers)
{
    if (!headers->origin.len)
        return false;
    http_exchange_add_header(exchange, "Access-Control-Allow-Origin", "*");
    if (span_is(http_exchange_method(exchange), "OPTIONS") &&
        http_exchange_header(exchange, "Access-Control-Request-Method").len) {
        allow(exchange);
        return true;
    }
    http_exchange_add_header(exchange, "Access-Control-Expose-Headers", "*");
    return false;
}

bool router_headers_are_packed(const struct router_headers *headers)
{
    return headers->coding.len && !http_same(headers->coding, "identity");
}
