#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"
#include "support/ledger_world.h"

// What the router writes down is there after whatever ends the process, and a call under a cap goes
// out only when its reservation cannot be lost.

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

// Of the C library: a disk that fails when a journal is synced, and how often each was.
static atomic_bool journal_fails;
static atomic_int directory_syncs, journal_syncs;

int fdatasync(int fd)
{
    char link[32], target[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    bool is_journal =
        readlink(link, target, sizeof target - 1) > 0 && strstr(target, "/" JOURNAL_NAME);
    journal_syncs += is_journal;
    if (is_journal && journal_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    struct stat status;
    directory_syncs += fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    return (int)syscall(SYS_fsync, fd);
}

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

static int64_t number(const char *sql)
{
    return fixture_number(path, sql);
}

static void a_call_is_reserved_synced_settled_folded(void **state)
{
    (void)state;
    struct ledger_world world;
    struct error err = ERROR_INIT;
    ledger_world_open(&world, home);
    assert_int_equal(ledger_world_reserve(&world, "early", &err), -EAGAIN);
    assert_non_null(strstr(err.text, "still being added up"));
    ledger_world_run(&world, 0);
    assert_int_equal(world.ready, 1);
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    for (int i = 0; i < 5; i++) {
        char call[16];
        snprintf(call, sizeof call, "c%d", i);
        assert_int_equal(ledger_world_reserve(&world, call, NULL), 0);
    }
    assert_int_equal(world.synced, 0);
    journal_syncs = 0;
    ledger_world_run(&world, 0);
    assert_int_equal(world.synced, 5);
    assert_int_equal(journal_syncs, 1); // shared
    assert_int_equal(ledger_world_settle(&world, "c0", 7), 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 0);
    assert_int_equal(router_ledger_written(world.ledger), 1);
    assert_int_equal(router_ledger_kept(world.ledger), 0);
    ledger_world_run(&world, 2000);
    ledger_world_run(&world, 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    assert_int_equal(router_ledger_kept(world.ledger), 1);
    assert_int_equal(number("SELECT day FROM ledger"), LEDGER_WORLD_DAY);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 4);
    assert_int_equal(router_ledger_release(world.ledger, SPAN_LITERAL("c1")), 0);
    assert_int_equal(router_ledger_kept(world.ledger), 1);
    ledger_world_run(&world, 2000);
    ledger_world_run(&world, 0);
    assert_int_equal(router_ledger_kept(world.ledger), 2);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 3);
    ledger_world_close(&world);
}

static void a_forgotten_wait_says_nothing(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    ledger_world_reserve(&world, "a", NULL);
    ledger_world_reserve(&world, "b", NULL);
    router_ledger_forget(&world.waits[0]);
    ledger_world_run(&world, 0);
    assert_int_equal(world.synced, 1);
    ledger_world_reserve(&world, "c", NULL);
    ledger_world_close(&world); // while it waits
    assert_int_equal(world.synced, 1);
}

// The name of a new file is on the disk with the first of its records that is.
static void a_sync_that_failed_has_not_kept_the_name(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    directory_syncs = 0;
    journal_fails = true;
    ledger_world_reserve(&world, "a", NULL);
    ledger_world_run(&world, 0);
    journal_fails = false;
    assert_int_equal(world.failed, 1);
    assert_int_equal(directory_syncs, 0);
    ledger_world_run(&world, 10000); // until the disk is tried again
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ledger_world_reserve(&world, "b", NULL), 0);
        ledger_world_run(&world, 0);
        assert_int_equal(world.synced, i + 1);
        assert_int_equal(directory_syncs, 1); // and not with every record
    }
    ledger_world_close(&world);
}

// The process is killed with calls in flight, rows not applied, and nothing closed.
static void be_killed(void)
{
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    for (int i = 0; i < 30; i++) {
        char call[16];
        snprintf(call, sizeof call, "c%d", i);
        ledger_world_reserve(&world, call, NULL);
        if (i % 3)
            ledger_world_settle(&world, call, 2);
        if (i == 15)
            ledger_world_run(&world, 2000);
    }
    kill(getpid(), SIGKILL);
}

static void a_killed_process_loses_no_row(void **state)
{
    (void)state;
    for (int round = 1; round <= 2; round++) { // nothing is charged twice either
        if (round == 2)                        // the same names are used again
            fixture_exec(path, "DELETE FROM ledger; DELETE FROM ledger_days");
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            be_killed();
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        struct ledger_world world;
        int64_t before = (round - 1) * (20 * 2 + 10 * 50);
        ledger_world_open(&world, home);
        ledger_world_run(&world, 0);
        assert_int_equal(world.ready, 1);
        assert_int_equal(world.sums, 1);
        assert_int_equal(world.spent_pico, before + 20 * 2 + 10 * 50);
        ledger_world_close(&world);
        ledger_world_open(&world, home);
        ledger_world_run(&world, 0);
        assert_int_equal(world.spent_pico, before + 20 * 2 + 10 * 50);
        assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
        ledger_world_close(&world);
    }
}

// One that was refused at once, and the next was begun in the same millisecond; or before it, by a
// clock that was set back.
static void a_quick_failure_hides_no_orphan(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int64_t later_ms, spent_pico;
    } cases[] = {{"at once", 0, 50}, {"before", -60000, 100}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ledger_world world;
        ledger_world_open(&world, home);
        ledger_world_run(&world, 0);
        ledger_world_settle(&world, cases[i].call, 0);
        const struct store_charge held = ledger_world_charge(LEDGER_WORLD_HELD);
        struct store_attempt next = ledger_world_attempt(&world, cases[i].call, -1);
        next.attempt = 2;
        next.wall_ms += cases[i].later_ms;
        next.reserved_pico = LEDGER_WORLD_HELD;
        next.charges = &held;
        next.charge_count = 1;
        assert_int_equal(
            router_ledger_reserve(world.ledger, &next, ledger_world_wait(&world), NULL), 0);
        ledger_world_close(&world);
        ledger_world_open(&world, home);
        ledger_world_run(&world, 0);
        assert_int_equal(world.spent_pico, cases[i].spent_pico);
        ledger_world_close(&world);
    }
}

static void an_orderly_end_leaves_little_for_the_next_start(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    ledger_world_settle(&world, "c", 9);
    ledger_world_close(&world);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    ledger_world_open(&world, home);
    ledger_world_settle(&world, "before it is ready", 1);
    ledger_world_run(&world, 0);
    assert_int_equal(world.spent_pico, 9);
    ledger_world_run(&world, 2000);
    ledger_world_run(&world, 0);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 10);
    assert_int_equal(world.troubles, 0);
    ledger_world_close(&world);
}

static void long_files_are_left_and_removed(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    enum { CALLS = 12000 };
    for (int i = 0; i < CALLS; i++) {
        char call[24];
        snprintf(call, sizeof call, "a-long-call-id-%d", i);
        ledger_world_reserve(&world, call, NULL);
        ledger_world_settle(&world, call, 1);
        if (i % 40 == 0)
            ledger_world_run(&world, 8);
    }
    for (int i = 0; i < 40 && router_ledger_kept(world.ledger) < CALLS; i++)
        ledger_world_run(&world, 1000);
    ledger_world_run(&world, 2000);
    assert_int_equal(world.synced, CALLS);
    assert_int_equal(router_ledger_kept(world.ledger), CALLS);
    assert_true(ledger_journal_bytes(world.ledger) < 5 << 20);
    assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
    assert_int_equal(number("SELECT count(*) FROM ledger"), CALLS);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), CALLS);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 0);
    ledger_world_close(&world);
}

// Sizes of files are limited: writes fail as on a full disk, and the database's as well.
static void a_full_disk_stops_promises_and_loses_nothing(void **state)
{
    (void)state;
    struct ledger_world world;
    struct error err = ERROR_INIT;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    assert_int_equal(ledger_world_reserve(&world, "under way", NULL), 0);
    ledger_world_run(&world, 0);
    ledger_world_fill_disk();
    while (ledger_world_settle(&world, "until nothing is left of what was reserved ahead", 0) == 0)
        continue;
    assert_true(ledger_world_reserve(&world, "refused", &err) < 0);
    assert_true(ledger_world_settle(&world, "under way", 3) < 0);
    assert_true(ledger_world_settle(&world, "free", 0) < 0); // a call without a cap goes on
    assert_int_equal(world.troubles, 1);
    assert_true(router_ledger_trouble(world.ledger)[0] != '\0');
    assert_int_equal(ledger_world_reserve(&world, "refused", &err), -EAGAIN);
    assert_int_equal(world.ledger->waiting_rows, 3);
    ledger_world_run(&world, 16000);
    assert_int_equal(ledger_world_reserve(&world, "refused", &err), -EAGAIN);
    assert_true(router_ledger_kept(world.ledger) < router_ledger_written(world.ledger) - 1);
    ledger_world_free_disk();
    ledger_world_run(&world, 16000);
    ledger_world_run(&world, 16000);
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    assert_string_equal(world.note, "it is being written again");
    assert_int_equal(ledger_world_reserve(&world, "taken", NULL), 0);
    assert_int_equal(world.ledger->waiting_rows + world.ledger->lost_rows, 0);
    ledger_world_run(&world, 2000);
    ledger_world_run(&world, 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 3);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 3);
    assert_int_equal(router_ledger_kept(world.ledger), router_ledger_written(world.ledger));
    ledger_world_close(&world);
}

// Nobody lets the database take anything up, as if its disk were slow; the calls that are under way
// then go on for longer than the journal has room.
static void a_slow_database_refuses_calls_and_loses_no_row(void **state)
{
    (void)state;
    enum { UNDER_WAY = 3600 };
    struct ledger_world world;
    int rows = 0;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    while (!router_ledger_is_full(world.ledger))
        ledger_world_settle_long(&world, rows++);
    assert_non_null(strstr(router_ledger_trouble(world.ledger), "the disk does not keep up"));
    assert_non_null(strstr(world.note, "the disk does not keep up"));
    for (int i = 0; i < UNDER_WAY; i++)
        ledger_world_settle_long(&world, rows++);
    assert_true(router_ledger_is_full(world.ledger));
    assert_true(world.ledger->waiting_rows > 0);
    assert_int_equal(world.ledger->lost_rows, 0);
    assert_in_range(ledger_journal_bytes(world.ledger), 60 << 20, 64 << 20);

    for (int i = 0; i < 100 && router_ledger_kept(world.ledger) < rows; i++)
        ledger_world_run(&world, 1000);
    assert_false(router_ledger_is_full(world.ledger));
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    assert_string_equal(world.note, "it has room again; calls are accepted");
    ledger_world_run(&world, 2000);
    assert_int_equal(world.ledger->waiting_rows + world.ledger->lost_rows, 0);
    assert_int_equal(router_ledger_written(world.ledger), rows);
    assert_int_equal(router_ledger_kept(world.ledger), rows);
    assert_int_equal(number("SELECT count(*) FROM ledger"), rows);
    assert_int_equal(number("SELECT sum(cost_pico) FROM ledger"), rows);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), rows);
    ledger_world_close(&world);
}

static void a_correction_is_told(void **state)
{
    (void)state;
    struct ledger_world world;
    struct store_charge held = ledger_world_charge(LEDGER_WORLD_HELD);
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    struct store_attempt row = ledger_world_attempt(&world, "c", 50);
    row.source = STORE_COST_BOUND;
    row.charges = &held;
    row.charge_count = 1;
    router_ledger_settle(world.ledger, &row);
    assert_int_equal(router_ledger_correct(world.ledger, SPAN_LITERAL("c"), 1, 8, NULL), 0);
    ledger_world_run(&world, 0);
    assert_int_equal(world.corrected_pico, -42);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 8);
    ledger_world_close(&world);
}

static void old_rows_are_forgotten_in_time(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    struct store_attempt row = ledger_world_attempt(&world, "old", 1);
    row.wall_ms -= (int64_t)91 * LEDGER_WORLD_DAY_MS;
    router_ledger_settle(world.ledger, &row);
    ledger_world_settle(&world, "new", 1);
    ledger_world_run(&world, 64000);
    ledger_world_run(&world, 64000);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), 2);
    ledger_world_close(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_reserved_synced_settled_folded),
        TEST(a_forgotten_wait_says_nothing),
        TEST(a_sync_that_failed_has_not_kept_the_name),
        TEST(a_killed_process_loses_no_row),
        TEST(a_quick_failure_hides_no_orphan),
        TEST(an_orderly_end_leaves_little_for_the_next_start),
        TEST(long_files_are_left_and_removed),
        TEST(a_full_disk_stops_promises_and_loses_nothing),
        TEST(a_slow_database_refuses_calls_and_loses_no_row),
        TEST(a_correction_is_told),
        TEST(old_rows_are_forgotten_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
