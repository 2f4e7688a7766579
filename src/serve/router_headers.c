#include "serve/router_headers.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/decimal.h"
#include "base/mem.h"
#include "codec/money.h"
#include "net/http_field.h"
#include "net/http_server.h"
#include "router/router.h"

enum {
    HEADER_LIST_MAX = 1024, // bytes of the names of headers that a page wants to send
    NAME_MAX_BYTES = 96,    // of an upstream's header
    VALUE_MAX_BYTES = 512,  //
};

// --- of the request ------------------------------------------------------------------------------

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

// --- of the answer -------------------------------------------------------------------------------

static void add_text(struct http_exchange *exchange, struct span name, const char *value)
{
    if (value && *value)
        http_exchange_add_own(exchange, name, span_of(value));
}

static void add_number(struct http_exchange *exchange, struct span name, int64_t value)
{
    char room[DECIMAL_SIZE];
    if (value >= 0)
        http_exchange_add_own(exchange, name, span_of(decimal_of_int(value, room)));
}

// Those that are of one connection, that the server writes itself, or that a browser would obey.
static bool is_passed(struct span name)
{
    static const struct span kept_back[] = {
        SPAN_LITERAL("connection"),        SPAN_LITERAL("keep-alive"),
        SPAN_LITERAL("transfer-encoding"), SPAN_LITERAL("content-length"),
        SPAN_LITERAL("set-cookie"),        SPAN_LITERAL("trailer"),
        SPAN_LITERAL("upgrade"),           SPAN_LITERAL("content-encoding")};
    for (size_t i = 0; i < ARRAY_LEN(kept_back); i++)
        if (name.len == kept_back[i].len &&
            strncasecmp(name.data, kept_back[i].data, name.len) == 0)
            return false;
    return name.len > 0;
}

// As LiteLLM names them: "llm_provider-" and the name in small letters.
static void add_upstream(struct http_exchange *exchange, struct span lines)
{
    static const struct span prefix = SPAN_LITERAL("llm_provider-");
    char name[sizeof "llm_provider-" + NAME_MAX_BYTES];
    memcpy(name, prefix.data, prefix.len);
    while (lines.len) {
        struct span line = span_trim(span_cut(&lines, '\n'));
        struct span key = span_cut(&line, ':');
        line = span_trim(line);
        if (!is_passed(key) || key.len > NAME_MAX_BYTES || line.len > VALUE_MAX_BYTES)
            continue;
        for (size_t i = 0; i < key.len; i++) {
            char c = key.data[i];
            name[prefix.len + i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        http_exchange_add_own(exchange, span_make(name, prefix.len + key.len), line);
    }
}

// A wildcard's is told with what stood for the star.
static void add_model_name(struct http_exchange *exchange, const struct router_answer *answer)
{
    char name[VALUE_MAX_BYTES];
    const struct router_deployment *d = answer->deployment;
    if (!strchr(d->litellm_name, '*')) {
        add_text(exchange, SPAN_LITERAL("x-litellm-model-name"), d->litellm_name);
        return;
    }
    snprintf(name, sizeof name, "%s/%.*s", d->provider, (int)answer->model.len, answer->model.data);
    http_exchange_add_header(exchange, "x-litellm-model-name", name);
}

void router_answer_headers(struct http_exchange *exchange, const struct router_answer *answer,
                           int64_t now_ms)
{
    char money[MONEY_TEXT_SIZE];
    const struct router_deployment *d = answer->deployment;
    int64_t taken_ms = now_ms - answer->asked_ms;
    add_text(exchange, SPAN_LITERAL("x-litellm-call-id"), answer->id);
    add_text(exchange, SPAN_LITERAL("x-litellm-model-id"), d->id);
    add_text(exchange, SPAN_LITERAL("x-litellm-model-group"), answer->group);
    add_model_name(exchange, answer);
    add_text(exchange, SPAN_LITERAL("x-litellm-model-api-base"), d->base_url);
    add_text(exchange, SPAN_LITERAL("x-litellm-version"), HERMES_VERSION);
    if (answer->cost_pico >= 0)
        add_text(exchange, SPAN_LITERAL("x-litellm-response-cost"),
                 money_decimal(answer->cost_pico, money));
    add_number(exchange, SPAN_LITERAL("x-litellm-response-duration-ms"), taken_ms);
    add_number(exchange, SPAN_LITERAL("x-litellm-overhead-duration-ms"),
               taken_ms > answer->upstream_ms ? taken_ms - answer->upstream_ms : 0);
    add_number(exchange, SPAN_LITERAL("x-litellm-attempted-retries"), answer->retries);
    if (answer->retries > 0)
        add_number(exchange, SPAN_LITERAL("x-litellm-max-retries"), answer->retries_max);
    add_number(exchange, SPAN_LITERAL("x-litellm-attempted-fallbacks"), answer->fallbacks);
    add_number(exchange, SPAN_LITERAL("x-hermes-max-tokens"), answer->capped_tokens);
    add_upstream(exchange, answer->head_lines);
}
