#include "loop/timer_heap.h"

#include <stdlib.h>

#include "base/mem.h"

void timer_heap_finish(struct timer_heap *heap)
{
    free(heap->entries);
    *heap = (struct timer_heap){0};
}

static bool due_before(const struct timer_entry *a, const struct timer_entry *b)
{
    if (a->deadline_ms != b->deadline_ms)
        return a->deadline_ms < b->deadline_ms;
    return a->sequence < b->sequence;
}

static void swap(struct timer_heap *heap, size_t a, size_t b)
{
    struct timer_entry kept = heap->entries[a];
    heap->entries[a] = heap->entries[b];
    heap->entries[b] = kept;
}

void timer_heap_push(struct timer_heap *heap, int64_t deadline_ms, uint64_t id)
{
    heap->entries = mem_grow(heap->entries, heap->count, &heap->capacity, sizeof *heap->entries);
    size_t at = heap->count++;
    heap->entries[at] = (struct timer_entry){deadline_ms, heap->next_sequence++, id};
    while (at > 0 && due_before(&heap->entries[at], &heap->entries[(at - 1) / 2])) {
        swap(heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

bool timer_heap_peek(const struct timer_heap *heap, struct timer_entry *ret_entry)
{
    if (heap->count == 0)
        return false;
    *ret_entry = heap->entries[0];
    return true;
}

void timer_heap_pop(struct timer_heap *heap)
{
    heap->entries[0] = heap->entries[--heap->count];
    for (size_t at = 0;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++)
            if (due_before(&heap->entries[child], &heap->entries[first]))
                first = child;
        if (first == at)
            return;
        swap(heap, at, first);
        at = first;
    }
}
