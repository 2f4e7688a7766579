// links: ledger_world store_fixture
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/ledger_world.h"

// What the ledger tells of rows that it could not keep.

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
    router_ledger_release(world.ledger, SPAN_LITERAL("no row"), NULL);
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
    struct router_ledger_figures figures = {0};
    int tellings = 0;
    ledger_world_open(&world, home);
    ledger_world_run(&world, 0);
    settle_until_full(&world);
    for (int i = 0; figures.lost_rows < 5; i++) {
        world.note[0] = '\0';
        ledger_world_settle_long(&world, i);
        tellings += strstr(world.note, "are lost (") != NULL;
        router_ledger_figures(world.ledger, &figures);
    }
    assert_int_equal(tellings, 3); // of the first, the second and the fourth
    ledger_world_close(&world);
    assert_non_null(strstr(world.note, "free some space"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_that_a_stop_on_a_full_disk_loses_are_told),
        TEST(rows_that_memory_has_no_room_for_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
