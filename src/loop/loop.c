/*
 * Watches, timers and deferred calls share one table of slots. An id is a slot number with the
 * generation of its present use, and freeing a slot raises the generation: that is how a late
 * event is told from a live one without a list of the dead.
 *
 * A cancelled timer stays in the heap until its deadline comes up (its id no longer resolves), so
 * cancelling is O(1). sweep_cancelled() rebuilds the heap when more than half of it is dead, which
 * bounds the memory of a caller that arms and cancels a timeout for every chunk it reads.
 */
#include "loop/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/timer_heap.h"

enum {
    EVENTS_PER_WAIT = 64,
    SWEEP_MIN = 64, // dead timers, before sweeping is worth it
    WINDOW_MS = 60 * 1000,
    // 4 KiB. A table that grew while much was going on would stay amid what goes away again, and
    // keep its pages.
    SLOTS_AT_FIRST = 128,
};

enum slot_kind { SLOT_FREE, SLOT_WATCH, SLOT_TIMER, SLOT_DEFERRED };

struct slot {
    enum slot_kind kind;
    uint32_t generation;
    union {
        int fd;              // watches
        int64_t deadline_ms; // timers
    };
    union {
        loop_watch_fn *watch;
        loop_timer_fn *timer;
    } fn;
    void *context;
};

struct loop {
    const struct clock *clock;
    int epoll_fd;
    int64_t now_ms;
    bool stopping;
    struct slot *slots;
    size_t slot_count, slot_capacity;
    uint32_t *free_slots; // a stack of numbers
    size_t free_count, free_capacity;
    struct timer_heap timers;
    size_t dead_timers;
    loop_id *deferred; // in the order they were asked for
    size_t deferred_count, deferred_capacity;
    int64_t window_began_ms;
    int64_t longest_ms, longest_before_ms; // passes in this window and in the one before
};

int loop_create(const struct clock *clock, struct loop **ret_loop, struct error *err)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return error_errno(err, errno, "cannot create an epoll instance");
    struct loop *loop = mem_new(struct loop);
    loop->clock = clock;
    loop->epoll_fd = epoll_fd;
    loop->now_ms = loop->window_began_ms = clock_monotonic_ms(clock);
    loop->slots = mem_alloc(SLOTS_AT_FIRST * sizeof *loop->slots);
    loop->slot_capacity = SLOTS_AT_FIRST;
    *ret_loop = loop;
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    fd_close(&loop->epoll_fd);
    timer_heap_finish(&loop->timers);
    free(loop->slots);
    free(loop->free_slots);
    free(loop->deferred);
    free(loop);
}

static loop_id slot_take(struct loop *loop, struct slot use)
{
    uint32_t number;
    if (loop->free_count) {
        number = loop->free_slots[--loop->free_count];
    } else {
        number = (uint32_t)loop->slot_count;
        loop->slots =
            mem_grow(loop->slots, loop->slot_count, &loop->slot_capacity, sizeof *loop->slots);
        loop->slots[loop->slot_count++] = (struct slot){.generation = 1};
    }
    use.generation = loop->slots[number].generation;
    loop->slots[number] = use;
    return (uint64_t)use.generation << 32 | number;
}

static struct slot *slot_find(const struct loop *loop, loop_id id, enum slot_kind kind)
{
    uint32_t number = (uint32_t)id;
    if (number >= loop->slot_count)
        return NULL;
    struct slot *slot = &loop->slots[number];
    return slot->generation == id >> 32 && slot->kind == kind ? slot : NULL;
}

static void slot_release(struct loop *loop, struct slot *slot)
{
    slot->kind = SLOT_FREE;
    slot->generation++;
    loop->free_slots = mem_grow(loop->free_slots, loop->free_count, &loop->free_capacity,
                                sizeof *loop->free_slots);
    loop->free_slots[loop->free_count++] = (uint32_t)(slot - loop->slots);
}

loop_id loop_watch(struct loop *loop, int fd, unsigned events, loop_watch_fn *fn, void *context)
{
    loop_id id = slot_take(
        loop, (struct slot){.kind = SLOT_WATCH, .fd = fd, .fn.watch = fn, .context = context});
    struct epoll_event event = {.events = events, .data.u64 = id};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        slot_release(loop, slot_find(loop, id, SLOT_WATCH));
        return 0;
    }
    return id;
}

void loop_watch_change(struct loop *loop, loop_id id, unsigned events)
{
    struct slot *slot = slot_find(loop, id, SLOT_WATCH);
    struct epoll_event event = {.events = events, .data.u64 = id};
    if (slot)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, slot->fd, &event);
}

void loop_unwatch(struct loop *loop, loop_id id)
{
    struct slot *slot = slot_find(loop, id, SLOT_WATCH);
    if (!slot)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    slot_release(loop, slot);
}

loop_id loop_watch_for(struct loop *loop, loop_id id, int fd, unsigned events, loop_watch_fn *fn,
                       void *context)
{
    if (events && !id)
        return loop_watch(loop, fd, events, fn, context);
    if (events)
        loop_watch_change(loop, id, events);
    else
        loop_unwatch(loop, id);
    return events ? id : 0;
}

loop_id loop_timer_at(struct loop *loop, int64_t at_ms, loop_timer_fn *fn, void *context)
{
    struct slot timer = {
        .kind = SLOT_TIMER, .deadline_ms = at_ms, .fn.timer = fn, .context = context};
    loop_id id = slot_take(loop, timer);
    timer_heap_push(&loop->timers, at_ms, id);
    return id;
}

loop_id loop_timer_after(struct loop *loop, int64_t delay_ms, loop_timer_fn *fn, void *context)
{
    return loop_timer_at(loop, loop->now_ms + delay_ms, fn, context);
}

loop_id loop_defer(struct loop *loop, loop_timer_fn *fn, void *context)
{
    loop_id id =
        slot_take(loop, (struct slot){.kind = SLOT_DEFERRED, .fn.timer = fn, .context = context});
    loop->deferred = mem_grow(loop->deferred, loop->deferred_count, &loop->deferred_capacity,
                              sizeof *loop->deferred);
    loop->deferred[loop->deferred_count++] = id;
    return id;
}

static void sweep_cancelled(struct loop *loop)
{
    struct timer_heap live = {0};
    struct timer_entry entry;
    while (timer_heap_peek(&loop->timers, &entry)) {
        timer_heap_pop(&loop->timers);
        if (slot_find(loop, entry.id, SLOT_TIMER))
            timer_heap_push(&live, entry.deadline_ms, entry.id);
    }
    live.next_sequence = loop->timers.next_sequence; // run_timers() may have looked at it
    timer_heap_finish(&loop->timers);
    loop->timers = live;
    loop->dead_timers = 0;
}

void loop_cancel(struct loop *loop, loop_id id)
{
    struct slot *timer = slot_find(loop, id, SLOT_TIMER);
    struct slot *slot = timer ? timer : slot_find(loop, id, SLOT_DEFERRED);
    if (!slot)
        return;
    slot_release(loop, slot);
    if (timer && ++loop->dead_timers > SWEEP_MIN && loop->dead_timers > loop->timers.count / 2)
        sweep_cancelled(loop);
}

loop_id loop_timer_by(struct loop *loop, loop_id id, int64_t at_ms, loop_timer_fn *fn,
                      void *context)
{
    const struct slot *set = slot_find(loop, id, SLOT_TIMER);
    if (at_ms == INT64_MAX || (set && set->deadline_ms <= at_ms))
        return id;
    loop_cancel(loop, id);
    return loop_timer_at(loop, at_ms, fn, context);
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_wall(const struct loop *loop)
{
    return clock_wall_ms(loop->clock);
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

// Drops dead timers off the top, so that nobody wakes up for one.
static bool next_timer(struct loop *loop, struct timer_entry *ret_entry)
{
    while (timer_heap_peek(&loop->timers, ret_entry)) {
        if (slot_find(loop, ret_entry->id, SLOT_TIMER))
            return true;
        timer_heap_pop(&loop->timers);
        loop->dead_timers--;
    }
    return false;
}

static int wait_ms(struct loop *loop, int64_t max_wait_ms)
{
    int64_t wait = max_wait_ms;
    struct timer_entry next;
    if (loop->deferred_count)
        return 0;
    if (next_timer(loop, &next)) {
        int64_t left = next.deadline_ms - clock_monotonic_ms(loop->clock);
        left = left > 0 ? left : 0;
        wait = wait < 0 || left < wait ? left : wait;
    }
    return wait > INT_MAX ? INT_MAX : (int)wait;
}

static void call_timer(struct loop *loop, struct slot *slot)
{
    loop_timer_fn *fn = slot->fn.timer;
    void *context = slot->context;
    slot_release(loop, slot); // before the call, so that it may set itself again
    fn(context);
}

static void run_timers(struct loop *loop)
{
    struct timer_entry entry;
    uint64_t last = loop->timers.next_sequence; // those set meanwhile wait for the next pass
    while (next_timer(loop, &entry) && entry.deadline_ms <= loop->now_ms && entry.sequence < last) {
        timer_heap_pop(&loop->timers);
        call_timer(loop, slot_find(loop, entry.id, SLOT_TIMER));
    }
}

static void run_deferred(struct loop *loop)
{
    size_t count = loop->deferred_count; // those deferred meanwhile wait for the next pass
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = slot_find(loop, loop->deferred[i], SLOT_DEFERRED);
        if (slot)
            call_timer(loop, slot);
    }
    loop->deferred_count -= count;
    for (size_t i = 0; i < loop->deferred_count; i++)
        loop->deferred[i] = loop->deferred[i + count];
}

static void count_pass(struct loop *loop)
{
    int64_t ended_ms = clock_monotonic_ms(loop->clock);
    int64_t age_ms = ended_ms - loop->window_began_ms;
    if (age_ms >= WINDOW_MS) {
        loop->longest_before_ms = age_ms < 2 * WINDOW_MS ? loop->longest_ms : 0;
        loop->longest_ms = 0;
        loop->window_began_ms = ended_ms;
    }
    if (ended_ms - loop->now_ms > loop->longest_ms)
        loop->longest_ms = ended_ms - loop->now_ms;
}

int64_t loop_longest_pass_ms(const struct loop *loop)
{
    int64_t age_ms = clock_monotonic_ms(loop->clock) - loop->window_began_ms;
    if (age_ms >= 2 * WINDOW_MS)
        return 0;
    if (age_ms >= WINDOW_MS || loop->longest_ms > loop->longest_before_ms)
        return loop->longest_ms;
    return loop->longest_before_ms;
}

static double longest_pass_seconds(void *context)
{
    return (double)loop_longest_pass_ms(context) / 1000;
}

void loop_add_metrics(struct loop *loop, struct metrics *metrics)
{
    metrics_gauge(metrics, "hermes_loop_longest_pass_seconds", "",
                  "Longest pass of the event loop in the last one to two minutes.",
                  longest_pass_seconds, loop);
}

void loop_run_once(struct loop *loop, int64_t max_wait_ms)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, wait_ms(loop, max_wait_ms));
    loop->now_ms = clock_monotonic_ms(loop->clock);
    for (int i = 0; i < count; i++) {
        struct slot *slot = slot_find(loop, events[i].data.u64, SLOT_WATCH);
        unsigned hangup = events[i].events & EPOLLHUP;
        if (slot)
            slot->fn.watch(slot->context, slot->fd,
                           (events[i].events & ~hangup) | (hangup ? LOOP_FAILED : 0u));
    }
    run_timers(loop);
    run_deferred(loop);
    count_pass(loop);
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping)
        loop_run_once(loop, -1);
    loop->stopping = false;
}
