#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"
#include "support/ledger_world.h"

// Rows that the ledger could not keep, and records that were lost, are told.

static char home[FIXTURE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ledger_world_free_disk();
    fixture_remove_home(home);
    return 0;
}

// Until nothing is left of the room that was reserved ahead.
static void settle_until_full(struct ledger_world *world)
{
    ledger_world_fill_disk();
    while (ledger_world_settle(world, "kept", 0) == 0)
        continue;
}

static void rows_that_a_stop_on_a_full_disk_loses_are_told(void **state)
{
    (void)state;
    struct ledger_world world;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    settle_until_full(&world);
    ledger_world_settle(&world, "one", 2500000000); // picodollars
    ledger_world_settle(&world, "two", 4000000000);
    router_ledger_release(world.ledger, SPAN_LITERAL("no row"));
    ledger_world_close(&world);
    if (!strstr(world.note, "3 calls ($0.0065)") || !strstr(world.note, "free some space"))
        fail_msg("%s", world.note);
    ledger_world_free_disk();

    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    ledger_world_fill_disk(); // nothing waits for it
    int notes = world.notes;
    ledger_world_close(&world);
    assert_int_equal(world.notes, notes);
}

// There is room for far more rows than the calls have that are let in until then.
static void rows_that_memory_has_no_room_for_are_told(void **state)
{
    (void)state;
    struct ledger_world world;
    int tellings = 0;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    settle_until_full(&world);
    for (int i = 0; world.ledger->lost_rows < 5; i++) {
        world.note[0] = '\0';
        ledger_world_settle_long(&world, i);
        tellings += strstr(world.note, "are lost (") != NULL;
    }
    assert_int_equal(tellings, 3); // of the first, the second and the fourth
    ledger_world_close(&world);
    assert_non_null(strstr(world.note, "free some space"));
}

static const int64_t noon_ms =
    (int64_t)LEDGER_WORLD_DAY * LEDGER_WORLD_DAY_MS + LEDGER_WORLD_DAY_MS / 2;

static const char *lost_file(void)
{
    return fixture_path(home, JOURNAL_LOST ".0000000000000001");
}

static void lose_at(int64_t wall_ms)
{
    const struct timespec times[2] = {{.tv_sec = wall_ms / 1000}, {.tv_sec = wall_ms / 1000}};
    int fd = open(lost_file(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static int64_t lost_at(void)
{
    struct stat status;
    assert_int_equal(stat(lost_file(), &status), 0);
    return (int64_t)status.st_mtime * 1000;
}

static struct ledger_world start_at(int64_t wall_ms)
{
    struct ledger_world world;
    ledger_world_open_at(&world, home, wall_ms);
    ledger_world_run(&world, 0);
    ledger_world_close(&world);
    return world;
}

// Else each start would close the period that it finds.
static void a_loss_of_an_unset_clock_is_dated_once(void **state)
{
    (void)state;
    lose_at(5000);
    assert_int_equal(start_at(60000).lost_ms, 60000); // it is not set yet
    assert_int_equal(lost_at(), 5000);
    assert_int_equal(start_at(noon_ms).lost_ms, noon_ms);
    assert_int_equal(lost_at(), noon_ms);
    assert_int_equal(start_at(noon_ms + LEDGER_WORLD_DAY_MS).lost_ms, noon_ms);
}

static void a_loss_is_dated_when_the_clock_is_set(void **state)
{
    (void)state;
    struct ledger_world world;
    lose_at(5000);
    ledger_world_open_at(&world, home, 60000);
    ledger_world_run(&world, 8000);
    assert_int_equal(world.lost_ms, 60000);
    world.clock.wall_ms = noon_ms;
    ledger_world_run(&world, 8000);
    assert_in_range(world.lost_ms, noon_ms, noon_ms + 2000);
    assert_int_equal(lost_at(), world.lost_ms / 1000 * 1000);
    ledger_world_close(&world);
    world.clock.wall_ms += LEDGER_WORLD_DAY_MS;
    assert_int_equal(start_at(world.clock.wall_ms).lost_ms, lost_at());
}

static void a_loss_that_closes_nothing_any_more_is_no_error(void **state)
{
    (void)state;
    lose_at(noon_ms);
    struct ledger_world world = start_at(noon_ms + 1000);
    assert_int_equal(world.troubles, 1);
    assert_non_null(strstr(world.note, "what was spent by then is not known"));
    world = start_at(noon_ms + 2 * (int64_t)LEDGER_WORLD_DAY_MS);
    assert_int_equal(world.troubles, 0);
    assert_non_null(strstr(world.note, "closes no budget; remove "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_that_a_stop_on_a_full_disk_loses_are_told),
        TEST(rows_that_memory_has_no_room_for_are_told),
        TEST(a_loss_of_an_unset_clock_is_dated_once),
        TEST(a_loss_is_dated_when_the_clock_is_set),
        TEST(a_loss_that_closes_nothing_any_more_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
