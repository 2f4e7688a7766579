#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A binary min-heap of deadlines. Pure data: it knows neither clock nor callbacks, so it can be
 * checked on its own. `sequence` keeps timers of one deadline in the order they were set.
 */
struct timer_entry {
    int64_t deadline_ms; // monotonic
    uint64_t sequence;
    uint64_t id;
};

struct timer_heap {
    struct timer_entry *entries; // owned
    size_t count, capacity;
    uint64_t next_sequence;
};

void timer_heap_finish(struct timer_heap *heap);
void timer_heap_push(struct timer_heap *heap, int64_t deadline_ms, uint64_t id);
bool timer_heap_peek(const struct timer_heap *heap, struct timer_entry *ret_entry);
void timer_heap_pop(struct timer_heap *heap);
