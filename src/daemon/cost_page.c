#include "daemon/cost_page.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/colour.h"
#include "base/mem.h"
#include "codec/money.h"
#include "daemon/page.h"

enum {
    CELL_MAX = 4096, // bytes
    ID_SHOWN = 12,   // columns; a beginning is enough to name one
    NAME_LEAST = 16,
    OTHERS = 62, // columns of a row of sums but the name
    SESSION_SHOWN = 8,
    MODEL_LEAST = 14,
    MODEL_MOST = 32,
    DEAR_OTHERS = 66, // columns of a row of the dearest but the model
    LABEL_WIDTH = 12,
    STARTED_WIDTH = sizeof "2026-11-21 16:16" - 1,
    ACCOUNT_MOST = 40, // columns of a budget's name
};

static const char *money_of(struct json_value object, const char *key, char *text)
{
    int64_t pico = 0;
    struct json_value cost = json_get(object, key);
    if (json_type(cost) != JSON_NUMBER || !money_from_json(cost, &pico))
        return "?";
    return money_format(pico, text);
}

// "1.2k", "35k", "1.4M": a table is looked at for what is large.
static const char *short_number(int64_t value, char *text)
{
    if (value < 10000)
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64, value);
    else if (value < 1000000)
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64 "k", value / 1000);
    else
        snprintf(text, PAGE_SPAN_SIZE, "%.1fM", (double)value / 1e6);
    return text;
}

static void print_short(struct json_value object, const char *key)
{
    char text[PAGE_SPAN_SIZE];
    printf(" %8s", short_number(page_number(object, key), text));
}

static void heading(const char *text)
{
    bool colours = colour_wanted(STDOUT_FILENO);
    printf("\n%s%s%s\n", colours ? "\033[1m" : "", text, colours ? "\033[0m" : "");
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
    BUF_AUTO name = BUF_INIT(CELL_MAX);
    char money[MONEY_TEXT_SIZE];
    page_cell(json_get(sum, "name"), "?", name_width, &name);
    page_pad(name.len ? buf_span(&name) : SPAN_LITERAL("-"), name_width + 1, stdout);
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
    BUF_AUTO by = BUF_INIT(CELL_MAX);
    BUF_AUTO title = BUF_INIT(CELL_MAX);
    struct json_value sums = json_get(costs, "sums"), sum;
    struct json_iter it = json_iter_init(sums);
    if (json_count(sums) == 0)
        return;
    page_cell(json_get(costs, "by"), "?", NAME_LEAST, &by);
    buf_printf(&title, "By %s, %" PRId64 " days", buf_text(&by), page_number(costs, "days"));
    heading(buf_text(&title));
    for (char *c = by.data; c && *c; c++)
        *c = (char)toupper((unsigned char)*c);
    page_pad(buf_span(&by), width + 1, stdout);
    printf(" %8s %8s %8s %8s %8s %12s\n", "ASKED", "FAILED", "PROMPT", "CACHED", "ANSWER", "COST");
    while (json_iter_next(&it, NULL, &sum))
        print_sum(sum, width);
}

static void print_cell(struct json_value value, size_t width)
{
    BUF_AUTO cell = BUF_INIT(CELL_MAX);
    page_cell(value, "", width, &cell);
    page_pad(cell.len ? buf_span(&cell) : SPAN_LITERAL("-"), width + 2, stdout);
}

static void print_dear(struct json_value call, size_t model_width)
{
    char money[MONEY_TEXT_SIZE];
    BUF_AUTO id = BUF_INIT(CELL_MAX);
    page_cell(json_get(call, "call"), "?", CELL_MAX, &id);
    printf("%-*.*s  ", ID_SHOWN, ID_SHOWN, buf_text(&id));
    print_cell(json_get(call, "started"), STARTED_WIDTH);
    print_cell(json_get(call, "model"), model_width);
    print_cell(json_get(call, "session"), SESSION_SHOWN);
    print_short(call, "prompt_tokens");
    printf(" %12s\n", money_of(call, "cost_usd", money));
}

static size_t model_width(size_t columns)
{
    size_t width = columns > DEAR_OTHERS ? columns - DEAR_OTHERS : 0;
    return width < MODEL_LEAST ? MODEL_LEAST : width > MODEL_MOST ? MODEL_MOST : width;
}

static void print_dearest(struct json_value calls, size_t columns)
{
    int width = (int)model_width(columns);
    struct json_iter it = json_iter_init(calls);
    struct json_value call;
    if (json_count(calls) == 0)
        return;
    heading("The costliest calls; hermes cost why ID explains one");
    printf("%-*s  %-16s  %-*s  %-*s   %8s %12s\n", ID_SHOWN, "ID", "STARTED", width, "MODEL",
           SESSION_SHOWN, "SESSION", "PROMPT", "COST");
    while (json_iter_next(&it, NULL, &call))
        print_dear(call, (size_t)width);
}

static void print_budget(struct json_value budget)
{
    char cap[MONEY_TEXT_SIZE], spent[MONEY_TEXT_SIZE], over[MONEY_TEXT_SIZE];
    BUF_AUTO resets = BUF_INIT(CELL_MAX);
    bool closed = false, is_lost = false;
    json_bool(json_get(budget, "closed"), &closed);
    page_cell(json_get(budget, "resets"), "", STARTED_WIDTH, &resets);
    print_cell(json_get(budget, "account"), ACCOUNT_MOST);
    printf("%s of %s%s%s\n", money_of(budget, "spent_usd", spent), money_of(budget, "cap_usd", cap),
           resets.len ? ", resets " : ", does not reset", buf_text(&resets));
    int64_t over_pico = 0;
    is_lost = closed && json_fixed(json_get(budget, "overshoot_usd"), MONEY_DIGITS, &over_pico) &&
              over_pico == 0;
    if (is_lost)
        printf("%-*s  CLOSED until then: records of the ledger's journal are lost, so what is left "
               "is not known\n",
               ACCOUNT_MOST, "");
    else if (closed)
        printf("%-*s  CLOSED until then, or until its cap is raised: a call cost %s more than its "
               "upper bound\n",
               ACCOUNT_MOST, "", money_of(budget, "overshoot_usd", over));
}

static void print_budgets(struct json_value costs)
{
    struct json_value budgets = json_get(costs, "budgets"), budget;
    struct json_iter it = json_iter_init(budgets);
    bool is_cut = false;
    if (json_count(budgets) == 0)
        return;
    heading("Budgets");
    while (json_iter_next(&it, NULL, &budget))
        print_budget(budget);
    if (json_bool(json_get(costs, "budgets_cut"), &is_cut) && is_cut)
        puts("There are more.");
}

void cost_page_show(struct json_value costs, size_t columns)
{
    char label[PAGE_SPAN_SIZE];
    BUF_AUTO zone = BUF_INIT(CELL_MAX);
    bool is_cut = false;
    snprintf(label, sizeof label, "%" PRId64 " days", page_number(costs, "days"));
    print_total("today", json_get(costs, "today"));
    print_total("this month", json_get(costs, "month"));
    print_total(label, json_get(costs, "all"));
    page_cell(json_get(costs, "zone"), "UTC", CELL_MAX / 4, &zone);
    printf("%-*s %s\n", LABEL_WIDTH, "zone", buf_text(&zone));
    print_sums(costs, columns);
    if (json_bool(json_get(costs, "is_cut"), &is_cut) && is_cut)
        puts("There are more.");
    print_budgets(costs);
    print_dearest(json_get(costs, "dearest"), columns);
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

void cost_page_csv(struct json_value costs)
{
    static const char *const columns[] = {"calls",         "attempts",         "failed",
                                          "cancelled",     "unsure",           "prompt_tokens",
                                          "cached_tokens", "completion_tokens"};
    struct json_iter it = json_iter_init(json_get(costs, "sums"));
    struct json_value sum;
    print_csv_text(json_get(costs, "by"));
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        printf(",%s", columns[i]);
    fputs(",cost_usd\r\n", stdout);
    while (json_iter_next(&it, NULL, &sum)) {
        struct span cost = json_raw(json_get(sum, "cost_usd"));
        print_csv_text(json_get(sum, "name"));
        for (size_t i = 0; i < ARRAY_LEN(columns); i++)
            printf(",%" PRId64, page_number(sum, columns[i]));
        printf(",%.*s\r\n", (int)cost.len, cost.data);
    }
}

static void print_text(const char *label, struct json_value value)
{
    BUF_AUTO text = BUF_INIT(CELL_MAX);
    page_cell(value, "", CELL_MAX / 4, &text);
    if (text.len)
        printf("%-*s %s\n", LABEL_WIDTH, label, buf_text(&text));
}

static void print_attempt(struct json_value attempt, const char *zone)
{
    char money[MONEY_TEXT_SIZE];
    BUF_AUTO source = BUF_INIT(CELL_MAX);
    BUF_AUTO started = BUF_INIT(CELL_MAX);
    page_cell(json_get(attempt, "cost_source"), "?", NAME_LEAST, &source);
    page_cell(json_get(attempt, "started"), "?", STARTED_WIDTH, &started);
    printf("\nattempt %" PRId64 ", %s %s", page_number(attempt, "attempt"), buf_text(&started),
           zone);
    if (json_type(json_get(attempt, "duration_ms")) == JSON_NUMBER)
        printf(", %" PRId64 " ms", page_number(attempt, "duration_ms"));
    putchar('\n');
    print_text("  model", json_get(attempt, "model"));
    print_text("  deployment", json_get(attempt, "deployment"));
    print_text("  because", json_get(attempt, "reason"));
    print_text("  instead of", json_get(attempt, "instead_of"));
    print_text("  failed", json_get(attempt, "error"));
    printf("%-*s %s (%s)\n", LABEL_WIDTH, "  cost", money_of(attempt, "cost_usd", money),
           buf_text(&source));
}

void cost_page_why(struct json_value call)
{
    char money[MONEY_TEXT_SIZE];
    struct json_iter reasons = json_iter_init(json_get(call, "reasons"));
    struct json_iter attempts = json_iter_init(json_get(call, "attempts"));
    struct json_value first = json_at(json_get(call, "attempts"), 0), item;
    print_text("call", json_get(call, "call"));
    printf("%-*s %s\n", LABEL_WIDTH, "cost", money_of(call, "cost_usd", money));
    print_text("asked for", json_get(first, "asked"));
    print_text("slot", json_get(first, "slot"));
    print_text("session", json_get(first, "session"));
    print_text("job", json_get(first, "job"));
    print_text("key", json_get(first, "key"));
    putchar('\n');
    while (json_iter_next(&reasons, NULL, &item)) {
        BUF_AUTO text = BUF_INIT(CELL_MAX);
        page_cell(item, "", CELL_MAX / 4, &text);
        printf("- %s\n", buf_text(&text));
    }
    BUF_AUTO zone = BUF_INIT(CELL_MAX);
    page_cell(json_get(call, "zone"), "UTC", CELL_MAX / 4, &zone);
    while (json_iter_next(&attempts, NULL, &item))
        print_attempt(item, buf_text(&zone));
}
