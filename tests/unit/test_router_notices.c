// links: the router's money and what it may use
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/span.h"
#include "router/money/notices.h"
#include "support/store_fixture.h"

// Who is paid is told when it changes, once, and to somebody.

struct world {
    char home[FIXTURE_PATH_MAX];
    struct store *store;
    struct router_notices *notices;
};

static int setup(void **state)
{
    struct world *w = mem_new(struct world);
    fixture_make_home(w->home);
    w->store = fixture_open(w->home, NULL);
    w->notices = router_notices_create(w->store);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    router_notices_destroy(w->notices);
    store_close(w->store);
    fixture_remove_home(w->home);
    free(w);
    return 0;
}

static bool is_news(struct world *w, const char *paid, const char *work)
{
    return router_notices_is_news(w->notices, "free", paid, span_of(work));
}

// The answer of a work of its own, told or not; was it news?
static bool answer(struct world *w, const char *paid, bool told)
{
    bool news = is_news(w, paid, "w");
    router_notices_end(w->notices, "w", told);
    return news;
}

static const char *written(struct world *w)
{
    store_wait(w->store);
    return fixture_text(fixture_path(w->home, "state.db"),
                        "SELECT value FROM meta WHERE key = 'fact:tariff:free'");
}

// Of the store alone, as the next process does.
static void begin_anew(struct world *w)
{
    store_wait(w->store);
    router_notices_destroy(w->notices);
    w->notices = router_notices_create(w->store);
}

static void a_change_is_told_once(void **state)
{
    struct world *w = *state;
    assert_false(answer(w, "", true));
    assert_true(answer(w, "cheap", true));
    assert_string_equal(written(w), "cheap");
    assert_false(answer(w, "cheap", true));
    assert_true(answer(w, "dear", true));
    assert_true(answer(w, "", true));
    assert_string_equal(written(w), "");
    assert_false(answer(w, "", true));
}

static void the_next_process_knows(void **state)
{
    struct world *w = *state;
    assert_true(answer(w, "cheap", true));
    begin_anew(w);
    assert_false(answer(w, "cheap", true));
    assert_true(answer(w, "", true));
}

// Neither when its work was cancelled, nor when the program was killed before its end.
static void what_was_not_told_is_told_later(void **state)
{
    struct world *w = *state;
    assert_true(answer(w, "cheap", false));
    assert_true(is_news(w, "cheap", "w1"));
    assert_false(is_news(w, "cheap", "w1"));
    assert_false(is_news(w, "cheap", "w2")); // w1 will
    router_notices_end(w->notices, "w2", false);
    router_notices_end(w->notices, "nobody's", false);
    assert_false(is_news(w, "cheap", "w1"));
    begin_anew(w);
    assert_true(is_news(w, "cheap", "w1"));
    assert_true(is_news(w, "", "w1"));
    router_notices_end(w->notices, "w1", true);
    assert_string_equal(written(w), "");
}

// Who was paid an unknown price is paid it still when it becomes known.
static void a_price_that_becomes_known_is_no_news(void **state)
{
    static const struct {
        const char *paid;
        bool news;
    } steps[] = {
        {"", false},        {"? p m", true},       {"? p m", false}, {"? p other", true},
        {"1/2 p m", true},  {"1/2 p same", false}, {"? p m", true},  {"1/2 p m", false},
        {"1/2 p m", false}, {"1/3 p m", true},     {"", true},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        assert_int_equal(answer(w, steps[i].paid, true), steps[i].news);
    answer(w, "? p m", true);
    assert_false(answer(w, "1/2 p m", true)); // but it is written down
    assert_string_equal(written(w), "1/2 p m");
}

// What is not in memory any more is looked up; what is still to be told stays there.
static void more_names_than_are_kept(void **state)
{
    struct world *w = *state;
    assert_true(answer(w, "cheap", true));
    store_wait(w->store);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < ROUTER_NOTICES_MAX + 8; i++) {
            char name[32];
            snprintf(name, sizeof name, "m%d", i);
            assert_int_equal(router_notices_is_news(w->notices, name, "cheap", span_of("w1")),
                             round == 0);
        }
    router_notices_end(w->notices, "w1", true);
    assert_false(router_notices_is_news(w->notices, "m0", "cheap", span_of("w2")));
    assert_false(answer(w, "cheap", true));
}

// Each of them tells its own, and the one that was told last counts.
static void two_works_at_once(void **state)
{
    struct world *w = *state;
    assert_true(is_news(w, "cheap", "w1"));
    assert_true(is_news(w, "dear", "w2"));
    router_notices_end(w->notices, "w1", true);
    assert_string_equal(written(w), "cheap");
    router_notices_end(w->notices, "w2", false);
    assert_false(answer(w, "cheap", true));
    assert_true(is_news(w, "dear", "w3"));
    assert_true(is_news(w, "", "w4"));
    router_notices_end(w->notices, "w4", true);
    router_notices_end(w->notices, "w3", true);
    assert_string_equal(written(w), "");
    assert_false(answer(w, "", true));
}

// Nobody is told again because what they were told cannot be read at the moment.
static void a_store_that_is_not_ready(void **state)
{
    struct world *w = *state;
    assert_true(answer(w, "cheap", true));
    store_wait(w->store);
    router_notices_destroy(w->notices);
    store_close(w->store);
    assert_int_equal(store_open(w->home, NULL, &w->store, NULL), 0);
    w->notices = router_notices_create(w->store);
    assert_false(is_news(w, "cheap", "w1"));
    store_wait(w->store);
    assert_false(is_news(w, "cheap", "w1"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_told_once),           TEST(the_next_process_knows),
        TEST(what_was_not_told_is_told_later), TEST(a_price_that_becomes_known_is_no_news),
        TEST(more_names_than_are_kept),        TEST(two_works_at_once),
        TEST(a_store_that_is_not_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
