#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/money.h"
#include "codec/suggest.h"
#include "codec/url.h"
#include "daemon/command.h"
#include "daemon/main_model.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "daemon/terminal.h"
#include "router/plan/plan.h"
#include "serve/control.h"

enum {
    DAYS_MAX = 3660,
    TEXT_MAX = 1024, // columns of a text that is shown whole
    CELL_MAX = 4096, // bytes of a cell of comma-separated values
    ID_SHOWN = 12,   // columns; a beginning is enough to name one
    NAME_LEAST = 16,
    OTHERS = 62, // columns of a row of sums but the name
    SESSION_SHOWN = 8,
    MODEL_LEAST = 14,
    MODEL_MOST = 32,
    DEAR_OTHERS = 66, // columns of a row of the costliest but the model
    LABEL_WIDTH = 12,
    STARTED_WIDTH = sizeof "2026-11-21 16:16" - 1,
    ACCOUNT_MOST = 40, // columns of a budget's name
};

enum { OPTION_BY = OPTION_FIRST_OWN, OPTION_DAYS, OPTION_JSON, OPTION_CSV };

/* What was spent, as it is shown */

static const char *money_of(struct json_value object, const char *key, char *text)
{
    int64_t pico = 0;
    struct json_value cost = json_get(object, key);
    if (json_type(cost) != JSON_NUMBER || !money_from_json(cost, &pico))
        return "?";
    return money_format(pico, text);
}

// "1.2k", "35k", "1.4M": a table is looked at for what is large.
static void print_short(struct json_value object, const char *key)
{
    char text[PAGE_SPAN_SIZE];
    int64_t value = page_number(object, key);
    if (value < 10000)
        snprintf(text, sizeof text, "%" PRId64, value);
    else if (value < 1000000)
        snprintf(text, sizeof text, "%" PRId64 "k", value / 1000);
    else
        snprintf(text, sizeof text, "%.1fM", (double)value / 1e6);
    printf(" %8s", text);
}

static void print_cell(struct json_value value, const char *absent, size_t width, size_t column)
{
    CLEANUP(mem_cleanup) char *cell = page_cell(value, absent, width);
    page_pad(*cell ? cell : "-", column);
}

static void print_text(const char *label, struct json_value value, const char *absent)
{
    CLEANUP(mem_cleanup) char *text = page_cell(value, absent, TEXT_MAX);
    if (*text)
        printf("%-*s %s\n", LABEL_WIDTH, label, text);
}

static void heading(const char *text)
{
    printf("\n%s%s%s\n", page_colour("\033[1m"), text, page_colour("\033[0m"));
}

static void print_total(const char *label, struct json_value sum)
{
    char money[MONEY_TEXT_SIZE];
    int64_t calls = page_number(sum, "calls"), failed = page_number(sum, "failed");
    int64_t unsure = page_number(sum, "unsure");
    printf("%-*s %10s  %" PRId64 " call%s", LABEL_WIDTH, label, money_of(sum, "cost_usd", money),
           calls, calls == 1 ? "" : "s");
    if (failed)
        printf(", %" PRId64 " attempt%s failed", failed, failed == 1 ? "" : "s");
    if (unsure)
        printf(", the cost of %" PRId64 " is unsure", unsure);
    putchar('\n');
}

static void print_sum(struct json_value sum, size_t name_width)
{
    char money[MONEY_TEXT_SIZE];
    print_cell(json_get(sum, "name"), "?", name_width, name_width + 1);
    print_short(sum, "attempts"); // a call that fell back asked several models
    print_short(sum, "failed");
    print_short(sum, "prompt_tokens");
    print_short(sum, "cached_tokens");
    print_short(sum, "completion_tokens");
    printf(" %12s\n", money_of(sum, "cost_usd", money));
}

static void print_sums(struct json_value costs, size_t columns)
{
    size_t width = columns > OTHERS + NAME_LEAST ? columns - OTHERS : NAME_LEAST;
    CLEANUP(mem_cleanup) char *by = page_cell(json_get(costs, "by"), "?", NAME_LEAST);
    struct json_value sums = json_get(costs, "sums"), sum;
    if (json_count(sums) == 0)
        return;
    CLEANUP(mem_cleanup)
    char *title = mem_printf("By %s, %" PRId64 " days", by, page_number(costs, "days"));
    heading(title);
    for (char *c = by; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    page_pad(by, width + 1);
    printf(" %8s %8s %8s %8s %8s %12s\n", "ASKED", "FAILED", "PROMPT", "CACHED", "ANSWER", "COST");
    for (struct json_iter it = json_iter_init(sums); json_iter_next(&it, NULL, &sum);)
        print_sum(sum, width);
}

static void print_costly(struct json_value call, size_t model_width)
{
    char money[MONEY_TEXT_SIZE];
    CLEANUP(mem_cleanup) char *id = page_cell(json_get(call, "call"), "?", TEXT_MAX);
    printf("%-*.*s  ", ID_SHOWN, ID_SHOWN, id);
    print_cell(json_get(call, "started"), "", STARTED_WIDTH, STARTED_WIDTH + 2);
    print_cell(json_get(call, "model"), "", model_width, model_width + 2);
    print_cell(json_get(call, "session"), "", SESSION_SHOWN, SESSION_SHOWN + 2);
    print_short(call, "prompt_tokens");
    printf(" %12s\n", money_of(call, "cost_usd", money));
}

static void print_costliest(struct json_value calls, size_t columns)
{
    size_t width = columns > DEAR_OTHERS + MODEL_LEAST ? columns - DEAR_OTHERS : MODEL_LEAST;
    struct json_value call;
    if (json_count(calls) == 0)
        return;
    width = width > MODEL_MOST ? MODEL_MOST : width;
    heading("The costliest calls; hermes cost why ID explains one");
    printf("%-*s  %-16s  %-*s  %-*s   %8s %12s\n", ID_SHOWN, "ID", "STARTED", (int)width, "MODEL",
           SESSION_SHOWN, "SESSION", "PROMPT", "COST");
    for (struct json_iter it = json_iter_init(calls); json_iter_next(&it, NULL, &call);)
        print_costly(call, width);
}

static void print_budget(struct json_value budget)
{
    char cap[MONEY_TEXT_SIZE], spent[MONEY_TEXT_SIZE], over[MONEY_TEXT_SIZE];
    CLEANUP(mem_cleanup) char *resets = page_cell(json_get(budget, "resets"), "", STARTED_WIDTH);
    int64_t over_pico = 0;
    print_cell(json_get(budget, "account"), "", ACCOUNT_MOST, ACCOUNT_MOST + 2);
    printf("%s of %s%s%s\n", money_of(budget, "spent_usd", spent), money_of(budget, "cap_usd", cap),
           *resets ? ", resets " : ", does not reset", resets);
    if (!page_flag(budget, "closed"))
        return;
    if (json_fixed(json_get(budget, "overshoot_usd"), MONEY_DIGITS, &over_pico) && over_pico == 0)
        printf("%-*s  CLOSED until then: records of the ledger's journal are lost, so what is left "
               "is not known\n",
               ACCOUNT_MOST, "");
    else
        printf("%-*s  CLOSED until then, or until its cap is raised: a call cost %s more than its "
               "upper bound\n",
               ACCOUNT_MOST, "", money_of(budget, "overshoot_usd", over));
}

static void print_budgets(struct json_value costs)
{
    struct json_value budgets = json_get(costs, "budgets"), budget;
    if (json_count(budgets) == 0)
        return;
    heading("Budgets");
    for (struct json_iter it = json_iter_init(budgets); json_iter_next(&it, NULL, &budget);)
        print_budget(budget);
    if (page_flag(costs, "budgets_cut"))
        puts("There are more.");
}

static void print_costs(struct json_value costs)
{
    size_t columns = terminal_columns();
    char label[PAGE_SPAN_SIZE];
    snprintf(label, sizeof label, "%" PRId64 " days", page_number(costs, "days"));
    print_total("today", json_get(costs, "today"));
    print_total("this month", json_get(costs, "month"));
    print_total(label, json_get(costs, "all"));
    print_text("zone", json_get(costs, "zone"), "UTC");
    print_sums(costs, columns);
    if (page_flag(costs, "is_cut"))
        puts("There are more.");
    print_budgets(costs);
    print_costliest(json_get(costs, "dearest"), columns);
}

// Quoted where it must be. A spreadsheet would run what begins like a formula, and names come from
// outside, so such a one is told to be text.
static void print_csv_text(struct json_value value)
{
    BUF_AUTO text = BUF_INIT(CELL_MAX);
    BUF_AUTO clean = BUF_INIT((size_t)4 * CELL_MAX);
    json_string(value, &text);
    page_clean(buf_span(&text), true, &clean);
    bool formula = clean.len && strchr("=+-@", clean.data[0]);
    putchar('"');
    if (formula)
        putchar('\'');
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.data[i] == '"')
            putchar('"');
        putchar(clean.data[i]);
    }
    putchar('"');
}

// RFC 4180
static void print_csv(struct json_value costs)
{
    static const char *const columns[] = {"calls",         "attempts",         "failed",
                                          "cancelled",     "unsure",           "prompt_tokens",
                                          "cached_tokens", "completion_tokens"};
    struct json_value sum;
    print_csv_text(json_get(costs, "by"));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        printf(",%s", columns[i]);
    fputs(",cost_usd\r\n", stdout);
    for (struct json_iter it = json_iter_init(json_get(costs, "sums"));
         json_iter_next(&it, NULL, &sum);) {
        struct span cost = json_raw(json_get(sum, "cost_usd"));
        print_csv_text(json_get(sum, "name"));
        for (size_t i = 0; i < ARRAY_LEN(columns); i++)
            printf(",%" PRId64, page_number(sum, columns[i]));
        printf(",%.*s\r\n", (int)cost.len, cost.data);
    }
}

static void print_attempt(struct json_value attempt, const char *zone)
{
    char money[MONEY_TEXT_SIZE];
    CLEANUP(mem_cleanup)
    char *source = page_cell(json_get(attempt, "cost_source"), "?", NAME_LEAST);
    CLEANUP(mem_cleanup)
    char *started = page_cell(json_get(attempt, "started"), "?", STARTED_WIDTH);
    printf("\nattempt %" PRId64 ", %s %s", page_number(attempt, "attempt"), started, zone);
    if (json_type(json_get(attempt, "duration_ms")) == JSON_NUMBER)
        printf(", %" PRId64 " ms", page_number(attempt, "duration_ms"));
    putchar('\n');
    print_text("  model", json_get(attempt, "model"), "");
    print_text("  deployment", json_get(attempt, "deployment"), "");
    print_text("  because", json_get(attempt, "reason"), "");
    print_text("  instead of", json_get(attempt, "instead_of"), "");
    print_text("  failed", json_get(attempt, "error"), "");
    printf("%-*s %s (%s)\n", LABEL_WIDTH, "  cost", money_of(attempt, "cost_usd", money), source);
}

static void print_why(struct json_value call)
{
    char money[MONEY_TEXT_SIZE];
    struct json_value first = json_at(json_get(call, "attempts"), 0), item;
    print_text("call", json_get(call, "call"), "");
    printf("%-*s %s\n", LABEL_WIDTH, "cost", money_of(call, "cost_usd", money));
    print_text("asked for", json_get(first, "asked"), "");
    print_text("slot", json_get(first, "slot"), "");
    print_text("session", json_get(first, "session"), "");
    print_text("job", json_get(first, "job"), "");
    print_text("key", json_get(first, "key"), "");
    putchar('\n');
    for (struct json_iter it = json_iter_init(json_get(call, "reasons"));
         json_iter_next(&it, NULL, &item);) {
        CLEANUP(mem_cleanup) char *text = page_cell(item, "", TEXT_MAX);
        printf("- %s\n", text);
    }
    CLEANUP(mem_cleanup) char *zone = page_cell(json_get(call, "zone"), "UTC", TEXT_MAX);
    for (struct json_iter it = json_iter_init(json_get(call, "attempts"));
         json_iter_next(&it, NULL, &item);)
        print_attempt(item, zone);
}

/* What is asked */

static int make_costs_path(const struct arguments *arguments, struct buf *path, struct error *err)
{
    static const char *const words[] = {"model", "slot", "session", "key", "job", "day"};
    const char *by = arguments->values[OPTION_BY] ? arguments->values[OPTION_BY] : "model";
    const char *wanted = arguments->values[OPTION_DAYS] ? arguments->values[OPTION_DAYS] : "30";
    int64_t days = 0;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        known |= strcmp(words[i], by) == 0;
    if (!known) {
        const char *near = suggest_nearest(span_of(by), words, ARRAY_LEN(words));
        return error_set(err, -EINVAL,
                         "--by takes model, slot, session, key, job or day, not \"%.64s\"%s%s", by,
                         near ? "; did you mean " : "", near ? near : "");
    }
    if (!span_to_i64(span_of(wanted), &days) || days < 1 || days > DAYS_MAX)
        return error_set(err, -EINVAL, "--days takes a number from 1 to %d, not \"%.64s\"",
                         DAYS_MAX, wanted);
    buf_printf(path, "/cost/%s/%" PRId64, by, days);
    return 0;
}

static int tell(const struct arguments *arguments, const char *path, bool why, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    CLEANUP(mem_cleanup) char *home = NULL;
    CLEANUP(settings_finish) struct settings settings = {0};
    struct router_plan *plan = NULL; // else days are those of UTC, and the page says so
    if (settings_load(arguments, &settings, NULL) == 0)
        main_model_plan(&settings, &plan, NULL, NULL);
    struct owner_question question = {"GET", path, .of_costs = true, .plan = plan};
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = owner_ask(home, &question, &body, &values, err);
    router_plan_unref(plan);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&body)); // one line of JSON already
    else if (why)
        print_why(json_root(&values));
    else if (arguments->values[OPTION_CSV])
        print_csv(json_root(&values));
    else
        print_costs(json_root(&values));
    return 0;
}

// NULL when the words make sense.
static const char *complaint(const struct arguments *arguments, bool why)
{
    if (arguments->word_count && !why)
        return "cost takes no argument but why: hermes cost why ID";
    if (why && (arguments->word_count < 2 || !*arguments->words[1]))
        return "cost why needs an id; hermes cost lists the costliest calls";
    if (why && arguments->values[OPTION_CSV])
        return "cost why has no --csv; use --json";
    if (arguments->values[OPTION_JSON] && arguments->values[OPTION_CSV])
        return "cost: use either --json or --csv";
    return NULL;
}

static int run(const struct arguments *arguments, struct error *err)
{
    bool why = arguments->word_count && strcmp(arguments->words[0], "why") == 0;
    const char *sentence = complaint(arguments, why);
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    int r = 0;
    if (sentence)
        return error_set(err, COMMAND_MISUSED, "%s", sentence);
    if (why) {
        buf_append_text(&path, "/calls/");
        url_encode(span_of(arguments->words[1]), &path);
        r = buf_is_full(&path) ? error_set(err, -EINVAL, "that is not a call's id") : 0;
    } else {
        r = make_costs_path(arguments, &path, err);
    }
    if (r == 0)
        return tell(arguments, buf_text(&path), why, err);
    error_wrap(err, "cost");
    return COMMAND_MISUSED;
}

const struct command command_cost = {
    .name = "cost",
    .words = "[why ID]",
    .summary = "Show what was spent, and why a call was costly",
    .help = "Without an argument: today, this month, the last days and the costliest calls.\n\n"
            "why     one call: its attempts, and what made it costly. The beginning of an ID\n"
            "        is enough.\n\n"
            "Sums by session and by job reach back as far as single calls are kept\n"
            "(router.ledger_days), the others to the beginning. A call counts when it ends.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"by", 'b', "WHAT", "model (the default), slot, session, key, job or day"},
                    {"days", 'd', "N", "number of days, today included (30)"},
                    {"json", 0, NULL, "as JSON, for programs"},
                    {"csv", 0, NULL, "the sums as comma-separated values"}),
    .max_words = 2,
    .run = run,
};
