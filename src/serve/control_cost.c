#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/money.h"
#include "router/router.h"
#include "serve/control_internal.h"
#include "serve/control_reasons.h"
#include "store/ledger_read.h"

enum {
    DAYS = 30,
    DAYS_MAX = 3660,
    DAY_S = 24 * 60 * 60,
    DATE_SIZE = sizeof "2026-11-21",
    FOLDS_MAX = 64, // steps for one question; more is a load that it need not catch up with
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
    bool is_call; // by the beginning of its id; else the question is for sums
    char call[LEDGER_TEXT_MAX + 1];
    int folds;
};

static const char *date_of(int64_t day, char *text)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format_utc(day * DAY_S * 1000, when);
    snprintf(text, DATE_SIZE, "%.*s", DATE_SIZE - 1, when);
    return text;
}

static int64_t today_of(const struct control_env *env)
{
    struct zone zone = control_zone(env, NULL);
    int64_t local_s = zone_local(&zone, loop_wall(env->loop) / 1000);
    return local_s > 0 ? local_s / DAY_S : 0;
}

// The first day of the month of that day.
static int64_t month_of(int64_t day)
{
    char date[DATE_SIZE];
    int64_t of_month = 1;
    date_of(day, date);
    span_to_i64(span_make(date + DATE_SIZE - 3, 2), &of_month);
    return day - of_month + 1;
}

static void write_cost(struct json_writer *w, const char *key, int64_t cost_pico)
{
    json_write_key(w, key);
    json_write_fixed(w, cost_pico, MONEY_DIGITS);
}

static void write_sum(struct json_writer *w, const struct store_cost_sum *sum)
{
    json_write_member_int(w, "calls", sum->calls);
    json_write_member_int(w, "attempts", sum->attempts);
    json_write_member_int(w, "failed", sum->failed);
    json_write_member_int(w, "cancelled", sum->cancelled);
    json_write_member_int(w, "unsure", sum->unsure);
    json_write_member_int(w, "prompt_tokens", sum->prompt_tokens);
    json_write_member_int(w, "cached_tokens", sum->cached_tokens);
    json_write_member_int(w, "completion_tokens", sum->completion_tokens);
    write_cost(w, "cost_usd", sum->cost_pico);
}

static void write_total(struct json_writer *w, const char *key, const struct store_cost_sum *sum)
{
    json_write_key(w, key);
    json_write_object_begin(w);
    write_sum(w, sum);
    json_write_object_end(w);
}

static void write_number(struct json_writer *w, const char *key, int64_t value)
{
    json_write_key(w, key);
    if (value < 0)
        json_write_null(w);
    else
        json_write_int(w, value);
}

static void write_attempt_tokens(struct json_writer *w, const struct store_attempt *a)
{
    write_number(w, "prompt_tokens", a->prompt_tokens);
    write_number(w, "cached_tokens", a->cached_tokens);
    write_number(w, "cache_write_tokens", a->cache_write_tokens);
    write_number(w, "completion_tokens", a->completion_tokens);
    write_number(w, "reasoning_tokens", a->reasoning_tokens);
    write_number(w, "bytes_in", a->bytes_in);
    write_number(w, "bytes_out", a->bytes_out);
    write_number(w, "tools_bytes", a->tools_bytes);
    write_number(w, "messages_bytes", a->messages_bytes);
}

static void write_attempt(struct json_writer *w, const struct zone *zone,
                          const struct store_attempt *a)
{
    char when[CLOCK_TEXT_SIZE];
    json_write_object_begin(w);
    json_write_member_string(w, "call", a->call);
    json_write_member_int(w, "attempt", a->attempt);
    json_write_member_int(w, "started_ms", a->wall_ms);
    json_write_member_text(w, "started", control_local_time(zone, a->wall_ms, when));
    write_number(w, "duration_ms", a->duration_ms);
    write_number(w, "first_byte_ms", a->first_byte_ms);
    json_write_member_string(w, "operation", a->operation);
    json_write_member_string(w, "slot", a->slot);
    json_write_member_string(w, "session", a->session);
    json_write_member_string(w, "job", a->job);
    json_write_member_string(w, "key", a->key);
    json_write_member_string(w, "user", a->user);
    json_write_member_string(w, "asked", a->group);
    json_write_member_string(w, "deployment", a->deployment);
    json_write_member_string(w, "provider", a->provider);
    json_write_member_string(w, "model", a->model);
    json_write_member_bool(w, "streamed", a->streamed);
    json_write_member_bool(w, "cancelled", a->cancelled);
    write_number(w, "status", a->status);
    json_write_member_string(w, "error", a->error);
    json_write_member_string(w, "reason", a->reason);
    json_write_member_string(w, "instead_of", a->from);
    json_write_member_string(w, "reply_id", a->reply_id);
    write_attempt_tokens(w, a);
    json_write_key(w, "cost_usd");
    if (a->cost_pico < 0)
        json_write_null(w);
    else
        json_write_fixed(w, a->cost_pico, MONEY_DIGITS);
    json_write_member_text(w, "cost_source", source_words[a->source]);
    json_write_object_end(w);
}

static void write_name(struct json_writer *w, enum store_cost_by by, struct span name)
{
    char date[DATE_SIZE];
    int64_t day = 0;
    if (by == STORE_BY_DAY && span_to_i64(name, &day))
        name = span_of(date_of(day, date));
    json_write_member_string(w, "name", name);
}

static void write_costs(const struct cost_question *own, const struct store_costs *costs,
                        struct buf *out)
{
    const struct control_env *env = own->question.env;
    const char *zone_name;
    struct zone zone = control_zone(env, &zone_name);
    struct json_writer w;
    char date[DATE_SIZE];
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "zone", zone_name);
    json_write_member_text(&w, "date", date_of(own->asked.today, date));
    json_write_member_text(&w, "by", by_words[own->asked.by]);
    json_write_member_int(&w, "days", own->days);
    write_total(&w, "today", &costs->today);
    write_total(&w, "month", &costs->month);
    write_total(&w, "all", &costs->all);
    json_write_key(&w, "sums");
    json_write_array_begin(&w);
    for (size_t i = 0; i < costs->sum_count; i++) {
        json_write_object_begin(&w);
        write_name(&w, own->asked.by, costs->sums[i].name);
        write_sum(&w, &costs->sums[i]);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_member_bool(&w, "is_cut", costs->is_cut);
    control_write_budgets(&w, env);
    json_write_key(&w, "dearest");
    json_write_array_begin(&w);
    for (size_t i = 0; i < costs->dearest_count; i++)
        write_attempt(&w, &zone, &costs->dearest[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    buf_append_char(out, '\n');
}

static void on_costs(void *context, int result, const struct error *err,
                     const struct store_costs *costs)
{
    struct cost_question *own = context;
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    list_remove(&own->question.link);
    if (result == 0)
        write_costs(own, costs, &body);
    control_reply(&own->question, result, &body, err);
    free(own);
}

// "/model/7", each part from the left on.
static bool read_path(struct span path, enum store_cost_by *by, int64_t *days)
{
    struct span rest = span_skip(path, path.len ? 1 : 0);
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

static struct cost_question *keep(const struct control_question *question, struct list *waiting)
{
    struct cost_question *own = mem_new(struct cost_question);
    own->question = *question;
    list_init(&own->question.link);
    if (waiting)
        list_append(waiting, &own->question.link);
    return own;
}

// A job that could not be had: answered at once.
static void submitted(struct cost_question *own, int64_t job, const struct error *err)
{
    BUF_AUTO none = BUF_INIT(1);
    own->question.job = job;
    if (job > 0)
        return;
    list_remove(&own->question.link);
    control_reply(&own->question, (int)job, &none, err);
    free(own);
}

static void on_call(void *context, int result, const struct error *err,
                    const struct store_call *call);

static void ask_store(struct cost_question *own)
{
    struct error err = ERROR_INIT;
    struct store *store = own->question.env->store;
    int64_t job = own->is_call ? store_read_call(store, span_of(own->call), on_call, own, &err)
                               : store_read_costs(store, &own->asked, on_costs, own, &err);
    submitted(own, job, &err);
}

// What ended in the last second is in the journal alone. Where it cannot be folded, for want of
// room on the disk, what the database knows is told all the same.
static void on_folded(void *context, int result, const struct error *err,
                      const struct store_fold_result *folded)
{
    struct cost_question *own = context;
    int64_t job = -ENOENT;
    (void)err;
    if (result == 0 && folded->is_behind && own->folds++ < FOLDS_MAX)
        job = router_fold(own->question.env->router, on_folded, own, NULL);
    if (job > 0)
        own->question.job = job;
    else
        ask_store(own);
}

static void ask(struct cost_question *own)
{
    struct error err = ERROR_INIT;
    struct router *router = own->question.env->router;
    int64_t job = router ? router_fold(router, on_folded, own, &err) : -ENOENT;
    if (job > 0)
        own->question.job = job;
    else if (job == -EAGAIN) // half a sum would look like a whole one
        submitted(own, job, &err);
    else
        ask_store(own);
}

void control_ask_cost(const struct control_question *question, struct span method, struct span path,
                      struct list *waiting)
{
    enum store_cost_by by = STORE_BY_MODEL;
    int64_t days = DAYS;
    if (!span_is(method, "GET")) {
        control_refuse(question, 405, "this path does not accept that method");
        return;
    }
    if (!read_path(path, &by, &days)) {
        control_refuse(
            question, 404,
            "the path is /cost/BY/DAYS: BY is model, slot, key, day, session or job, and "
            "DAYS 1 to 3660");
        return;
    }
    struct cost_question *own = keep(question, waiting);
    own->days = days;
    own->asked.by = by;
    own->asked.today = today_of(question->env);
    own->asked.first_day = own->asked.today - days + 1;
    own->asked.month_day = month_of(own->asked.today);
    ask(own);
}

static void write_call(const struct control_env *env, const struct store_call *call,
                       struct buf *out)
{
    const char *zone_name;
    struct zone zone = control_zone(env, &zone_name);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_string(&w, "call", call->attempts[0].call);
    json_write_member_text(&w, "zone", zone_name);
    write_cost(&w, "cost_usd", control_call_cost(call));
    json_write_key(&w, "reasons");
    json_write_array_begin(&w);
    control_write_reasons(call, env->router, &w);
    json_write_array_end(&w);
    json_write_key(&w, "attempts");
    json_write_array_begin(&w);
    for (size_t i = 0; i < call->count; i++)
        write_attempt(&w, &zone, &call->attempts[i]);
    json_write_array_end(&w);
    json_write_key(&w, "before");
    if (call->before)
        write_attempt(&w, &zone, call->before);
    else
        json_write_null(&w);
    write_total(&w, "usual", &call->usual);
    json_write_object_end(&w);
    buf_append_char(out, '\n');
}

static void on_call(void *context, int result, const struct error *err,
                    const struct store_call *call)
{
    struct cost_question *own = context;
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    list_remove(&own->question.link);
    if (result == 0)
        write_call(own->question.env, call, &body);
    if (result == STORE_NOT_FOUND)
        control_refuse(
            &own->question, 404,
            "there is no such call in the ledger: its row is too old to be kept, or the id is "
            "wrong");
    else
        control_reply(&own->question, result, &body, err);
    free(own);
}

void control_ask_call(const struct control_question *question, struct span method, struct span id,
                      struct list *waiting)
{
    if (!span_is(method, "GET")) {
        control_refuse(question, 405, "this path does not accept that method");
        return;
    }
    if (id.len > LEDGER_TEXT_MAX || memchr(id.data, 0, id.len)) {
        control_refuse(question, 404, "that is not a call's id");
        return;
    }
    struct cost_question *own = keep(question, waiting);
    own->is_call = true;
    memcpy(own->call, id.data, id.len);
    ask(own);
}
