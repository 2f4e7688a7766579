//
// Order, cancelling and ids, on a clock that stands still until it is moved. What a callback did is
// a letter in `trail`.
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "support/fake_clock.h"

enum { START_MS = 1000, TRAIL_MAX = 4096, MARKS = 8 };

struct mark; // something that waits and leaves a letter

struct scene {
    struct fake_clock clock;
    struct loop *loop;
    struct buf trail;
    struct mark *marks;
};

struct mark {
    struct scene *scene;
    char letter;
    loop_id id;
    void (*then)(struct mark *mark); // NULL for nothing
    int fd;
    unsigned events; // as last reported
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    buf_init(&scene->trail, TRAIL_MAX);
    scene->marks = calloc(MARKS, sizeof *scene->marks);
    for (int i = 0; i < MARKS; i++)
        scene->marks[i] = (struct mark){scene, (char)('a' + i), 0, NULL, -1, 0};
    *state = scene;
    return loop_create(fake_clock_init(&scene->clock, START_MS), &scene->loop, NULL);
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    loop_destroy(scene->loop);
    for (int i = 0; i < MARKS; i++)
        fd_close(&scene->marks[i].fd);
    buf_finish(&scene->trail);
    free(scene->marks);
    free(scene);
    return 0;
}

static void leave_mark(void *context)
{
    struct mark *mark = context;
    buf_append_char(&mark->scene->trail, mark->letter);
    if (mark->then)
        mark->then(mark);
}

static void on_ready(void *context, int fd, unsigned events)
{
    struct mark *mark = context;
    assert_int_equal(fd, mark->fd);
    mark->events = events;
    leave_mark(mark);
}

static struct mark *timer_at(struct scene *scene, int i, int64_t at_ms)
{
    struct mark *mark = &scene->marks[i];
    mark->id = loop_timer_at(scene->loop, at_ms, leave_mark, mark);
    assert_true(mark->id != 0);
    return mark;
}

// Watches one end of a pair whose other end is returned.
static int watch_pair(struct scene *scene, int i, unsigned events)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    struct mark *mark = &scene->marks[i];
    mark->fd = ends[0];
    mark->id = loop_watch(scene->loop, ends[0], events, on_ready, mark);
    assert_true(mark->id != 0);
    return ends[1];
}

static void pass(struct scene *scene, int64_t now_ms, const char *wanted)
{
    scene->clock.now_ms = now_ms;
    buf_clear(&scene->trail);
    loop_run_once(scene->loop, 0);
    assert_string_equal(buf_text(&scene->trail), wanted);
}

static void timers_come_in_the_order_of_deadlines(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, 1030);
    timer_at(scene, 1, 1010);
    timer_at(scene, 2, 1030);
    timer_at(scene, 3, 1020);
    timer_at(scene, 4, 1030);
    pass(scene, 1009, "");
    pass(scene, 1010, "b");
    pass(scene, 1029, "d");
    pass(scene, 1500, "ace"); // equal ones as they were set
    pass(scene, 9999, "");
}

static void delays_count_from_the_pass(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(loop_now(scene->loop), START_MS);
    scene->clock.now_ms = 1400; // between passes
    assert_int_equal(loop_now(scene->loop), START_MS);
    loop_timer_after(scene->loop, 500, leave_mark, &scene->marks[0]);
    pass(scene, 1499, "");
    assert_int_equal(loop_now(scene->loop), 1499);
    pass(scene, 1500, "a");
    scene->clock.wall_ms = 77;
    assert_int_equal(loop_wall(scene->loop), 77);
    assert_ptr_equal(loop_clock(scene->loop), &scene->clock.clock);
}

static void look_at_now(struct mark *mark)
{
    assert_int_equal(loop_now(mark->scene->loop), 1100);
    mark->scene->clock.now_ms = 1200; // time goes on, the pass does not notice
}

static void one_now_per_pass(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, 1050)->then = look_at_now;
    timer_at(scene, 1, 1150);
    pass(scene, 1100, "a");
    pass(scene, 1200, "b");
}

static void rearm_at_once(struct mark *mark)
{
    mark->id = loop_timer_after(mark->scene->loop, 0, leave_mark, mark);
}

static void a_timer_may_set_itself_again(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, 1010)->then = rearm_at_once;
    timer_at(scene, 1, 1020);
    pass(scene, 1050, "ab"); // once a pass, and the others have their turn
    loop_id first = scene->marks[0].id;
    pass(scene, 1050, "a");
    assert_true(scene->marks[0].id != first);
    loop_cancel(scene->loop, first); // stale: the present one is not meant
    pass(scene, 1051, "a");
    loop_cancel(scene->loop, scene->marks[0].id);
    pass(scene, 1052, "");
}

static void cancel_next_two(struct mark *mark)
{
    loop_cancel(mark->scene->loop, mark->id); // itself: already gone
    loop_cancel(mark->scene->loop, mark[1].id);
    loop_cancel(mark->scene->loop, mark[2].id);
}

static void timers_cancel_each_other(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, 1010)->then = cancel_next_two;
    timer_at(scene, 1, 1010); // due in the same pass
    timer_at(scene, 2, 1099);
    timer_at(scene, 3, 1020);
    pass(scene, 1050, "ad");
    pass(scene, 2000, "");
}

static void cancel_and_reuse(struct mark *mark)
{
    loop_cancel(mark->scene->loop, mark[1].id);
    // This takes the slot that was just freed; the old entry in the heap must not fire it.
    mark[2].id = loop_timer_after(mark->scene->loop, 500, leave_mark, &mark[2]);
}

static void stale_ids_do_nothing(void **state)
{
    struct scene *scene = *state;
    loop_cancel(scene->loop, 0);
    loop_unwatch(scene->loop, 0);
    loop_watch_change(scene->loop, 0, LOOP_READ);
    loop_cancel(scene->loop, UINT64_MAX);
    timer_at(scene, 0, 1010)->then = cancel_and_reuse;
    timer_at(scene, 1, 1020);
    pass(scene, 1050, "a");
    loop_cancel(scene->loop, scene->marks[0].id);
    loop_cancel(scene->loop, scene->marks[1].id);
    pass(scene, 1549, "");
    pass(scene, 1550, "c");
}

static void ids_are_of_one_kind(void **state)
{
    struct scene *scene = *state;
    FD_AUTO other = watch_pair(scene, 0, LOOP_READ);
    timer_at(scene, 1, 1010);
    loop_cancel(scene->loop, scene->marks[0].id); // a watch is not cancelled as a timer
    loop_unwatch(scene->loop, scene->marks[1].id);
    loop_watch_change(scene->loop, scene->marks[1].id, 0);
    assert_int_equal(fd_write_all(other, "x", 1), 0);
    pass(scene, 1010, "ab");
}

static void ids_never_come_twice(void **state)
{
    struct scene *scene = *state;
    enum { ROUNDS = 2000 };
    loop_id *seen = calloc(ROUNDS, sizeof *seen);
    for (int i = 0; i < ROUNDS; i++) {
        seen[i] = loop_timer_at(scene->loop, 5000, leave_mark, &scene->marks[0]);
        for (int j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        loop_cancel(scene->loop, seen[i]);
    }
    free(seen);
    pass(scene, 9000, "");
}

static void defer_again(struct mark *mark)
{
    mark->then = NULL;
    loop_defer(mark->scene->loop, leave_mark, mark);
}

static void deferred_calls(void **state)
{
    struct scene *scene = *state;
    loop_id first = loop_defer(scene->loop, leave_mark, &scene->marks[0]);
    loop_id second = loop_defer(scene->loop, leave_mark, &scene->marks[1]);
    loop_defer(scene->loop, leave_mark, &scene->marks[2]);
    loop_cancel(scene->loop, second);
    scene->marks[2].then = defer_again; // is for the next pass
    timer_at(scene, 3, START_MS);
    pass(scene, START_MS, "dac"); // at the end of the pass, in order, once
    loop_cancel(scene->loop, first);
    pass(scene, START_MS, "c");
    pass(scene, START_MS, "");
}

static void defer_next(struct mark *mark)
{
    mark[1].id = loop_defer(mark->scene->loop, leave_mark, &mark[1]);
}

static void cancel_next(struct mark *mark)
{
    loop_cancel(mark->scene->loop, mark[1].id);
}

static void deferred_from_a_callback(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, START_MS)->then = defer_next;
    timer_at(scene, 2, START_MS);
    pass(scene, START_MS, "acb"); // still in this pass, after everything else
    scene->marks[3].then = cancel_next;
    scene->marks[3].id = loop_defer(scene->loop, leave_mark, &scene->marks[3]);
    scene->marks[4].id = loop_defer(scene->loop, leave_mark, &scene->marks[4]);
    pass(scene, START_MS, "d");
}

// A waiting loop would hang here: there is no event and no timer.
static void nothing_waits_while_something_is_deferred(void **state)
{
    struct scene *scene = *state;
    loop_defer(scene->loop, leave_mark, &scene->marks[0]);
    loop_run_once(scene->loop, -1);
    assert_string_equal(buf_text(&scene->trail), "a");
}

static void watching(void **state)
{
    struct scene *scene = *state;
    FD_AUTO other = watch_pair(scene, 0, LOOP_READ);
    struct mark *mark = &scene->marks[0];
    pass(scene, START_MS, "");
    assert_int_equal(fd_write_all(other, "x", 1), 0);
    pass(scene, START_MS, "a");
    pass(scene, START_MS, "a"); // as long as it is there
    assert_int_equal(mark->events, LOOP_READ);
    loop_watch_change(scene->loop, mark->id, LOOP_WRITE);
    pass(scene, START_MS, "a");
    assert_int_equal(mark->events, LOOP_WRITE);
    loop_watch_change(scene->loop, mark->id, 0);
    pass(scene, START_MS, "");
    loop_watch_change(scene->loop, mark->id, LOOP_READ | LOOP_WRITE);
    pass(scene, START_MS, "a");
    assert_int_equal(mark->events, LOOP_READ | LOOP_WRITE);
    loop_watch_change(scene->loop, mark->id, LOOP_PEER_CLOSED);
    pass(scene, START_MS, "");
    shutdown(other, SHUT_WR);
    pass(scene, START_MS, "a");
    assert_int_equal(mark->events, LOOP_PEER_CLOSED);
    loop_watch_change(scene->loop, mark->id, 0);
    fd_close(&other);
    pass(scene, START_MS, "a"); // is always reported
    assert_int_equal(mark->events, LOOP_FAILED);
    loop_unwatch(scene->loop, mark->id);
    loop_unwatch(scene->loop, mark->id);
    loop_watch_change(scene->loop, mark->id, LOOP_READ);
    pass(scene, START_MS, "");
    mark->id = loop_watch(scene->loop, mark->fd, LOOP_READ, on_ready, mark); // and may be again
    assert_true(mark->id != 0);
    pass(scene, START_MS, "a");
}

static void what_cannot_be_watched(void **state)
{
    struct scene *scene = *state;
    FD_AUTO file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(loop_watch(scene->loop, file, LOOP_READ, on_ready, scene->marks) == 0);
    assert_true(loop_watch(scene->loop, -1, LOOP_READ, on_ready, scene->marks) == 0);
    FD_AUTO other = watch_pair(scene, 0, LOOP_READ);
    loop_id twice = loop_watch(scene->loop, scene->marks[0].fd, LOOP_READ, on_ready, scene->marks);
    assert_true(twice == 0);
    assert_int_equal(fd_write_all(other, "x", 1), 0);
    pass(scene, START_MS, "a"); // the first still is
}

static void unwatch_the_other(struct mark *mark)
{
    struct mark *other = mark->letter == 'a' ? mark + 1 : mark - 1;
    loop_unwatch(mark->scene->loop, other->id);
}

static void watches_cancel_each_other_in_one_pass(void **state)
{
    struct scene *scene = *state;
    FD_AUTO first = watch_pair(scene, 0, LOOP_READ);
    FD_AUTO second = watch_pair(scene, 1, LOOP_READ);
    scene->marks[0].then = scene->marks[1].then = unwatch_the_other;
    assert_int_equal(fd_write_all(first, "x", 1), 0);
    assert_int_equal(fd_write_all(second, "x", 1), 0);
    loop_run_once(scene->loop, 0);
    assert_int_equal(scene->trail.len, 1); // whichever came first
}

// Closes the other's descriptor and watches a new file of the same number.
static void replace_the_other(struct mark *mark)
{
    struct mark *other = mark->letter == 'a' ? mark + 1 : mark - 1;
    mark->then = other->then = NULL;
    loop_unwatch(mark->scene->loop, mark->id);
    loop_unwatch(mark->scene->loop, other->id);
    int number = other->fd;
    fd_close(&other->fd);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    mark[MARKS / 2].fd = ends[0] == number ? ends[1] : ends[0];
    assert_int_equal(dup3(ends[1], number, O_CLOEXEC), ends[1] == number ? -1 : number);
    other[MARKS / 2].fd = number;
    other[MARKS / 2].id =
        loop_watch(mark->scene->loop, number, LOOP_WRITE, on_ready, &other[MARKS / 2]);
    assert_true(other[MARKS / 2].id != 0);
}

static void a_descriptor_number_is_used_again(void **state)
{
    struct scene *scene = *state;
    FD_AUTO first = watch_pair(scene, 0, LOOP_READ);
    FD_AUTO second = watch_pair(scene, 1, LOOP_READ);
    scene->marks[0].then = scene->marks[1].then = replace_the_other;
    assert_int_equal(fd_write_all(first, "x", 1), 0);
    assert_int_equal(fd_write_all(second, "x", 1), 0);
    loop_run_once(scene->loop, 0);
    assert_int_equal(scene->trail.len, 1); // the late event was for the file that is gone
    char by = scene->trail.data[0];
    pass(scene, START_MS, by == 'a' ? "f" : "e");
}

static void watches_then_timers_then_deferred(void **state)
{
    struct scene *scene = *state;
    loop_defer(scene->loop, leave_mark, &scene->marks[2]);
    timer_at(scene, 1, START_MS);
    FD_AUTO other = watch_pair(scene, 0, LOOP_WRITE);
    pass(scene, START_MS, "abc");
}

static void stop(struct mark *mark)
{
    loop_stop(mark->scene->loop);
}

static void running_and_stopping(void **state)
{
    struct scene *scene = *state;
    loop_stop(scene->loop); // before: returns at once
    loop_run(scene->loop);
    timer_at(scene, 0, START_MS);
    timer_at(scene, 1, START_MS)->then = stop;
    timer_at(scene, 2, START_MS); // the pass is finished
    loop_run(scene->loop);
    assert_string_equal(buf_text(&scene->trail), "abc");
}

// With the real clock, as a loop waits for real.
static void waits_for_the_deadline(void **state)
{
    struct scene *scene = *state;
    struct loop *loop;
    assert_int_equal(loop_create(&clock_system, &loop, NULL), 0);
    int64_t start = clock_monotonic_ms(&clock_system);
    loop_id gone = loop_timer_after(loop, 20, leave_mark, &scene->marks[1]);
    loop_timer_after(loop, 120, leave_mark, &scene->marks[0]);
    loop_cancel(loop, gone);
    loop_run_once(loop, -1);
    assert_string_equal(buf_text(&scene->trail), "a"); // nobody woke up for the cancelled one
    int64_t took = clock_monotonic_ms(&clock_system) - start;
    assert_in_range(took, 119, 5000);
    start = clock_monotonic_ms(&clock_system);
    loop_timer_after(loop, 60 * 1000, leave_mark, &scene->marks[0]);
    loop_run_once(loop, 30);
    assert_in_range(clock_monotonic_ms(&clock_system) - start, 29, 5000);
    loop_destroy(loop);
    loop_destroy(NULL);
}

static size_t heap_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

// A timeout set and cancelled for each of many pieces, beside a few that stay.
static void cancelled_timers_are_swept(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 4; i++)
        timer_at(scene, i, 2000);
    size_t before = heap_bytes();
    for (int i = 0; i < 200 * 1000; i++) {
        loop_id id = loop_timer_at(scene->loop, 3000 + i, leave_mark, &scene->marks[7]);
        loop_cancel(scene->loop, id);
    }
#ifndef __SANITIZE_ADDRESS__ // whose allocator does not count for mallinfo2()
    assert_in_range(heap_bytes() - before, 0, 64 * 1024);
#else
    (void)before;
#endif
    pass(scene, 2000, "abcd"); // still in order
    pass(scene, 900 * 1000, "");
}

static void cancel_hundreds_and_rearm(struct mark *mark)
{
    loop_id ids[200];
    for (int i = 0; i < 200; i++)
        ids[i] = loop_timer_at(mark->scene->loop, 9000, leave_mark, mark);
    for (int i = 0; i < 200; i++)
        loop_cancel(mark->scene->loop, ids[i]);
    if (mark->scene->trail.len < 50) // or the pass would never end
        rearm_at_once(mark);
}

// A sweep in the middle of a pass changes nothing about who has his turn in it.
static void a_sweep_within_a_pass(void **state)
{
    struct scene *scene = *state;
    timer_at(scene, 0, 1010)->then = cancel_hundreds_and_rearm;
    timer_at(scene, 1, 1020);
    timer_at(scene, 2, 1020);
    for (int i = 0; i < 100; i++) // sequence numbers that a sweep could start over
        loop_cancel(scene->loop, loop_timer_at(scene->loop, 1005, leave_mark, &scene->marks[7]));
    pass(scene, 1050, "abc");
    pass(scene, 1050, "a");
}

static void take_long(struct mark *mark)
{
    mark->scene->clock.now_ms += 70;
}

static void late_by(struct scene *scene, int64_t ms)
{
    scene->clock.now_ms += ms;
    loop_run_once(scene->loop, 0);
}

// Told for a minute at least, whoever asks how often, and forgotten after two.
static void the_longest_pass(void **state)
{
    struct scene *scene = *state;
    late_by(scene, 500); // waiting is no part of it
    assert_int_equal(loop_longest_pass_ms(scene->loop), 0);
    timer_at(scene, 0, scene->clock.now_ms)->then = take_long;
    late_by(scene, 0);
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    late_by(scene, 59 * 1000);
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    late_by(scene, 1000); // a window of its own
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    late_by(scene, 59 * 1000);
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    late_by(scene, 1000);
    assert_int_equal(loop_longest_pass_ms(scene->loop), 0);
    timer_at(scene, 0, scene->clock.now_ms)->then = take_long;
    late_by(scene, 0);
    scene->clock.now_ms += 61 * 1000; // and no pass
    assert_int_equal(loop_longest_pass_ms(scene->loop), 70);
    scene->clock.now_ms += 60 * 1000;
    assert_int_equal(loop_longest_pass_ms(scene->loop), 0);
}

static void destroyed_while_things_wait(void **state)
{
    struct scene *scene = *state;
    FD_AUTO other = watch_pair(scene, 0, LOOP_WRITE);
    timer_at(scene, 1, START_MS);
    loop_defer(scene->loop, leave_mark, &scene->marks[2]);
    loop_destroy(scene->loop);
    scene->loop = NULL;
    assert_int_equal(scene->trail.len, 0);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(timers_come_in_the_order_of_deadlines),
        SCENE(delays_count_from_the_pass),
        SCENE(one_now_per_pass),
        SCENE(a_timer_may_set_itself_again),
        SCENE(timers_cancel_each_other),
        SCENE(stale_ids_do_nothing),
        SCENE(ids_are_of_one_kind),
        SCENE(ids_never_come_twice),
        SCENE(deferred_calls),
        SCENE(deferred_from_a_callback),
        SCENE(nothing_waits_while_something_is_deferred),
        SCENE(watching),
        SCENE(what_cannot_be_watched),
        SCENE(watches_cancel_each_other_in_one_pass),
        SCENE(a_descriptor_number_is_used_again),
        SCENE(watches_then_timers_then_deferred),
        SCENE(running_and_stopping),
        SCENE(waits_for_the_deadline),
        SCENE(cancelled_timers_are_swept),
        SCENE(a_sweep_within_a_pass),
        SCENE(the_longest_pass),
        SCENE(destroyed_while_things_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
