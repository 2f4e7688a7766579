// links: store_fixture
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "loop/loop.h"
#include "router/plan/plan.h"
#include "serve/control.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

// What was spent, as the owner of a home answers it.

enum { DAY = 20775, DAY_MS = 86400000, ANSWER_MAX = 4 << 20 }; // 2026-11-18

static char home[FIXTURE_PATH_MAX];

struct cost_world {
    struct fake_clock clock;
    struct control_env env;
    struct loop *loop;
    struct journal *journal;
    struct buf body;
    unsigned status;
    struct json answer;
};

static int setup(void **state)
{
    struct cost_world *world = mem_new(struct cost_world);
    fixture_make_home(home);
    fake_clock_init(&world->clock, 1000);
    world->clock.wall_ms = (int64_t)DAY * DAY_MS + 1000;
    assert_int_equal(loop_create(&world->clock.clock, &world->loop, NULL), 0);
    world->env =
        (struct control_env){.loop = world->loop, .store = fixture_open(home, NULL), .home = home};
    assert_int_equal(journal_open(home, &world->journal, NULL), 0);
    buf_init(&world->body, ANSWER_MAX);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct cost_world *world = *state;
    json_finish(&world->answer);
    buf_finish(&world->body);
    journal_close(world->journal);
    store_close(world->env.store);
    loop_destroy(world->loop);
    free(world);
    fixture_remove_home(home);
    return 0;
}

static void on_answer(void *context, unsigned status, struct span body)
{
    struct cost_world *world = context;
    assert_int_equal(world->status, 0); // one answer each
    world->status = status;
    buf_append_span(&world->body, body);
}

static struct json_value ask(struct cost_world *world, const char *path)
{
    struct error err = ERROR_INIT;
    world->status = 0;
    buf_clear(&world->body);
    control_answer(&world->env, SPAN_LITERAL("GET"), span_of(path), SPAN_ABSENT, on_answer, world);
    store_wait(world->env.store);
    if (json_parse(&world->answer, buf_span(&world->body), &err) < 0)
        fail_msg("%s: %s", err.text, buf_text(&world->body));
    return json_root(&world->answer);
}

static struct store_attempt row_of(const char *call, int64_t days_ago, const char *model)
{
    struct store_attempt row = STORE_ATTEMPT_INIT;
    row.call = span_of(call);
    row.attempt = 1;
    row.day = DAY - days_ago;
    row.wall_ms = row.day * DAY_MS + 5;
    row.model = span_of(model);
    row.deployment = span_of(model);
    row.session = SPAN_LITERAL("s1");
    row.slot = SPAN_LITERAL("main");
    row.source = STORE_COST_PROVIDER;
    row.prompt_tokens = 2000;
    row.completion_tokens = 100;
    row.cost_pico = 1000;
    return row;
}

static void add(struct cost_world *world, const struct store_attempt *row)
{
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    struct store_apply_range range = {.home = home};
    assert_true(store_ledger_encode_row(row, &record));
    assert_int_equal(journal_append(world->journal, buf_span(&record), NULL), 0);
    range.generations = journal_generations(world->journal, &range.count);
    range.limit = journal_end(world->journal);
    store_ledger_apply(world->env.store, &range, NULL, NULL, NULL);
    store_wait(world->env.store);
}

static void add_some(struct cost_world *world)
{
    struct store_attempt row = row_of("aaa1", 0, "dear");
    row.cost_pico = INT64_C(1500000000000);
    add(world, &row);
    row = row_of("aaa2", 0, "cheap");
    add(world, &row);
    row = row_of("bbb", 18, "cheap"); // of the month before
    row.session = SPAN_LITERAL("s2");
    add(world, &row);
    row = row_of("ccc", 40, "cheap");
    add(world, &row);
}

static const char *raw(struct json_value value)
{
    static char text[256];
    struct span span = json_raw(value);
    snprintf(text, sizeof text, "%.*s", (int)span.len, span.data);
    return text;
}

static int64_t number(struct json_value object, const char *key)
{
    int64_t value = -1;
    assert_true(json_int64(json_get(object, key), &value));
    return value;
}

static void spending_is_told_by_what_it_was_for(void **state)
{
    struct cost_world *world = *state;
    struct json_value root = ask(world, "/cost");
    assert_int_equal(world->status, 200);
    assert_int_equal(number(json_get(root, "all"), "calls"), 0);
    add_some(world);
    root = ask(world, "/cost");
    assert_true(json_is(json_get(root, "zone"), "UTC"));
    assert_true(json_is(json_get(root, "date"), "2026-11-18"));
    assert_int_equal(number(json_get(root, "today"), "calls"), 2);
    assert_int_equal(number(json_get(root, "month"), "calls"), 2);
    assert_int_equal(number(json_get(root, "all"), "calls"), 3);
    assert_string_equal(raw(json_get(json_get(root, "all"), "cost_usd")), "1.500000002");
    struct json_value sums = json_get(root, "sums");
    assert_int_equal(json_count(sums), 2);
    assert_true(json_is(json_get(json_at(sums, 0), "name"), "dear"));
    assert_int_equal(number(json_at(sums, 1), "calls"), 2);
    struct json_value costliest = json_get(root, "dearest");
    assert_int_equal(json_count(costliest), 3);
    assert_true(json_is(json_get(json_at(costliest, 0), "call"), "aaa1"));

    sums = json_get(ask(world, "/cost/day/100"), "sums");
    assert_int_equal(json_count(sums), 3);
    assert_true(json_is(json_get(json_at(sums, 2), "name"), "2026-10-09"));
    sums = json_get(ask(world, "/cost/session/100"), "sums");
    assert_int_equal(json_count(sums), 2);
    assert_true(json_is(json_get(json_at(sums, 0), "name"), "s1"));
    assert_int_equal(number(json_at(sums, 0), "calls"), 3);
    ask(world, "/cost/nothing");
    assert_int_equal(world->status, 404);
    ask(world, "/cost/day/0");
    assert_int_equal(world->status, 404);
}

static void today_is_the_owners(void **state)
{
    struct cost_world *world = *state;
    struct router_plan plan = {.timezone = "America/New_York"};
    world->env.plan = &plan;
    struct json_value root = ask(world, "/cost");
    assert_true(json_is(json_get(root, "date"), "2026-11-17"));
    assert_true(json_is(json_get(root, "zone"), "America/New_York"));
    add_some(world);
    struct json_value call = ask(world, "/calls/aaa1");
    assert_true(json_is(json_get(call, "zone"), "America/New_York"));
    assert_true(
        json_is(json_get(json_at(json_get(call, "attempts"), 0), "started"), "2026-11-17 19:00"));
    plan.timezone = "Mars/Olympus_Mons";
    assert_true(json_is(json_get(ask(world, "/cost"), "zone"), "UTC"));
}

static bool says(struct json_value call, const char *part)
{
    struct json_iter it = json_iter_init(json_get(call, "reasons"));
    struct json_value reason;
    while (json_iter_next(&it, NULL, &reason))
        if (span_find(json_raw(reason), span_of(part)) >= 0)
            return true;
    return false;
}

static void a_call_is_told_with_its_reasons(void **state)
{
    struct cost_world *world = *state;
    add_some(world);
    struct store_attempt row = row_of("long", 0, "cheap");
    row.attempt = 1;
    row.tools_bytes = 200;
    add(world, &row);
    row = row_of("whywhy", 0, "cheap");
    row.error = SPAN_LITERAL("Timeout");
    row.cost_pico = 3;
    row.source = STORE_COST_BOUND;
    add(world, &row);
    row.attempt = 2;
    row.error = SPAN_LITERAL("");
    row.source = STORE_COST_PRICE;
    row.prompt_tokens = 90000;
    row.cached_tokens = 0;
    row.tools_bytes = 300;
    row.messages_bytes = 700;
    add(world, &row);
    struct json_value call = ask(world, "/calls/why");
    assert_int_equal(world->status, 200);
    assert_true(json_is(json_get(call, "call"), "whywhy"));
    assert_int_equal(json_count(json_get(call, "attempts")), 2);
    assert_true(json_is(json_get(json_get(call, "before"), "call"), "long"));
    assert_string_equal(raw(json_get(call, "cost_usd")), "0.000000000006");
    assert_true(says(call, "2 attempts"));
    assert_true(says(call, "Timeout"));
    assert_true(says(call, "can have cost"));
    assert_true(says(call, "90000 prompt tokens, 0 % of them from the provider's cache"));
    assert_true(says(call, "times what is usual"));
    assert_true(says(call, "70 % are the messages, 30 % the tools"));
    assert_true(says(call, "the tools changed"));
    ask(world, "/calls/aaa");
    assert_int_equal(world->status, 409);
    ask(world, "/calls/aaa1");
    assert_int_equal(world->status, 200);
    ask(world, "/calls/zzz");
    assert_int_equal(world->status, 404);
}

// Without a router it is known what an overshoot closed, told until its period is over; and the
// rest from the configuration, where that can be read.
static void budgets_are_told(void **state)
{
    struct cost_world *world = *state;
    int64_t now_ms = world->clock.wall_ms, midnight_ms = (int64_t)(DAY + 1) * DAY_MS;
    struct store_charge charges[] = {
        {SPAN_LITERAL("closed"), now_ms - 1000, midnight_ms, 500, 200, 300},
        {SPAN_LITERAL("open"), now_ms - 1000, midnight_ms, 500, 0, 0},
        {SPAN_LITERAL("over"), now_ms - 2000, now_ms, 500, 200, 300},
        {SPAN_LITERAL("for good"), 0, -1, 500, 200, 300},
    };
    struct store_attempt row = row_of("dear", 0, "dear");
    row.charges = charges;
    row.charge_count = ARRAY_LEN(charges);
    add(world, &row);
    struct json_value budgets = json_get(ask(world, "/cost"), "budgets");
    assert_int_equal(json_count(budgets), 2);
    struct json_value closed = json_at(budgets, 0);
    assert_true(json_is(json_get(closed, "account"), "closed"));
    assert_string_equal(raw(json_get(closed, "overshoot_usd")), "0.0000000002");
    assert_string_equal(raw(json_get(closed, "cap_usd")), "0.0000000003");
    assert_true(json_is(json_get(closed, "resets"), "2026-11-19 00:00"));
    assert_true(json_is(json_get(json_at(budgets, 1), "account"), "for good"));
    assert_int_equal(json_type(json_get(json_at(budgets, 1), "resets")), JSON_NULL);

    struct router_budget_rule rules[] = {{.name = "open", .cap_pico = 2000},
                                         {.name = "over", .cap_pico = 2000}};
    struct router_plan plan = {.timezone = "UTC", .budgets = rules, .budget_count = 2};
    world->env.plan = &plan;
    budgets = json_get(ask(world, "/cost"), "budgets");
    assert_int_equal(json_count(budgets), 3);
    size_t at = 0;
    while (at < 2 && !json_is(json_get(json_at(budgets, at), "account"), "open"))
        at++;
    assert_true(json_is(json_get(json_at(budgets, at), "account"), "open"));
    assert_string_equal(raw(json_get(json_at(budgets, at), "cap_usd")), "0.000000002");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spending_is_told_by_what_it_was_for),
        TEST(today_is_the_owners),
        TEST(a_call_is_told_with_its_reasons),
        TEST(budgets_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
