#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "codec/document.h"
#include "codec/money.h"
#include "router/router.h"
#include "serve/control_internal.h"
#include "store/ledger_read.h"

enum {
    DAYS = 30,
    DAYS_MAX = 3660,
    DAY_S = 24 * 60 * 60,
    DATE_SIZE = sizeof "2026-11-21",
    APPLIES_MAX = 64, // steps for one question; more is a load that it need not catch up with
};

static const char *const by_words[STORE_COST_BYS] = {
    [STORE_BY_MODEL] = "model", [STORE_BY_SLOT] = "slot",       [STORE_BY_KEY] = "key",
    [STORE_BY_DAY] = "day",     [STORE_BY_SESSION] = "session", [STORE_BY_JOB] = "job",
};

static const char *const source_words[STORE_COST_SOURCES] = {
    [STORE_COST_NONE] = "none",   [STORE_COST_PROVIDER] = "provider", [STORE_COST_PRICE] = "price",
    [STORE_COST_BOUND] = "bound", [STORE_COST_UNKNOWN] = "unknown",
};

struct cost_question {
    struct control_question question; // first: it is freed as one
    struct store_costs_question asked;
    int64_t days;
    char call[LEDGER_TEXT_MAX + 1]; // the beginning of an id; "": the question is for sums
    int applies;
};

static const char *date_of(int64_t day, char *text)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format_utc(day * DAY_S * 1000, when);
    snprintf(text, DATE_SIZE, "%.*s", DATE_SIZE - 1, when);
    return text;
}

static void write_sum(struct node object, const struct store_cost_sum *sum)
{
    node_add_int(object, "calls", sum->calls);
    node_add_int(object, "attempts", sum->attempts);
    node_add_int(object, "failed", sum->failed);
    node_add_int(object, "cancelled", sum->cancelled);
    node_add_int(object, "unsure", sum->unsure);
    node_add_int(object, "prompt_tokens", sum->prompt_tokens);
    node_add_int(object, "cached_tokens", sum->cached_tokens);
    node_add_int(object, "completion_tokens", sum->completion_tokens);
    node_add_fixed(object, "cost_usd", sum->cost_pico, MONEY_DIGITS);
}

static void write_total(struct node parent, const char *key, const struct store_cost_sum *sum)
{
    write_sum(node_add_object(parent, key), sum);
}

static void write_number(struct node object, const char *key, int64_t value)
{
    if (value < 0)
        node_add_null(object, key);
    else
        node_add_int(object, key, value);
}

static void write_attempt(struct node attempt, const struct zone *zone,
                          const struct store_attempt *a)
{
    char when[CLOCK_TEXT_SIZE];
    node_add_string(attempt, "call", a->call);
    node_add_int(attempt, "attempt", a->attempt);
    node_add_int(attempt, "started_ms", a->wall_ms);
    node_add_text(attempt, "started", control_local_time(zone, a->wall_ms, when));
    write_number(attempt, "duration_ms", a->duration_ms);
    write_number(attempt, "first_byte_ms", a->first_byte_ms);
    node_add_string(attempt, "operation", a->operation);
    node_add_string(attempt, "slot", a->slot);
    node_add_string(attempt, "session", a->session);
    node_add_string(attempt, "job", a->job);
    node_add_string(attempt, "key", a->key);
    node_add_string(attempt, "user", a->user);
    node_add_string(attempt, "asked", a->group);
    node_add_string(attempt, "deployment", a->deployment);
    node_add_string(attempt, "provider", a->provider);
    node_add_string(attempt, "model", a->model);
    node_add_bool(attempt, "streamed", a->streamed);
    node_add_bool(attempt, "cancelled", a->cancelled);
    write_number(attempt, "status", a->status);
    node_add_string(attempt, "error", a->error);
    node_add_string(attempt, "reason", a->reason);
    node_add_string(attempt, "instead_of", a->from);
    node_add_string(attempt, "reply_id", a->reply_id);
    write_number(attempt, "prompt_tokens", a->prompt_tokens);
    write_number(attempt, "cached_tokens", a->cached_tokens);
    write_number(attempt, "cache_write_tokens", a->cache_write_tokens);
    write_number(attempt, "completion_tokens", a->completion_tokens);
    write_number(attempt, "reasoning_tokens", a->reasoning_tokens);
    write_number(attempt, "bytes_in", a->bytes_in);
    write_number(attempt, "bytes_out", a->bytes_out);
    write_number(attempt, "tools_bytes", a->tools_bytes);
    write_number(attempt, "messages_bytes", a->messages_bytes);
    if (a->cost_pico < 0)
        node_add_null(attempt, "cost_usd");
    else
        node_add_fixed(attempt, "cost_usd", a->cost_pico, MONEY_DIGITS);
    node_add_text(attempt, "cost_source", source_words[a->source]);
}

static void write_costs(const struct cost_question *own, const struct store_costs *costs,
                        struct buf *out)
{
    const struct control_env *env = own->question.env;
    const char *zone_name;
    struct zone zone = control_zone(env, &zone_name);
    char date[DATE_SIZE];
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node answer = document_object(&doc);
    node_add_text(answer, "zone", zone_name);
    node_add_text(answer, "date", date_of(own->asked.today, date));
    node_add_text(answer, "by", by_words[own->asked.by]);
    node_add_int(answer, "days", own->days);
    write_total(answer, "today", &costs->today);
    write_total(answer, "month", &costs->month);
    write_total(answer, "all", &costs->all);
    struct node sums = node_add_array(answer, "sums");
    for (size_t i = 0; i < costs->sum_count; i++) {
        struct node sum = node_add_object(sums, NULL);
        struct span name = costs->sums[i].name;
        int64_t day;
        if (own->asked.by == STORE_BY_DAY && span_to_i64(name, &day))
            name = span_of(date_of(day, date));
        node_add_string(sum, "name", name);
        write_sum(sum, &costs->sums[i]);
    }
    node_add_bool(answer, "is_cut", costs->is_cut);
    control_write_budgets(answer, env);
    struct node costliest = node_add_array(answer, "dearest");
    for (size_t i = 0; i < costs->costliest_count; i++)
        write_attempt(node_add_object(costliest, NULL), &zone, &costs->costliest[i]);
    control_print(&doc, out);
}

static void on_costs(void *context, int result, const struct error *err,
                     const struct store_costs *costs)
{
    struct cost_question *own = context;
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    if (result == 0)
        write_costs(own, costs, &body);
    control_finish(&own->question, result, &body, err);
}

static void write_call(const struct control_env *env, const struct store_call *call,
                       struct buf *out)
{
    const char *zone_name;
    struct zone zone = control_zone(env, &zone_name);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node answer = document_object(&doc);
    node_add_string(answer, "call", call->attempts[0].call);
    node_add_text(answer, "zone", zone_name);
    node_add_fixed(answer, "cost_usd", control_call_cost(call), MONEY_DIGITS);
    control_write_reasons(call, env->router, node_add_array(answer, "reasons"));
    struct node attempts = node_add_array(answer, "attempts");
    for (size_t i = 0; i < call->count; i++)
        write_attempt(node_add_object(attempts, NULL), &zone, &call->attempts[i]);
    if (call->before)
        write_attempt(node_add_object(answer, "before"), &zone, call->before);
    else
        node_add_null(answer, "before");
    write_total(answer, "usual", &call->usual);
    control_print(&doc, out);
}

static void on_call(void *context, int result, const struct error *err,
                    const struct store_call *call)
{
    struct cost_question *own = context;
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    struct error gone = ERROR_INIT;
    if (result == 0)
        write_call(own->question.env, call, &body);
    if (result == STORE_NOT_FOUND) {
        result = error_set(&gone, -ENOENT,
                           "there is no such call in the ledger: its row is too old to be kept, or "
                           "the id is wrong");
        err = &gone;
    }
    control_finish(&own->question, result, &body, err);
}

// "model/7", each part from the left on.
static bool read_path(struct span rest, enum store_cost_by *by, int64_t *days)
{
    struct span word = span_cut(&rest, '/');
    if (word.len) {
        size_t i = 0;
        while (i < STORE_COST_BYS && !span_is(word, by_words[i]))
            i++;
        if (i == STORE_COST_BYS)
            return false;
        *by = (enum store_cost_by)i;
    }
    return rest.len == 0 || (span_to_i64(rest, days) && *days >= 1 && *days <= DAYS_MAX);
}

static void ask_store(struct cost_question *own)
{
    struct error err = ERROR_INIT;
    struct store *store = own->question.env->store;
    int64_t job = *own->call ? store_read_call(store, span_of(own->call), on_call, own, &err)
                             : store_read_costs(store, &own->asked, on_costs, own, &err);
    control_submitted(&own->question, job, &err);
}

// What ended in the last second is in the journal alone. Where it cannot be applied, for want of
// room on the disk, what the database knows is told all the same.
static void on_applied(void *context, int result, const struct error *err,
                       const struct store_apply_result *applied)
{
    struct cost_question *own = context;
    struct router *router = own->question.env->router;
    int64_t job = -ENOENT;
    if (result == 0 && applied->is_behind && own->applies++ < APPLIES_MAX)
        job = router_apply_ledger(router, on_applied, own, NULL);
    if (job > 0)
        own->question.job = job;
    else
        ask_store(own);
}

static void ask(struct cost_question *own)
{
    struct error err = ERROR_INIT;
    struct router *router = own->question.env->router;
    int64_t job = router ? router_apply_ledger(router, on_applied, own, &err) : -ENOENT;
    if (job > 0 || job == -EAGAIN) // half a sum would look like a whole one
        control_submitted(&own->question, job, &err);
    else
        ask_store(own);
}

void control_ask_cost(const struct control_question *question, struct span rest)
{
    enum store_cost_by by = STORE_BY_MODEL;
    int64_t days = DAYS;
    if (!read_path(rest, &by, &days)) {
        control_refuse(
            question, 404,
            "the path is /cost/BY/DAYS: BY is model, slot, key, day, session or job, and "
            "DAYS 1 to 3660");
        return;
    }
    struct cost_question *own = control_question_keep(question, sizeof *own);
    own->days = days;
    own->asked.by = by;
    struct zone zone = control_zone(question->env, NULL);
    int64_t local_s = zone_local(&zone, loop_wall(question->env->loop) / 1000);
    own->asked.today = local_s > 0 ? local_s / DAY_S : 0;
    own->asked.first_day = own->asked.today - days + 1;
    // The first day of the month of that day.
    char date[DATE_SIZE];
    int64_t of_month = 1;
    date_of(own->asked.today, date);
    span_to_i64(span_make(date + DATE_SIZE - 3, 2), &of_month);
    own->asked.month_day = own->asked.today - of_month + 1;
    ask(own);
}

void control_ask_call(const struct control_question *question, struct span id)
{
    if (!id.len || id.len > LEDGER_TEXT_MAX || memchr(id.data, 0, id.len)) {
        control_refuse(question, 404, "that is not a call's id");
        return;
    }
    struct cost_question *own = control_question_keep(question, sizeof *own);
    memcpy(own->call, id.data, id.len);
    ask(own);
}
