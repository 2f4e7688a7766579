#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/route/bucket.h"
#include "router/route/prng.h"

static struct router_bucket *bucket_of(int64_t tokens, int64_t requests)
{
    struct router_bucket_limits limits = {.tokens = tokens, .requests = requests};
    return router_bucket_create(&limits);
}

static uint64_t queue(struct router_bucket *bucket, enum chat_priority priority, int64_t tokens,
                      int64_t now_ms)
{
    struct router_bucket_request request = {priority, tokens, INT64_MAX, NULL, NULL};
    struct router_bucket_reservation reservation;
    uint64_t id = 0;
    assert_int_equal(router_bucket_enter(bucket, &request, now_ms, &id, &reservation),
                     BUCKET_QUEUED);
    return id;
}

static struct router_bucket_reservation take(struct router_bucket *bucket, int64_t tokens,
                                             int64_t now_ms)
{
    struct router_bucket_request request = {CHAT_API, tokens, INT64_MAX, NULL, NULL};
    struct router_bucket_reservation reservation;
    uint64_t id;
    assert_int_equal(router_bucket_enter(bucket, &request, now_ms, &id, &reservation),
                     BUCKET_GRANTED);
    return reservation;
}

static uint64_t granted(struct router_bucket *bucket, int64_t now_ms)
{
    struct router_bucket_event event;
    if (!router_bucket_next(bucket, now_ms, &event))
        return 0;
    assert_int_equal(event.outcome, BUCKET_GRANTED);
    return event.id;
}

static void test_reserve_settle_and_release(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(1000, -1);
    struct router_bucket_reservation first = take(bucket, 900, 5000), second;
    uint64_t waits = queue(bucket, CHAT_API, 500, 5000);
    assert_int_equal(granted(bucket, 5000), 0);
    router_bucket_settle(bucket, &first, 100, 6000);
    assert_int_equal(router_bucket_view(bucket, 6000).tokens, 100);
    assert_int_equal(granted(bucket, 6000), waits);
    router_bucket_settle(bucket, &first, 0, 6000); // empty: nothing twice
    assert_int_equal(router_bucket_view(bucket, 6000).tokens, 600);
    second = take(bucket, 400, 6000);
    router_bucket_release(bucket, &second, 6000);
    assert_int_equal(router_bucket_view(bucket, 6000).tokens, 600);
    assert_int_equal(router_bucket_view(bucket, 6000).requests, 2);
    second = take(bucket, 100, 7000);
    router_bucket_settle(bucket, &second, 350, 9000); // more than it said: counts from now on
    assert_int_equal(router_bucket_view(bucket, 9000).tokens, 950);
    second = take(bucket, 50, 9000);
    router_bucket_settle(bucket, &second, -1, 9000); // not known: stays
    assert_int_equal(router_bucket_view(bucket, 9000).tokens, 1000);
    router_bucket_destroy(bucket);
}

static void test_requests_are_a_limit_too(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(-1, 2);
    take(bucket, 1000000, 1000);
    take(bucket, 1000000, 2000);
    uint64_t third = queue(bucket, CHAT_API, 1, 3000);
    assert_int_equal(router_bucket_wakeup(bucket, 3000), 62000);
    assert_int_equal(granted(bucket, 61999), 0);
    assert_int_equal(granted(bucket, 62000), third);
    router_bucket_destroy(bucket);
}

static void test_order_positions_cancel_and_ageing(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    take(bucket, 100, 1000);
    uint64_t background = queue(bucket, CHAT_BACKGROUND, 100, 1000);
    uint64_t cron = queue(bucket, CHAT_CRON, 100, 1000);
    uint64_t api = queue(bucket, CHAT_API, 100, 1000);
    uint64_t talk = queue(bucket, CHAT_INTERACTIVE, 100, 1000);
    uint64_t late = queue(bucket, CHAT_API, 100, 1500);
    assert_int_equal(router_bucket_position(bucket, talk), 1);
    assert_int_equal(router_bucket_position(bucket, api), 2);
    assert_int_equal(router_bucket_position(bucket, cron), 3);
    assert_int_equal(router_bucket_position(bucket, background), 4);
    assert_int_equal(router_bucket_position(bucket, late), 5); // has not waited yet
    assert_int_equal(granted(bucket, 3000), 0);
    assert_int_equal(router_bucket_position(bucket, late), 3);
    assert_int_equal(router_bucket_view(bucket, 3000).waiting[CHAT_API], 2);
    assert_true(router_bucket_cancel(bucket, api));
    assert_false(router_bucket_cancel(bucket, api));
    assert_int_equal(router_bucket_position(bucket, api), 0);
    assert_int_equal(router_bucket_position(bucket, late), 2);
    // Who was passed over grows more urgent than any newcomer.
    assert_int_equal(granted(bucket, 61999), 0);
    assert_int_equal(granted(bucket, 62000), talk);
    uint64_t new = queue(bucket, CHAT_INTERACTIVE, 100, 122500);
    assert_int_equal(granted(bucket, 122999), 0);
    assert_int_equal(router_bucket_position(bucket, background), 3);
    assert_int_equal(router_bucket_position(bucket, new), 4);
    router_bucket_destroy(bucket);
}

// It wakes no later than somebody else may go first, and never for nothing at the same instant.
static void test_wakes_when_the_order_changes(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    take(bucket, 60, 1000);
    queue(bucket, CHAT_BACKGROUND, 90, 1000);
    uint64_t talk = queue(bucket, CHAT_INTERACTIVE, 10, 13000); // 12 s are a tenth of a second
    int64_t at = router_bucket_wakeup(bucket, 13000);
    assert_true(at > 13000 && at < 13200);
    assert_int_equal(granted(bucket, 13000), 0);
    assert_int_equal(granted(bucket, at), talk);
    router_bucket_destroy(bucket);
}

static void test_nobody_passes_the_first(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    take(bucket, 60, 1000);
    uint64_t large = queue(bucket, CHAT_API, 90, 1000);
    uint64_t small = queue(bucket, CHAT_API, 10, 1000); // would fit at once
    assert_int_equal(granted(bucket, 61999), 0);
    assert_int_equal(granted(bucket, 62000), large);
    assert_int_equal(granted(bucket, 62000), small);
    assert_int_equal(granted(bucket, 62000), 0);
    assert_int_equal(router_bucket_wakeup(bucket, 62000), -1);
    router_bucket_destroy(bucket);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    struct router_bucket_event event;
    struct router_bucket_reservation reservation;
    uint64_t id;
    int mark;
    take(bucket, 100, 1000);
    queue(bucket, CHAT_API, 100, 1000);
    struct router_bucket_request request = {CHAT_CRON, 100, 9000, &mark};
    assert_int_equal(router_bucket_enter(bucket, &request, 2000, &id, &reservation), BUCKET_QUEUED);
    assert_int_equal(router_bucket_wakeup(bucket, 2000), 9000);
    assert_false(router_bucket_next(bucket, 8999, &event));
    assert_true(router_bucket_next(bucket, 9000, &event));
    assert_int_equal(event.outcome, BUCKET_EXPIRED);
    assert_int_equal(event.waited_ms, 7000);
    assert_ptr_equal(event.context, &mark);
    assert_false(event.reservation.granted);
    assert_int_equal(router_bucket_enter(bucket, &request, 9000, &id, &reservation),
                     BUCKET_EXPIRED);
    router_bucket_destroy(bucket);
}

static void test_larger_than_the_bucket(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    struct router_bucket_limits strict = {
        .tokens = 150, .requests = -1, .refuse_oversized = true, .largest = 100};
    struct router_bucket_request request = {CHAT_API, 101, INT64_MAX, NULL, NULL};
    struct router_bucket_reservation reservation;
    uint64_t id;
    take(bucket, 1, 1000);
    uint64_t large = queue(bucket, CHAT_API, 500, 1000);
    assert_int_equal(granted(bucket, 61999), 0);
    assert_int_equal(granted(bucket, 62000), large); // on a full one ...
    queue(bucket, CHAT_INTERACTIVE, 1, 62000);       // ... and alone
    assert_int_equal(granted(bucket, 122999), 0);
    assert_int_equal(router_bucket_wakeup(bucket, 62000), 123000);
    router_bucket_set_limits(bucket, &strict);
    assert_int_equal(router_bucket_enter(bucket, &request, 63000, &id, &reservation),
                     BUCKET_OVERSIZED);
    router_bucket_destroy(bucket);
}

static int64_t room_of(void *context, int64_t now_ms)
{
    (void)now_ms;
    return *(int64_t *)context;
}

// The bucket has room, but none of those behind it has enough for this one.
static void test_who_waits_for_one_of_several_keeps_its_place(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(1000, -1);
    int64_t room = 30000;
    struct router_bucket_request request = {CHAT_API, 500, INT64_MAX, &room, room_of};
    struct router_bucket_reservation reservation;
    uint64_t large, small;
    assert_int_equal(router_bucket_enter(bucket, &request, 1000, &large, &reservation),
                     BUCKET_QUEUED);
    small = queue(bucket, CHAT_BACKGROUND, 1, 2000);
    assert_int_equal(granted(bucket, 29999), 0);
    assert_int_equal(router_bucket_wakeup(bucket, 2000), 30000);
    assert_int_equal(granted(bucket, 30000), large);
    assert_int_equal(granted(bucket, 30000), small);
    router_bucket_destroy(bucket);
}

// Nobody is there any more who could be asked: not even the limit is waited for.
static void test_nobody_waits_in_vain(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    struct router_bucket_event event;
    int64_t room = 1000;
    struct router_bucket_request request = {CHAT_API, 50, INT64_MAX, &room, room_of};
    struct router_bucket_reservation reservation;
    uint64_t id, waits;
    take(bucket, 100, 1000);
    assert_int_equal(router_bucket_enter(bucket, &request, 1000, &waits, &reservation),
                     BUCKET_QUEUED);
    assert_false(router_bucket_next(bucket, 2000, &event));
    room = -1;
    assert_true(router_bucket_next(bucket, 2000, &event));
    assert_int_equal(event.id, waits);
    assert_int_equal(event.outcome, BUCKET_IN_VAIN);
    assert_false(event.reservation.granted);
    assert_int_equal(router_bucket_enter(bucket, &request, 2000, &id, &reservation),
                     BUCKET_IN_VAIN);
    assert_int_equal(router_bucket_view(bucket, 2000).tokens, 100);
    assert_false(router_bucket_has_waiting(bucket));
    router_bucket_destroy(bucket);
}

static void test_the_queue_is_bounded_for_each_priority(void **state)
{
    (void)state;
    struct router_bucket *bucket = bucket_of(100, -1);
    struct router_bucket_request request = {CHAT_BACKGROUND, 100, INT64_MAX, NULL};
    struct router_bucket_reservation reservation;
    uint64_t id;
    take(bucket, 100, 1000);
    for (int i = 0; i < ROUTER_QUEUE_MAX; i++)
        queue(bucket, CHAT_BACKGROUND, 100, 1000);
    assert_int_equal(router_bucket_enter(bucket, &request, 1000, &id, &reservation), BUCKET_FULL);
    queue(bucket, CHAT_INTERACTIVE, 100, 1000); // has room of its own
    router_bucket_destroy(bucket);
}

// What was granted, for looking at every window afterwards.
enum { CALLS = 4000, LIMIT = 30000 };
struct call {
    enum chat_priority priority;
    int64_t asked_ms, granted_ms, tokens, actual, settle_ms;
    struct router_bucket_reservation reservation;
    bool running;
};

// Of every window of 60 s that ends with a grant: reserved where it had not settled by then, used
// where it had.
static void check_windows(const struct call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t sum = 0, end = calls[i].granted_ms;
        for (size_t n = 0; end >= 0 && n < count; n++) {
            bool inside = calls[n].granted_ms >= end - 60000 && calls[n].granted_ms <= end;
            bool settled = calls[n].settle_ms >= 0 && calls[n].settle_ms <= end;
            if (inside && calls[n].granted_ms >= 0)
                sum += settled ? calls[n].actual : calls[n].tokens;
        }
        assert_true(sum <= LIMIT);
    }
}

static void drain(struct router_bucket *bucket, int64_t now_ms, uint64_t *dice)
{
    struct router_bucket_event event;
    while (router_bucket_next(bucket, now_ms, &event)) {
        struct call *call = event.context;
        assert_int_equal(event.outcome, BUCKET_GRANTED);
        assert_int_equal(event.waited_ms, now_ms - call->asked_ms);
        call->granted_ms = now_ms;
        call->reservation = event.reservation;
        call->running = true;
        call->settle_ms = now_ms + 500 + (int64_t)router_prng_below(dice, 20000);
    }
}

static void begin(struct router_bucket *bucket, struct call *call, int64_t now_ms, uint64_t *dice)
{
    struct router_bucket_request request = {call->priority, call->tokens, INT64_MAX, call};
    uint64_t id;
    call->asked_ms = now_ms;
    call->granted_ms = call->settle_ms = -1;
    enum router_bucket_outcome outcome =
        router_bucket_enter(bucket, &request, now_ms, &id, &call->reservation);
    if (outcome != BUCKET_GRANTED) {
        assert_int_equal(outcome, BUCKET_QUEUED);
        return;
    }
    call->granted_ms = now_ms;
    call->running = true;
    call->settle_ms = now_ms + 500 + (int64_t)router_prng_below(dice, 20000);
}

static void settle_due(struct router_bucket *bucket, struct call *calls, size_t count,
                       int64_t now_ms)
{
    for (size_t i = 0; i < count; i++)
        if (calls[i].running && calls[i].settle_ms <= now_ms) {
            calls[i].running = false;
            calls[i].settle_ms = now_ms;
            router_bucket_settle(bucket, &calls[i].reservation, calls[i].actual, now_ms);
        }
}

/*
 * Five workloads that wake up at the same minute and together want twice what the limit gives: a
 * talk, an API client, two crons, a background job. Returns how many calls there were.
 */
static size_t five_workloads(struct call *calls, uint64_t seed)
{
    static const struct {
        enum chat_priority priority;
        int64_t every_ms, tokens;
    } loads[] = {{CHAT_INTERACTIVE, 20000, 1500},
                 {CHAT_API, 8000, 2000},
                 {CHAT_CRON, 30000, 6000},
                 {CHAT_CRON, 45000, 9000},
                 {CHAT_BACKGROUND, 10000, 4000}};
    struct router_bucket *bucket = bucket_of(LIMIT, -1);
    int64_t next[5] = {1000, 1000, 1000, 1000, 1000};
    uint64_t dice = seed;
    size_t count = 0, open = 1;
    int64_t wakeup = INT64_MAX;
    for (int64_t now = 1000; open > 0 || now < 600000; now += 50) {
        struct router_bucket_event early;
        if (now < wakeup)
            assert_false(router_bucket_next(bucket, now, &early));
        settle_due(bucket, calls, count, now);
        for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
            if (next[i] > now || now >= 600000)
                continue;
            next[i] = now + loads[i].every_ms / 2 +
                      (int64_t)router_prng_below(&dice, (uint64_t)loads[i].every_ms);
            struct call *call = &calls[count++];
            *call = (struct call){.priority = loads[i].priority, .tokens = loads[i].tokens};
            call->actual =
                call->tokens / 2 + (int64_t)router_prng_below(&dice, (uint64_t)call->tokens / 2);
            begin(bucket, call, now, &dice);
        }
        drain(bucket, now, &dice);
        wakeup = router_bucket_wakeup(bucket, now);
        assert_true(wakeup < 0 || wakeup > now);
        wakeup = wakeup < 0 ? INT64_MAX : wakeup;
        open = 0;
        for (size_t i = 0; i < count; i++)
            open += calls[i].granted_ms < 0;
        assert_true(now < 3600000); // a call that is never granted
    }
    router_bucket_destroy(bucket);
    return count;
}

static void test_five_workloads_at_once(void **state)
{
    (void)state;
    static struct call calls[CALLS];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        int64_t wait[CHAT_PRIORITIES] = {0}, most[CHAT_PRIORITIES] = {0};
        int64_t number[CHAT_PRIORITIES] = {0};
        size_t count = five_workloads(calls, seed);
        check_windows(calls, count);
        for (size_t i = 0; i < count; i++) {
            int64_t waited = calls[i].granted_ms - calls[i].asked_ms;
            wait[calls[i].priority] += waited;
            number[calls[i].priority]++;
            if (most[calls[i].priority] < waited)
                most[calls[i].priority] = waited;
        }
        for (int i = 0; i < CHAT_PRIORITIES; i++)
            print_message("priority %d: %lld calls, wait %lld ms, at most %lld ms\n", i,
                          (long long)number[i], (long long)(wait[i] / number[i]),
                          (long long)most[i]);
        assert_true(wait[0] / number[0] < 10000); // half of the others' load is beyond the limit
        for (int i = 1; i < CHAT_PRIORITIES; i++) {
            assert_true(number[i] > 10);
            assert_true(wait[0] / number[0] < wait[i] / number[i]);
        }
    }
}

static void test_random_schedules(void **state)
{
    (void)state;
    static struct call calls[CALLS];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct router_bucket *bucket = bucket_of(LIMIT, -1);
        uint64_t dice = seed;
        int64_t now = 777;
        size_t count = 0;
        while (count < 1200) {
            int64_t wakeup = router_bucket_wakeup(bucket, now), step;
            step = (int64_t)router_prng_below(&dice, seed * 700);
            struct router_bucket_view view = router_bucket_view(bucket, now);
            if (view.waiting[0] + view.waiting[1] + view.waiting[2] + view.waiting[3] > 200)
                step = wakeup > now ? wakeup - now : 1;
            else
                calls[count] = (struct call){
                    .priority = (enum chat_priority)router_prng_below(&dice, 4),
                    .tokens = (int64_t)router_prng_below(&dice, LIMIT / 4 * (seed % 2 ? 4 : 1)),
                };
            if (step && calls[count].tokens) {
                calls[count].actual =
                    (int64_t)router_prng_below(&dice, (uint64_t)calls[count].tokens + 1);
                begin(bucket, &calls[count++], now, &dice);
            }
            now += step;
            settle_due(bucket, calls, count, now);
            drain(bucket, now, &dice);
        }
        check_windows(calls, count);
        router_bucket_destroy(bucket);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve_settle_and_release),
        cmocka_unit_test(test_requests_are_a_limit_too),
        cmocka_unit_test(test_order_positions_cancel_and_ageing),
        cmocka_unit_test(test_wakes_when_the_order_changes),
        cmocka_unit_test(test_nobody_passes_the_first),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_larger_than_the_bucket),
        cmocka_unit_test(test_who_waits_for_one_of_several_keeps_its_place),
        cmocka_unit_test(test_nobody_waits_in_vain),
        cmocka_unit_test(test_the_queue_is_bounded_for_each_priority),
        cmocka_unit_test(test_five_workloads_at_once),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
