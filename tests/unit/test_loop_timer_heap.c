#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "loop/timer_heap.h"

// The same numbers in every run (xorshift64).
static uint64_t next_number(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

// Parents are due before their children, and of equal ones the first that was set.
static bool is_heap(const struct timer_heap *heap)
{
    for (size_t at = 1; at < heap->count; at++) {
        const struct timer_entry *child = &heap->entries[at],
                                 *parent = &heap->entries[(at - 1) / 2];
        if (child->deadline_ms < parent->deadline_ms ||
            (child->deadline_ms == parent->deadline_ms && child->sequence < parent->sequence))
            return false;
    }
    return true;
}

static void is_next(struct timer_heap *heap, uint64_t id)
{
    struct timer_entry entry;
    assert_true(timer_heap_peek(heap, &entry));
    assert_int_equal(entry.id, id);
    timer_heap_pop(heap);
}

static void earliest_first_and_equal_ones_in_order(void **state)
{
    (void)state;
    struct timer_heap heap = {0};
    static const int64_t deadlines[] = {50, 10, 30, 10, -5, 50, 10};
    static const uint64_t wanted[] = {4, 1, 3, 6, 2, 0, 5};
    for (uint64_t id = 0; id < 7; id++)
        timer_heap_push(&heap, deadlines[id], id);
    for (int i = 0; i < 7; i++)
        is_next(&heap, wanted[i]);
    struct timer_entry entry;
    assert_false(timer_heap_peek(&heap, &entry));
    timer_heap_finish(&heap);
    timer_heap_finish(&heap);
}

static void many_equal_deadlines_stay_in_order(void **state)
{
    (void)state;
    struct timer_heap heap = {0};
    for (uint64_t id = 0; id < 1000; id++)
        timer_heap_push(&heap, 7, id);
    for (uint64_t id = 0; id < 500; id++)
        is_next(&heap, id);
    for (uint64_t id = 1000; id < 1500; id++)
        timer_heap_push(&heap, 7, id);
    for (uint64_t id = 500; id < 1500; id++)
        is_next(&heap, id);
    timer_heap_finish(&heap);
}

static void the_ends_of_time(void **state)
{
    (void)state;
    struct timer_heap heap = {0};
    timer_heap_push(&heap, INT64_MAX, 1);
    timer_heap_push(&heap, INT64_MIN, 2);
    timer_heap_push(&heap, 0, 3);
    is_next(&heap, 2);
    is_next(&heap, 3);
    is_next(&heap, 1);
    timer_heap_finish(&heap);
}

static void valid_means_something(void **state)
{
    (void)state;
    struct timer_heap heap = {0};
    assert_true(is_heap(&heap));
    for (uint64_t id = 0; id < 5; id++)
        timer_heap_push(&heap, (int64_t)id, id);
    assert_true(is_heap(&heap));
    heap.entries[4].deadline_ms = 0; // before its parent
    assert_false(is_heap(&heap));
    timer_heap_finish(&heap);
}

/*
 * Any mix of pushes and pops, beside a plain list that is searched. An id is a place in that list;
 * of equal deadlines the lowest place was pushed first.
 */
enum { OPERATIONS = 4000 };

struct model {
    int64_t deadlines[OPERATIONS];
    bool gone[OPERATIONS];
    size_t count;
};

static uint64_t earliest(const struct model *model)
{
    size_t best = OPERATIONS;
    for (size_t i = 0; i < model->count; i++)
        if (!model->gone[i] && (best == OPERATIONS || model->deadlines[i] < model->deadlines[best]))
            best = i;
    return best;
}

static void random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t numbers = seed * 0x9e3779b97f4a7c15u;
        struct timer_heap heap = {0};
        struct model *model = calloc(1, sizeof *model);
        size_t held = 0;
        for (int i = 0; i < OPERATIONS; i++) {
            bool pop = next_number(&numbers) % 100 < 45;
            if (pop && held) {
                uint64_t best = earliest(model);
                is_next(&heap, best);
                model->gone[best] = true;
                held--;
            } else {
                int64_t deadline = (int64_t)(next_number(&numbers) % 50) - 25;
                timer_heap_push(&heap, deadline, model->count);
                model->deadlines[model->count++] = deadline;
                held++;
            }
            assert_int_equal(heap.count, held);
            assert_true(is_heap(&heap));
        }
        for (; held; held--) {
            uint64_t best = earliest(model);
            is_next(&heap, best);
            model->gone[best] = true;
        }
        timer_heap_finish(&heap);
        free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(earliest_first_and_equal_ones_in_order),
        cmocka_unit_test(many_equal_deadlines_stay_in_order),
        cmocka_unit_test(the_ends_of_time),
        cmocka_unit_test(valid_means_something),
        cmocka_unit_test(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
