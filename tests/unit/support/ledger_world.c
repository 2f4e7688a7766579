#include "support/ledger_world.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

enum { NOW_MS = 5000 };

static void on_sum(void *context, const struct store_charge *spent)
{
    struct ledger_world *world = context;
    world->sums++;
    world->spent_pico += spent->amount_pico;
}

static void on_correction(void *context, const struct store_charge *difference)
{
    ((struct ledger_world *)context)->corrected_pico += difference->amount_pico;
}

static void on_ready(void *context)
{
    ((struct ledger_world *)context)->ready++;
}

static bool on_lost(void *context, int64_t wall_ms)
{
    struct ledger_world *world = context;
    world->lost_ms = wall_ms;
    return wall_ms + LEDGER_WORLD_DAY_MS > world->clock.wall_ms;
}

static void on_event(void *context, enum router_ledger_event kind, const char *sentence)
{
    struct ledger_world *world = context;
    world->troubles += kind == LEDGER_TROUBLE;
    world->notes++;
    snprintf(world->note, sizeof world->note, "%s", sentence);
}

static void on_reserved(void *context, int result, const struct error *err)
{
    struct ledger_world *world = context;
    (void)err;
    world->synced += result == 0;
    world->failed += result < 0;
}

static void on_store(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    store_dispatch(((struct ledger_world *)context)->store);
}

static int64_t one_hour(void *context, int64_t wall_ms)
{
    (void)context;
    (void)wall_ms;
    return 3600000;
}

void ledger_world_open_at(struct ledger_world *world, const char *home, int64_t wall_ms)
{
    struct error err = ERROR_INIT;
    *world = (struct ledger_world){0};
    fake_clock_init(&world->clock, NOW_MS);
    world->clock.wall_ms = wall_ms;
    assert_int_equal(loop_create(&world->clock.clock, &world->loop, NULL), 0);
    world->store = fixture_open(home, NULL);
    loop_watch(world->loop, store_event_fd(world->store), LOOP_READ, on_store, world);
    struct router_ledger_options options = {
        .loop = world->loop,
        .store = world->store,
        .home = home,
        .days = 90,
        .offset_ms = one_hour,
        .on_sum = on_sum,
        .on_correction = on_correction,
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_event = on_event,
        .context = world,
    };
    if (router_ledger_create(&options, &world->ledger, &err) < 0)
        fail_msg("%s", err.text);
}

void ledger_world_open(struct ledger_world *world, const char *home)
{
    ledger_world_open_at(world, home, (int64_t)LEDGER_WORLD_DAY * LEDGER_WORLD_DAY_MS);
}

void ledger_world_close(struct ledger_world *world)
{
    router_ledger_destroy(world->ledger);
    store_close(world->store);
    loop_destroy(world->loop);
}

void ledger_world_run(struct ledger_world *world, int64_t ms)
{
    for (int i = 0; i < 8; i++) {
        loop_run_once(world->loop, 0);
        store_wait(world->store);
        world->clock.now_ms += ms / 8;
        world->clock.wall_ms += ms / 8;
    }
    loop_run_once(world->loop, 0);
}

struct store_charge ledger_world_charge(int64_t amount_pico)
{
    return (struct store_charge){.account = SPAN_LITERAL("day"),
                                 .period_ms = 1000,
                                 .resets_ms = -1,
                                 .amount_pico = amount_pico};
}

struct store_attempt ledger_world_attempt(const struct ledger_world *world, const char *call,
                                          int64_t cost_pico)
{
    struct store_attempt row = STORE_ATTEMPT_INIT;
    row.call = span_of(call);
    row.attempt = 1;
    row.wall_ms = world->clock.wall_ms;
    row.model = SPAN_LITERAL("m");
    row.cost_pico = cost_pico;
    row.source = STORE_COST_PRICE;
    return row;
}

struct router_ledger_wait *ledger_world_wait(struct ledger_world *world)
{
    struct router_ledger_wait *wait = &world->waits[world->waits_used++ % LEDGER_WORLD_WAITS];
    *wait = (struct router_ledger_wait){.done = on_reserved, .context = world};
    return wait;
}

int ledger_world_reserve(struct ledger_world *world, const char *call, struct error *err)
{
    const struct store_charge held = ledger_world_charge(LEDGER_WORLD_HELD);
    struct store_attempt attempt = ledger_world_attempt(world, call, -1);
    attempt.reserved_pico = LEDGER_WORLD_HELD;
    attempt.charges = &held;
    attempt.charge_count = 1;
    return router_ledger_reserve(world->ledger, &attempt, ledger_world_wait(world), err);
}

int ledger_world_settle(struct ledger_world *world, const char *call, int64_t cost_pico)
{
    const struct store_charge paid = ledger_world_charge(cost_pico);
    struct store_attempt row = ledger_world_attempt(world, call, cost_pico);
    row.charges = &paid;
    row.charge_count = 1;
    return router_ledger_settle(world->ledger, &row);
}

int ledger_world_settle_long(struct ledger_world *world, int number)
{
    static char text[LEDGER_TEXT_MAX], accounts[LEDGER_CHARGES_MAX][LEDGER_TEXT_MAX];
    struct store_charge charges[LEDGER_CHARGES_MAX];
    char call[24];
    snprintf(call, sizeof call, "call-%d", number);
    struct store_attempt row = ledger_world_attempt(world, call, 1);
    memset(text, 'x', sizeof text);
    row.slot = row.session = row.job = row.key = row.user = row.group = row.model = row.deployment =
        row.provider = row.from = row.reply_id = span_make(text, sizeof text);
    for (int i = 0; i < LEDGER_CHARGES_MAX; i++) {
        memset(accounts[i], 'a' + i, LEDGER_TEXT_MAX);
        charges[i] = ledger_world_charge(1);
        charges[i].account = span_make(accounts[i], LEDGER_TEXT_MAX);
    }
    row.charges = charges;
    row.charge_count = LEDGER_CHARGES_MAX;
    return router_ledger_settle(world->ledger, &row);
}

// A write then fails, as on a full disk, and the signal that comes with it is blocked.
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

void ledger_world_fill_disk(void)
{
    limit_files(0);
}

void ledger_world_free_disk(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit_files(limit.rlim_max);
}
