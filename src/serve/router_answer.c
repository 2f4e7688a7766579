#include "serve/router_answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "net/http_server.h"
#include "router/money.h"
#include "router/router.h"

enum {
    NUMBER_SIZE = 32,
    NAME_MAX_BYTES = 96,   // of an upstream's header
    VALUE_MAX_BYTES = 512, //
};

static void add_text(struct http_exchange *exchange, const char *name, const char *value)
{
    if (value && *value)
        http_exchange_add_header(exchange, name, value);
}

static void add_number(struct http_exchange *exchange, const char *name, int64_t value)
{
    char text[NUMBER_SIZE];
    if (value < 0)
        return;
    snprintf(text, sizeof text, "%" PRId64, value);
    http_exchange_add_header(exchange, name, text);
}

// Those that are of one connection, that the server writes itself, or that a browser would obey.
static bool is_passed(struct span name)
{
    static const char *const kept_back[] = {
        "connection", "keep-alive", "transfer-encoding", "content-length",
        "set-cookie", "trailer",    "upgrade",           "content-encoding"};
    for (size_t i = 0; i < ARRAY_LEN(kept_back); i++)
        if (name.len == strlen(kept_back[i]) && strncasecmp(name.data, kept_back[i], name.len) == 0)
            return false;
    return name.len > 0;
}

static void add_upstream(struct http_exchange *exchange, struct span lines)
{
    char name[NAME_MAX_BYTES + 16], value[VALUE_MAX_BYTES + 1];
    while (lines.len) {
        struct span line = span_trim(span_cut(&lines, '\n'));
        struct span key = span_cut(&line, ':');
        line = span_trim(line);
        if (!is_passed(key) || key.len > NAME_MAX_BYTES || line.len > VALUE_MAX_BYTES)
            continue;
        int len = snprintf(name, sizeof name, "llm_provider-%.*s", (int)key.len, key.data);
        for (int i = 0; i < len; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                name[i] += 'a' - 'A';
        memcpy(value, line.data, line.len);
        value[line.len] = '\0';
        http_exchange_add_header(exchange, name, value);
    }
}

void router_answer_headers(struct http_exchange *exchange, const struct router_answer *answer,
                           const char *version, int64_t now_ms)
{
    char money[MONEY_TEXT_SIZE];
    const struct router_deployment *d = answer->deployment;
    int64_t taken_ms = now_ms - answer->asked_ms;
    add_text(exchange, "x-litellm-call-id", answer->id);
    add_text(exchange, "x-litellm-model-id", d->id);
    add_text(exchange, "x-litellm-model-group", answer->group);
    add_text(exchange, "x-litellm-model-api-base", d->base_url);
    add_text(exchange, "x-litellm-version", version);
    if (answer->cost_pico >= 0)
        add_text(exchange, "x-litellm-response-cost", money_decimal(answer->cost_pico, money));
    add_number(exchange, "x-litellm-response-duration-ms", taken_ms);
    add_number(exchange, "x-litellm-overhead-duration-ms",
               taken_ms > answer->upstream_ms ? taken_ms - answer->upstream_ms : 0);
    add_number(exchange, "x-litellm-attempted-retries", answer->retries);
    add_number(exchange, "x-litellm-max-retries", answer->retries_max);
    add_number(exchange, "x-litellm-attempted-fallbacks", answer->fallbacks);
    add_number(exchange, "x-hermes-max-tokens", answer->capped_tokens);
    add_upstream(exchange, answer->head_lines);
}
