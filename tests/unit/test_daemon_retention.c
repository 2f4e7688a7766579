// When conversations that ended long ago are deleted, how many at once, and what a disk or a clock
// that misbehaves does to it: over a real store, with a clock that is moved by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "daemon/app.h"
#include "daemon/retention.h"
#include "store/session.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

enum { MINUTE_MS = 60 * 1000, SECOND_MS = 1000 };
static const int64_t DAY_MS = 24 * 3600 * 1000, NOW_MS = INT64_C(1795222923456);

static struct world {
    char home[FIXTURE_PATH_MAX], path[FIXTURE_PATH_MAX + 16];
    struct fake_clock clock;
    struct app app;
    struct retention retention;
    int added;
    char told[256]; // "<level> <sessions> <error>|" of each event
} world;

static void keep_event(void *context, const struct log_record *record)
{
    (void)context;
    size_t used = strlen(world.told);
    if (strcmp(record->event, "sessions.pruned") != 0)
        return;
    snprintf(world.told + used, sizeof world.told - used, "%s %d %.20s|",
             record->level == LOG_ERROR ? "error" : "info", (int)record->fields[0].number,
             record->fields[1].text);
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    fixture_make_home(world.home);
    snprintf(world.path, sizeof world.path, "%s", fixture_path(world.home, "state.db"));
    fake_clock_init(&world.clock, 1000);
    world.clock.wall_ms = NOW_MS;
    if (loop_create(&world.clock.clock, &world.app.loop, NULL) != 0)
        return -1;
    world.app.store = fixture_open(world.home, NULL);
    world.app.settings.values.dispatcher.prunes = true;
    world.app.settings.values.dispatcher.retention_days = 90;
    log_set_sink(keep_event, NULL, NULL, false);
    retention_init(&world.retention, &world.app);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL, NULL, false);
    retention_finish(&world.retention);
    store_close(world.app.store);
    loop_destroy(world.app.loop);
    fixture_remove_home(world.home);
    return 0;
}

// So many conversations that nobody goes on with, the last of them used so many days ago.
static void add(int count, int days)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO sessions(id, channel, chat, title, created_ms, updated_ms)"
             " SELECT '%d-' || i, 'console', 'c' || i, 'xyzzytitle', 1, %lld FROM n",
             count, ++world.added, (long long)(NOW_MS - days * DAY_MS));
    fixture_exec(world.path, sql);
}

static void pass_ms(int64_t ms)
{
    world.clock.now_ms += ms;
    loop_run_once(world.app.loop, 0);
}

// As long as it takes for what is due then to be done.
static int64_t left_after(int64_t ms)
{
    pass_ms(ms);
    store_wait(world.app.store);
    return fixture_number(world.path, "SELECT count(*) FROM sessions");
}

static bool in_file(const char *name, const char *word)
{
    char *data, path[sizeof world.path + 8];
    size_t len;
    snprintf(path, sizeof path, "%s%s", world.path, name);
    if (access(path, F_OK) < 0)
        return false;
    fixture_read(path, &data, &len);
    bool found = span_find((struct span){data, len}, span_of(word)) >= 0;
    free(data);
    return found;
}

static void expect_nothing_left_of_them(void)
{
    assert_int_equal(fixture_number(world.path, "SELECT count(*) FROM meta WHERE key = 'scrub'"),
                     0);
    assert_false(in_file("", "xyzzytitle"));
    assert_false(in_file("-wal", "xyzzytitle"));
}

static void an_empty_store(void **state)
{
    (void)state;
    assert_int_equal(left_after(MINUTE_MS), 0);
    assert_int_equal(left_after(DAY_MS), 0);
    assert_string_equal(world.told, "");
}

static void batches_and_then_a_day(void **state)
{
    (void)state;
    add(2 * STORE_PRUNED_MAX + 5, 91);
    add(3, 89);
    assert_int_equal(left_after(MINUTE_MS - 1), 2 * STORE_PRUNED_MAX + 8);
    assert_int_equal(left_after(1), STORE_PRUNED_MAX + 8);
    assert_int_equal(left_after(SECOND_MS - 1), STORE_PRUNED_MAX + 8);
    assert_int_equal(left_after(1), 8);
    assert_string_equal(world.told, "");
    assert_int_equal(left_after(SECOND_MS), 3);
    assert_string_equal(world.told, "info 45 |");
    world.clock.wall_ms += 2 * DAY_MS; // not looked at before the next round
    assert_int_equal(left_after(DAY_MS - 1), 3);
    assert_int_equal(left_after(1), 0);
    assert_string_equal(world.told, "info 45 |info 3 |");
}

// Nothing of them is left in the file behind the last batch, also of one that finds nothing more.
static void a_full_last_batch(void **state)
{
    (void)state;
    add(STORE_PRUNED_MAX, 91);
    assert_true(in_file("-wal", "xyzzytitle"));
    assert_int_equal(left_after(MINUTE_MS), 0);
    assert_int_equal(left_after(SECOND_MS), 0);
    assert_string_equal(world.told, "info 20 |");
    expect_nothing_left_of_them();
}

// Those of the last batch are used meanwhile; what the batches before deleted leaves the file.
static void a_batch_whose_rest_is_used_again(void **state)
{
    (void)state;
    add(STORE_PRUNED_MAX + 2, 91);
    assert_int_equal(left_after(MINUTE_MS), 2);
    fixture_exec(world.path, "UPDATE sessions SET updated_ms = 1795222923456, title = 'kept'");
    assert_int_equal(left_after(SECOND_MS), 2);
    assert_string_equal(world.told, "info 20 |");
    expect_nothing_left_of_them();
}

static void switched_off_and_on_by_a_reload(void **state)
{
    (void)state;
    world.app.settings.values.dispatcher.prunes = false;
    add(2, 91);
    assert_int_equal(left_after(MINUTE_MS), 2);
    assert_int_equal(left_after(DAY_MS), 2);
    world.app.settings.values.dispatcher.prunes = true;
    assert_int_equal(left_after(DAY_MS - 1), 2);
    assert_int_equal(left_after(1), 0);
    world.app.settings.values.dispatcher.prunes = false;
    add(2, 91);
    assert_int_equal(left_after(DAY_MS), 2);
}

static void a_clock_that_jumps_back(void **state)
{
    (void)state;
    add(2, 91);
    world.clock.wall_ms = 0; // a Pi without a battery, before it has asked for the time
    assert_int_equal(left_after(MINUTE_MS), 2);
    world.clock.wall_ms = NOW_MS - 2 * DAY_MS;
    assert_int_equal(left_after(DAY_MS), 2);
    world.clock.wall_ms = NOW_MS;
    assert_int_equal(left_after(DAY_MS), 0);
}

static void the_longest_that_can_be_set(void **state)
{
    (void)state;
    world.app.settings.values.dispatcher.retention_days = 36500;
    add(2, 3650);
    assert_int_equal(left_after(MINUTE_MS), 2);
}

static void a_queue_that_is_full(void **state)
{
    (void)state;
    int waiting = 0;
    add(2, 91);
    while (store_sessions_prune(world.app.store, INT64_MIN, SPAN_ABSENT, NULL, NULL, NULL) > 0)
        waiting++;
    assert_true(waiting > 0);
    assert_int_equal(left_after(MINUTE_MS), 2);
    assert_int_equal(left_after(MINUTE_MS - 1), 2);
    assert_int_equal(left_after(1), 0);
}

// Of another program, so it cannot be opened: that is said once a day, and it goes on asking.
static void a_store_that_fails(void **state)
{
    (void)state;
    store_close(world.app.store);
    fixture_exec(world.path, "PRAGMA user_version = 999999");
    world.app.store = fixture_open(world.home, NULL);
    assert_int_equal(store_state(world.app.store), STORE_FAILED);
    left_after(MINUTE_MS);
    assert_memory_equal(world.told, "error 0 ", 8);
    assert_null(strchr(strchr(world.told, '|') + 1, '|'));
    left_after(DAY_MS);
    assert_non_null(strchr(strchr(world.told, '|') + 1, '|'));
}

// What batches before deleted cannot be taken out of the file: nobody else would hear of it.
static void a_file_that_keeps_what_was_deleted(void **state)
{
    (void)state;
    fixture_exec(world.path, "INSERT INTO meta(key, value) VALUES('scrub', 1);"
                             "DROP TABLE messages_fts");
    left_after(MINUTE_MS);
    assert_string_equal(world.told, "error 0 writing the database|");
}

static void its_end_while_one_runs(void **state)
{
    (void)state;
    add(1, 91);
    pass_ms(MINUTE_MS);
    assert_true(world.retention.job > 0);
    retention_finish(&world.retention);
    store_wait(world.app.store);
    assert_string_equal(world.told, "");
    world.retention = (struct retention){0}; // as where it never began
    retention_finish(&world.retention);
    pass_ms(DAY_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_store),
        TEST(batches_and_then_a_day),
        TEST(a_full_last_batch),
        TEST(a_batch_whose_rest_is_used_again),
        TEST(switched_off_and_on_by_a_reload),
        TEST(a_clock_that_jumps_back),
        TEST(the_longest_that_can_be_set),
        TEST(a_queue_that_is_full),
        TEST(a_store_that_fails),
        TEST(a_file_that_keeps_what_was_deleted),
        TEST(its_end_while_one_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
