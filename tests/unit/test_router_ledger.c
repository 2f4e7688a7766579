// links: store_fixture
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "router/ledger.h"
#include "store/journal.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

// What the router writes down is there after whatever ends the process, and a call under a cap goes
// out only when its reservation cannot be lost.

enum { NOW_MS = 5000, DAY = 20700, DAY_MS = 86400000 };

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct store *store;
    struct router_ledger *ledger;
    int64_t sums, spent_pico, corrected_pico;
    int ready, troubles, notes;
    char note[ERROR_TEXT_MAX];
    int synced, failed; // reservations
};

static void on_sum(void *context, const struct store_charge *spent)
{
    struct world *world = context;
    world->sums++;
    world->spent_pico += spent->amount_pico;
}

static void on_correction(void *context, const struct store_charge *difference)
{
    ((struct world *)context)->corrected_pico += difference->amount_pico;
}

static void on_ready(void *context)
{
    ((struct world *)context)->ready++;
}

static void on_note(void *context, const char *sentence, bool is_trouble)
{
    struct world *world = context;
    world->troubles += is_trouble;
    world->notes++;
    snprintf(world->note, sizeof world->note, "%s", sentence);
}

static void on_reserved(void *context, int result, const struct error *err)
{
    struct world *world = context;
    (void)err;
    world->synced += result == 0;
    world->failed += result < 0;
}

static void on_store(void *context, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    store_dispatch(((struct world *)context)->store);
}

static int64_t one_hour(void *context, int64_t wall_ms)
{
    (void)context;
    (void)wall_ms;
    return 3600000;
}

static void open_world(struct world *world)
{
    struct error err = ERROR_INIT;
    *world = (struct world){0};
    fake_clock_init(&world->clock, NOW_MS);
    world->clock.wall_ms = (int64_t)DAY * DAY_MS;
    assert_int_equal(loop_create(&world->clock.clock, &world->loop, NULL), 0);
    world->store = fixture_open(home, NULL);
    loop_watch(world->loop, store_event_fd(world->store), LOOP_READ, on_store, world);
    struct router_ledger_options options = {
        .loop = world->loop,
        .store = world->store,
        .home = home,
        .offset_ms = one_hour,
        .on_sum = on_sum,
        .on_correction = on_correction,
        .on_ready = on_ready,
        .on_note = on_note,
        .context = world,
    };
    if (router_ledger_create(&options, &world->ledger, &err) < 0)
        fail_msg("%s", err.text);
}

static void close_world(struct world *world)
{
    router_ledger_destroy(world->ledger);
    store_close(world->store);
    loop_destroy(world->loop);
}

// As far as it goes without time passing; then so much time passes.
static void run(struct world *world, int64_t ms)
{
    for (int i = 0; i < 8; i++) {
        loop_run_once(world->loop, 0);
        store_wait(world->store);
        world->clock.now_ms += ms / 8;
        world->clock.wall_ms += ms / 8;
    }
    loop_run_once(world->loop, 0);
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

static const struct store_charge charge = {{"day", 3}, 1000, -1, 50};

static struct store_attempt attempt_of(const struct world *world, const char *call, int64_t cost)
{
    struct store_attempt row = STORE_ATTEMPT_INIT;
    row.call = span_of(call);
    row.attempt = 1;
    row.wall_ms = world->clock.wall_ms;
    row.model = SPAN_LITERAL("m");
    row.cost_pico = cost;
    row.source = STORE_COST_PRICE;
    return row;
}

static int64_t reserve(struct world *world, const char *call, struct error *err)
{
    struct store_attempt attempt = attempt_of(world, call, -1);
    attempt.reserved_pico = charge.amount_pico;
    attempt.charges = &charge;
    attempt.charge_count = 1;
    return router_ledger_reserve(world->ledger, &attempt, on_reserved, world, err);
}

static int settle(struct world *world, const char *call, int64_t cost)
{
    struct store_charge paid = charge;
    struct store_attempt row = attempt_of(world, call, cost);
    paid.amount_pico = cost;
    row.charges = &paid;
    row.charge_count = 1;
    return router_ledger_settle(world->ledger, &row, NULL);
}

static int64_t number(const char *sql)
{
    return fixture_number(path, sql);
}

static void a_call_is_reserved_synced_settled_folded(void **state)
{
    (void)state;
    struct world world;
    struct error err = ERROR_INIT;
    struct router_ledger_figures figures;
    open_world(&world);
    assert_int_equal(reserve(&world, "early", &err), -EAGAIN);
    assert_non_null(strstr(err.text, "still being added up"));
    run(&world, 0);
    assert_int_equal(world.ready, 1);
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    for (int i = 0; i < 5; i++) {
        char call[16];
        snprintf(call, sizeof call, "c%d", i);
        assert_true(reserve(&world, call, NULL) > 0);
    }
    assert_int_equal(world.synced, 0);
    run(&world, 0);
    assert_int_equal(world.synced, 5);
    router_ledger_figures(world.ledger, &figures);
    assert_int_equal(figures.syncs, 1); // shared
    assert_int_equal(settle(&world, "c0", 7), 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 0);
    assert_int_equal(router_ledger_written(world.ledger), 1);
    assert_int_equal(router_ledger_kept(world.ledger), 0);
    run(&world, 2000);
    run(&world, 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    assert_int_equal(router_ledger_kept(world.ledger), 1);
    assert_int_equal(number("SELECT day FROM ledger"), DAY);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 4);
    assert_true(router_ledger_flush(world.ledger));
    assert_int_equal(router_ledger_release(world.ledger, SPAN_LITERAL("c1"), NULL), 0);
    assert_false(router_ledger_flush(world.ledger));
    run(&world, 0);
    assert_true(router_ledger_flush(world.ledger));
    assert_int_equal(number("SELECT count(*) FROM reservations"), 3);
    close_world(&world);
}

static void a_forgotten_ticket_says_nothing(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    run(&world, 0);
    int64_t first = reserve(&world, "a", NULL);
    reserve(&world, "b", NULL);
    router_ledger_forget(world.ledger, first);
    run(&world, 0);
    assert_int_equal(world.synced, 1);
    reserve(&world, "c", NULL);
    close_world(&world); // while it waits
    assert_int_equal(world.synced, 1);
}

// Of the C library: a disk that fails when a journal is synced, and how often a directory was.
static atomic_bool journal_fails;
static atomic_int directory_syncs;

int fdatasync(int fd)
{
    char link[32], target[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof target - 1) > 0 && strstr(target, "/" JOURNAL_NAME) &&
        journal_fails) {
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

// The name of a new file is on the disk with the first of its records that is.
static void a_sync_that_failed_has_not_kept_the_name(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    run(&world, 0);
    directory_syncs = 0;
    journal_fails = true;
    reserve(&world, "a", NULL);
    run(&world, 0);
    journal_fails = false;
    assert_int_equal(world.failed, 1);
    assert_int_equal(directory_syncs, 0);
    run(&world, 10000); // until the disk is tried again
    for (int i = 0; i < 2; i++) {
        assert_true(reserve(&world, "b", NULL) > 0);
        run(&world, 0);
        assert_int_equal(world.synced, i + 1);
        assert_int_equal(directory_syncs, 1); // and not with every record
    }
    close_world(&world);
}

// The process is killed with calls in flight, rows not folded, and nothing closed.
static void be_killed(void)
{
    struct world world;
    open_world(&world);
    run(&world, 0);
    for (int i = 0; i < 30; i++) {
        char call[16];
        snprintf(call, sizeof call, "c%d", i);
        reserve(&world, call, NULL);
        if (i % 3)
            settle(&world, call, 2);
        if (i == 15)
            run(&world, 2000);
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
        struct world world;
        int64_t before = (round - 1) * (20 * 2 + 10 * 50);
        open_world(&world);
        run(&world, 0);
        assert_int_equal(world.ready, 1);
        assert_int_equal(world.sums, 1);
        assert_int_equal(world.spent_pico, before + 20 * 2 + 10 * 50);
        close_world(&world);
        open_world(&world);
        run(&world, 0);
        assert_int_equal(world.spent_pico, before + 20 * 2 + 10 * 50);
        assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
        close_world(&world);
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
        struct world world;
        open_world(&world);
        run(&world, 0);
        settle(&world, cases[i].call, 0);
        struct store_attempt next = attempt_of(&world, cases[i].call, -1);
        next.attempt = 2;
        next.wall_ms += cases[i].later_ms;
        next.reserved_pico = charge.amount_pico;
        next.charges = &charge;
        next.charge_count = 1;
        assert_true(router_ledger_reserve(world.ledger, &next, on_reserved, &world, NULL) > 0);
        close_world(&world);
        open_world(&world);
        run(&world, 0);
        assert_int_equal(world.spent_pico, cases[i].spent_pico);
        close_world(&world);
    }
}

static void an_orderly_end_leaves_little_for_the_next_start(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    run(&world, 0);
    settle(&world, "c", 9);
    close_world(&world);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    open_world(&world);
    settle(&world, "before it is ready", 1);
    run(&world, 0);
    assert_int_equal(world.spent_pico, 9);
    run(&world, 2000);
    run(&world, 0);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 10);
    assert_int_equal(world.troubles, 0);
    close_world(&world);
}

static void long_files_are_left_and_removed(void **state)
{
    (void)state;
    struct world world;
    struct router_ledger_figures figures;
    open_world(&world);
    run(&world, 0);
    enum { CALLS = 12000 };
    for (int i = 0; i < CALLS; i++) {
        char call[24];
        snprintf(call, sizeof call, "a-long-call-id-%d", i);
        reserve(&world, call, NULL);
        settle(&world, call, 1);
        if (i % 40 == 0)
            run(&world, 8);
    }
    for (int i = 0; i < 40 && !router_ledger_flush(world.ledger); i++)
        run(&world, 1000);
    run(&world, 2000);
    router_ledger_figures(world.ledger, &figures);
    assert_int_equal(world.synced, CALLS);
    assert_int_equal(figures.folded_rows, CALLS);
    assert_true(figures.journal_bytes < 5 << 20);
    assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
    assert_int_equal(number("SELECT count(*) FROM ledger"), CALLS);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), CALLS);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 0);
    close_world(&world);
}

// So that the write fails instead.
static void block_size_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

// Sizes of files are limited: writes fail as on a full disk, and the database's as well.
static void a_full_disk_stops_promises_and_loses_nothing(void **state)
{
    (void)state;
    struct world world;
    struct rlimit before;
    struct router_ledger_figures figures;
    struct error err = ERROR_INIT;
    open_world(&world);
    run(&world, 0);
    block_size_signal();
    getrlimit(RLIMIT_FSIZE, &before);
    assert_true(reserve(&world, "under way", NULL) > 0);
    run(&world, 0);
    struct rlimit none = {0, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    while (settle(&world, "until nothing is left of what was reserved ahead", 0) == 0)
        continue;
    assert_true(reserve(&world, "refused", &err) < 0);
    assert_true(settle(&world, "under way", 3) < 0);
    assert_true(settle(&world, "free", 0) < 0); // a call without a cap goes on
    assert_int_equal(world.troubles, 1);
    assert_true(router_ledger_trouble(world.ledger)[0] != '\0');
    assert_int_equal(reserve(&world, "refused", &err), -EAGAIN);
    router_ledger_figures(world.ledger, &figures);
    assert_int_equal(figures.waiting_rows, 3);
    run(&world, 16000);
    assert_int_equal(reserve(&world, "refused", &err), -EAGAIN);
    assert_true(router_ledger_kept(world.ledger) < router_ledger_written(world.ledger) - 1);
    setrlimit(RLIMIT_FSIZE, &before);
    run(&world, 16000);
    run(&world, 16000);
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    assert_string_equal(world.note, "");
    assert_true(reserve(&world, "taken", NULL) > 0);
    router_ledger_figures(world.ledger, &figures);
    assert_int_equal(figures.waiting_rows + figures.lost_rows, 0);
    run(&world, 2000);
    run(&world, 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 3);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 3);
    assert_int_equal(router_ledger_kept(world.ledger), router_ledger_written(world.ledger));
    close_world(&world);
}

// A row as long as one can be: all that its texts and accounts may hold.
static int settle_long(struct world *world, int number)
{
    static char text[LEDGER_TEXT_MAX], accounts[LEDGER_CHARGES_MAX][LEDGER_TEXT_MAX];
    struct store_charge charges[LEDGER_CHARGES_MAX];
    char call[24];
    snprintf(call, sizeof call, "call-%d", number);
    struct store_attempt row = attempt_of(world, call, 1);
    memset(text, 'x', sizeof text);
    row.slot = row.session = row.job = row.key = row.user = row.group = row.model = row.deployment =
        row.provider = row.from = row.reply_id = span_make(text, sizeof text);
    for (int i = 0; i < LEDGER_CHARGES_MAX; i++) {
        memset(accounts[i], 'a' + i, LEDGER_TEXT_MAX);
        charges[i] = charge;
        charges[i].account = span_make(accounts[i], LEDGER_TEXT_MAX);
        charges[i].amount_pico = 1;
    }
    row.charges = charges;
    row.charge_count = LEDGER_CHARGES_MAX;
    return router_ledger_settle(world->ledger, &row, NULL);
}

// Nobody lets the database take anything up, as if its disk were slow; the calls that are under way
// then go on for longer than the journal has room.
static void a_slow_database_refuses_calls_and_loses_no_row(void **state)
{
    (void)state;
    enum { UNDER_WAY = 3600 };
    struct world world;
    struct router_ledger_figures figures;
    int rows = 0;
    open_world(&world);
    run(&world, 0);
    while (!router_ledger_is_full(world.ledger))
        settle_long(&world, rows++);
    assert_non_null(strstr(router_ledger_trouble(world.ledger), "the disk does not keep up"));
    assert_non_null(strstr(world.note, "the disk does not keep up"));
    for (int i = 0; i < UNDER_WAY; i++)
        settle_long(&world, rows++);
    assert_true(router_ledger_is_full(world.ledger));
    router_ledger_figures(world.ledger, &figures);
    assert_true(figures.waiting_rows > 0);
    assert_int_equal(figures.lost_rows, 0);
    assert_in_range(figures.journal_bytes, 60 << 20, 64 << 20);

    for (int i = 0; i < 100 && router_ledger_kept(world.ledger) < rows; i++)
        run(&world, 1000);
    assert_false(router_ledger_is_full(world.ledger));
    assert_string_equal(router_ledger_trouble(world.ledger), "");
    assert_string_equal(world.note, "");
    run(&world, 2000);
    router_ledger_figures(world.ledger, &figures);
    assert_int_equal(figures.waiting_rows + figures.lost_rows, 0);
    assert_int_equal(router_ledger_written(world.ledger), rows);
    assert_int_equal(router_ledger_kept(world.ledger), rows);
    assert_int_equal(number("SELECT count(*) FROM ledger"), rows);
    assert_int_equal(number("SELECT sum(cost_pico) FROM ledger"), rows);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), rows);
    close_world(&world);
}

static void a_correction_is_told(void **state)
{
    (void)state;
    struct world world;
    struct store_charge held = charge;
    open_world(&world);
    run(&world, 0);
    struct store_attempt row = attempt_of(&world, "c", 50);
    row.source = STORE_COST_BOUND;
    row.charges = &held;
    row.charge_count = 1;
    router_ledger_settle(world.ledger, &row, NULL);
    assert_int_equal(
        router_ledger_correct(world.ledger, SPAN_LITERAL("c"), 1, 8, STORE_COST_PROVIDER, NULL), 0);
    run(&world, 0);
    assert_int_equal(world.corrected_pico, -42);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 8);
    close_world(&world);
}

static void old_rows_are_forgotten_in_time(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    run(&world, 0);
    struct store_attempt row = attempt_of(&world, "old", 1);
    row.wall_ms -= (int64_t)91 * DAY_MS;
    router_ledger_settle(world.ledger, &row, NULL);
    settle(&world, "new", 1);
    run(&world, 64000);
    run(&world, 64000);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), 2);
    close_world(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_reserved_synced_settled_folded),
        TEST(a_forgotten_ticket_says_nothing),
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
