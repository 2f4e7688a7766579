#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"

/*
 * The event loop: descriptors, timers and deferred calls on one thread, with one `now` per pass.
 *
 * Everything that waits is named by an id, never by a pointer. An id is unique for the loop's
 * lifetime, so a callback may cancel anything, itself and others of the same pass included: an
 * event whose id is gone is dropped. 0 is never an id, and cancelling 0 or a stale id does nothing.
 */
struct loop;
typedef uint64_t loop_id;

enum loop_events {
    LOOP_READ = EPOLLIN,
    LOOP_WRITE = EPOLLOUT,
    LOOP_PEER_CLOSED = EPOLLRDHUP, // the other end will send no more
    LOOP_FAILED = EPOLLERR,        // or EPOLLHUP; always reported
};

typedef void loop_watch_fn(void *context, int fd, unsigned events);
typedef void loop_timer_fn(void *context);

int loop_create(const struct clock *clock, struct loop **ret_loop, struct error *err);
void loop_destroy(struct loop *loop); // whatever still waits is dropped, not called

// Watches `fd` (borrowed) level-triggered. Unwatch before closing it: the number is soon reused.
loop_id loop_watch(struct loop *loop, int fd, unsigned events, loop_watch_fn *fn, void *context);
void loop_watch_change(struct loop *loop, loop_id id, unsigned events);
void loop_unwatch(struct loop *loop, loop_id id);
// Whichever of the three it takes until `fd` is watched, by `id` if there is a watch (0: none), for
// `events`; 0 is not at all. Returns the watch.
loop_id loop_watch_for(struct loop *loop, loop_id id, int fd, unsigned events, loop_watch_fn *fn,
                       void *context);

// Calls once, `delay_ms` from this pass's now, or at a monotonic instant. Equal ones in order.
loop_id loop_timer_after(struct loop *loop, int64_t delay_ms, loop_timer_fn *fn, void *context);
loop_id loop_timer_at(struct loop *loop, int64_t at_ms, loop_timer_fn *fn, void *context);
// At that instant or earlier: by the timer `id` (0: none), unless it comes later and is replaced.
// INT64_MAX is never. Returns the timer that will call.
loop_id loop_timer_by(struct loop *loop, loop_id id, int64_t at_ms, loop_timer_fn *fn,
                      void *context);
void loop_cancel(struct loop *loop, loop_id id);

// Calls once, at the end of this pass (or of the next, when outside one): for what must not run
// inside somebody's callback.
loop_id loop_defer(struct loop *loop, loop_timer_fn *fn, void *context);

int64_t loop_now(const struct loop *loop);  // monotonic ms, fixed within a pass
int64_t loop_wall(const struct loop *loop); // ms since 1970, read now
const struct clock *loop_clock(const struct loop *loop);

// Runs passes until loop_stop(), which may have been called before. A pass waits for the first
// event or timer.
void loop_run(struct loop *loop);
void loop_run_once(struct loop *loop, int64_t max_wait_ms);
void loop_stop(struct loop *loop);

// How long the longest pass took, without its waiting, of the last one to two minutes: for so long
// nothing else could be answered. Whoever asks changes nothing.
int64_t loop_longest_pass_ms(const struct loop *loop);
void loop_add_metrics(struct loop *loop, struct metrics *metrics); // which it outlives
