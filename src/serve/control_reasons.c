#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "codec/money.h"
#include "router/price_fetch.h"
#include "router/router.h"
#include "serve/control_internal.h"
#include "store/ledger_read.h"

/*
 * The reasons are what can be read off the rows: how often it was tried, how long the prompt was
 * and what it was made of, how much of it the provider's cache knew and why not more, and how that
 * compares with the other calls of the same model. A price is told as it is configured, else
 * as the provider publishes it, and none is guessed.
 */

enum {
    SENTENCE_MAX = 1024,       // bytes
    CACHE_WORTH_TOKENS = 1024, // below it providers cache nothing
    DEAR_TENTHS = 20,          // of the usual, from which on it is worth a sentence
    MINUTE_MS = 60 * 1000,
    MILLION = 1000000,
};

__attribute__((format(printf, 2, 3))) static void say(struct node reasons, const char *fmt, ...)
{
    char text[SENTENCE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    node_add_text(reasons, NULL, text);
}

int64_t control_call_cost(const struct store_call *call)
{
    int64_t cost_pico = 0;
    for (size_t i = 0; i < call->count; i++)
        if (call->attempts[i].cost_pico > 0)
            cost_pico = money_add(cost_pico, call->attempts[i].cost_pico);
    return cost_pico;
}

static const struct store_attempt *last_of(const struct store_call *call)
{
    return &call->attempts[call->count - 1];
}

static void say_certainty(const struct store_call *call, struct node reasons)
{
    bool is_unknown = false, is_bound = false;
    for (size_t i = 0; i < call->count; i++) {
        is_unknown = is_unknown || call->attempts[i].source == STORE_COST_UNKNOWN;
        is_bound = is_bound || call->attempts[i].source == STORE_COST_BOUND;
    }
    if (is_unknown)
        say(reasons, "its cost is unknown (it ended without the provider's figures), so the amount "
                     "reserved for it is counted");
    else if (is_bound)
        say(reasons, "the provider did not report any usage, so the most that it can have cost is "
                     "counted");
}

static void say_attempts(const struct store_call *call, struct node reasons)
{
    BUF_AUTO text = BUF_INIT(SENTENCE_MAX);
    char money[MONEY_TEXT_SIZE];
    int64_t wasted_pico = 0;
    if (call->count < 2)
        return;
    for (size_t i = 0; i + 1 < call->count; i++)
        if (call->attempts[i].cost_pico > 0)
            wasted_pico = money_add(wasted_pico, call->attempts[i].cost_pico);
    buf_printf(&text, "it took %zu attempts; those before the last cost %s (", call->count,
               money_format(wasted_pico, money));
    for (size_t i = 0; i + 1 < call->count; i++) {
        struct span error = call->attempts[i].error;
        buf_printf(&text, "%s%.*s", i ? ", " : "", error.len ? (int)error.len : 7,
                   error.len ? error.data : "no word");
    }
    buf_append_text(&text, ")");
    if (!buf_is_full(&text))
        node_add_string(reasons, NULL, buf_span(&text));
}

// As they are now; what a provider charged is its own figure.
static void say_price(const struct store_attempt *a, struct router *router, struct node reasons)
{
    char input[MONEY_TEXT_SIZE], output[MONEY_TEXT_SIZE];
    struct router_match match;
    bool is_listed;
    if (!router || !router_plan_find_id(router_plan(router), a->deployment, &match))
        return;
    const struct router_deployment *d = &router_plan(router)->deployments[match.deployment];
    struct span asked = strchr(d->model, '*') ? a->model : span_of(d->model);
    struct router_price price = router_price_of(router, d, asked, &is_listed);
    if (price.input_pico < 0 || price.output_pico < 0)
        return;
    say(reasons,
        "the %s price of %.*s is %s per million prompt tokens and %s per million completion tokens",
        is_listed ? "published" : "configured", (int)a->model.len, a->model.data,
        money_format(money_mul(price.input_pico, MILLION), input),
        money_format(money_mul(price.output_pico, MILLION), output));
}

static int64_t percent(int64_t part, int64_t whole)
{
    return whole > 0 ? (int64_t)(100.0 * (double)part / (double)whole + 0.5) : 0;
}

static void say_tokens(const struct store_attempt *a, struct node reasons)
{
    BUF_AUTO text = BUF_INIT(SENTENCE_MAX);
    if (a->prompt_tokens < 0)
        return;
    buf_printf(&text, "%" PRId64 " prompt tokens", a->prompt_tokens);
    if (a->cached_tokens >= 0)
        buf_printf(&text, ", %" PRId64 " %% of them from the provider's cache",
                   percent(a->cached_tokens, a->prompt_tokens));
    if (a->cache_write_tokens > 0)
        buf_printf(&text, " and %" PRId64 " written to it at a higher price",
                   a->cache_write_tokens);
    if (a->completion_tokens >= 0)
        buf_printf(&text, "; %" PRId64 " completion tokens", a->completion_tokens);
    if (a->reasoning_tokens > 0)
        buf_printf(&text, ", %" PRId64 " %% of them reasoning",
                   percent(a->reasoning_tokens, a->completion_tokens));
    node_add_string(reasons, NULL, buf_span(&text));
}

// "3.4 times as many": only when it is much more.
static void say_ratio(struct node reasons, const char *what, int64_t value, int64_t usual)
{
    double tenths = usual > 0 ? 10.0 * (double)value / (double)usual : 0;
    if (tenths >= DEAR_TENTHS)
        say(reasons, "%s %.1f times what is usual for this model (%" PRId64 ")", what,
            tenths / 10.0, usual);
}

static void say_usual(const struct store_call *call, struct node reasons)
{
    const struct store_cost_sum *usual = &call->usual;
    const struct store_attempt *a = last_of(call);
    int64_t others = usual->attempts - (int64_t)call->count;
    if (others <= 0)
        return;
    say_ratio(reasons, "the number of prompt tokens is", a->prompt_tokens,
              (usual->prompt_tokens - a->prompt_tokens) / others);
    say_ratio(reasons, "the number of completion tokens is", a->completion_tokens,
              (usual->completion_tokens - a->completion_tokens) / others);
}

static void say_parts(const struct store_attempt *a, struct node reasons)
{
    int64_t all = a->tools_bytes + a->messages_bytes;
    if (a->tools_bytes < 0 || a->messages_bytes < 0 || all == 0)
        return;
    say(reasons,
        "of the prompt's %" PRId64 " bytes, %" PRId64 " %% are the messages, %" PRId64
        " %% the tools",
        all, percent(a->messages_bytes, all), percent(a->tools_bytes, all));
}

static void say_cache(const struct store_call *call, struct node reasons)
{
    const struct store_attempt *a = last_of(call), *before = call->before;
    bool is_cold = a->prompt_tokens >= CACHE_WORTH_TOKENS && a->cached_tokens >= 0 &&
                   a->cached_tokens < a->prompt_tokens / 2;
    if (!is_cold || !before)
        return;
    int64_t minutes = (a->wall_ms - before->wall_ms) / MINUTE_MS;
    if (a->tools_bytes >= 0 && before->tools_bytes >= 0 && a->tools_bytes != before->tools_bytes)
        say(reasons, "the tools changed since the session's previous call, and they precede the "
                     "prompt, so no cache could apply");
    else if (a->messages_bytes >= 0 && a->messages_bytes < before->messages_bytes)
        say(reasons, "there are fewer messages than in the session's previous call, so a cached "
                     "beginning may not match this one's");
    else if (!span_equal(a->deployment, before->deployment) || !span_equal(a->model, before->model))
        say(reasons,
            "the session's previous call went to another deployment (%.*s), which has another "
            "cache",
            (int)before->deployment.len, before->deployment.data);
    else if (minutes >= 5)
        say(reasons,
            "the session's previous call was %" PRId64 " minutes earlier, and providers' caches "
            "last about five",
            minutes);
}

void control_write_reasons(const struct store_call *call, struct router *router,
                           struct node reasons)
{
    const struct store_attempt *last = last_of(call);
    say_certainty(call, reasons);
    say_attempts(call, reasons);
    if (span_is(last->reason, "fallback"))
        say(reasons, "%.*s was asked for and could not answer, so %.*s was asked instead",
            (int)last->from.len, last->from.data, (int)last->group.len, last->group.data);
    say_tokens(last, reasons);
    say_price(last, router, reasons);
    say_usual(call, reasons);
    say_parts(last, reasons);
    say_cache(call, reasons);
}
