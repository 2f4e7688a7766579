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
#include "store/migrate.h"
#include "store/session.h"
#include "store/store_thread.h"
#include "support/store_fixture.h"

// Generations of a file: one is brought to the next, and a step that fails changes nothing.

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

static int make_home(void **state)
{
    (void)state;
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

static struct store *open_with(const char *second, const char *third)
{
    const char *steps[3] = {store_schema.steps[0], second, third};
    struct store_migrations table = {steps, third ? 3 : 2};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store); // afterwards the thread does not look at the table
    return store;
}

static void write_first_generation(void)
{
    struct store_session session = {
        .id = SPAN_LITERAL("a"), .channel = SPAN_LITERAL("console"), .chat = SPAN_LITERAL("")};
    const char *steps[1] = {store_schema.steps[0]};
    struct store_migrations table = {steps, 1};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store);
    store_session_create(store, &session, STORE_DURABLE, NULL, NULL, NULL);
    store_wait(store);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 1);
}

static void an_older_file_is_brought_up_to_date(void **state)
{
    (void)state;
    write_first_generation();
    struct store *store = open_with("ALTER TABLE sessions ADD COLUMN pinned INTEGER DEFAULT 7",
                                    "CREATE TABLE outbox(id INTEGER PRIMARY KEY)");
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 3);
    assert_int_equal(fixture_number(path, "SELECT pinned FROM sessions WHERE id = 'a'"), 7);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM outbox"), 0);
    // The program of the first generation does not touch it any more.
    const char *steps[1] = {store_schema.steps[0]};
    struct store_migrations table = {steps, 1};
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "schema 3, this program knows 1"));
    store_close(store);
}

static void a_failed_step_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    write_first_generation();
    struct store *store = open_with("CREATE TABLE extra(x); INSERT INTO nowhere VALUES(1)", NULL);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "bringing the database to schema 2"));
    assert_non_null(strstr(store_describe(store), "no such table: nowhere"));
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 1);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM sqlite_schema WHERE name='extra'"),
                     0);
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
}

static void steps_before_a_failed_one_are_kept(void **state)
{
    (void)state;
    write_first_generation();
    struct store *store = open_with("CREATE TABLE extra(x)", "syntax error");
    assert_int_equal(store_state(store), STORE_FAILED);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 2);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        TEST(an_older_file_is_brought_up_to_date),
        TEST(a_failed_step_leaves_the_file_as_it_was),
        TEST(steps_before_a_failed_one_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
