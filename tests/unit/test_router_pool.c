#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "router/call.h"
#include "router/router_internal.h"
#include "support/fake_clock.h"

// What calls leave behind serves the next ones, and is given back when they do not come.

enum { NOW_MS = 5000, WIDE = ROUTER_POOL_MAX + 4 };

struct world {
    struct fake_clock clock;
    struct router router;
};

static void open_world(struct world *world)
{
    const struct clock *clock = fake_clock_init(&world->clock, NOW_MS);
    world->router = (struct router){.call_count = 0};
    assert_int_equal(loop_create(clock, &world->router.env.loop, NULL), 0);
}

static void close_world(struct world *world)
{
    router_pool_clear(&world->router);
    loop_destroy(world->router.env.loop);
}

static void pass(struct world *world, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 100) {
        world->clock.now_ms += 100;
        loop_run_once(world->router.env.loop, 0);
    }
}

// So many calls at the same time, each with a buffer.
static void calls(struct world *world, size_t count)
{
    struct router_call *call[WIDE];
    struct buf body[WIDE];
    for (size_t i = 0; i < count; i++) {
        call[i] = router_pool_take(&world->router);
        call[i]->router = &world->router;
        body[i] = (struct buf)BUF_INIT(BUF_POOL_SMALL_BYTES);
        buf_pool_lend(&world->router.buffers, 0, &body[i]);
        assert_true(buf_append_text(&body[i], "hello"));
    }
    for (size_t i = 0; i < count; i++) {
        router_give_back(&world->router, &body[i]);
        router_pool_return(call[i]);
    }
}

static void the_next_call_gets_what_the_last_one_left(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    struct router_call *first = router_pool_take(&world.router);
    first->router = &world.router;
    first->asked = 7;
    router_pool_return(first);
    struct router_call *second = router_pool_take(&world.router);
    assert_ptr_equal(second, first);
    assert_int_equal(second->asked, 0);
    second->router = &world.router;
    router_pool_return(second);
    calls(&world, WIDE);
    assert_int_equal(world.router.pool_count, ROUTER_POOL_MAX);
    close_world(&world);
}

static void what_nobody_needs_is_given_back(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    calls(&world, WIDE);
    for (int i = 0; i < 30; i++) { // few are needed now
        calls(&world, 2);
        pass(&world, 100);
    }
    assert_int_equal(world.router.pool_count, 2);
    assert_int_equal(world.router.buffers.small.count, 2);
    pass(&world, 3000);
    assert_int_equal(world.router.pool_count, 0);
    assert_int_equal(world.router.buffers.small.count, 0);
    assert_true(world.router.trim == 0); // an idle router is not woken for it
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_call_gets_what_the_last_one_left),
        cmocka_unit_test(what_nobody_needs_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
