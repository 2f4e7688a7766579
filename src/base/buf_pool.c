#include "base/buf_pool.h"

#include <stdlib.h>

static void free_last(struct buf_shelf *shelf, size_t count)
{
    while (count--) {
        struct buf_pool_memory *memory = &shelf->list[--shelf->count];
        shelf->bytes -= memory->capacity;
        free(memory->data);
    }
    shelf->least = shelf->count;
}

void buf_pool_finish(struct buf_pool *pool)
{
    free_last(&pool->small, pool->small.count);
    free_last(&pool->large, pool->large.count);
}

void buf_pool_lend(struct buf_pool *pool, size_t bytes, struct buf *buf)
{
    enum { WASTE_MAX = 8 }; // times what is wanted
    bool small = bytes < BUF_POOL_SMALL_BYTES;
    struct buf_shelf *shelf = small ? &pool->small : &pool->large;
    if (buf->data || !shelf->count)
        return;
    struct buf_pool_memory last = shelf->list[shelf->count - 1];
    if (last.capacity > buf->max + 1 || (!small && last.capacity > WASTE_MAX * bytes))
        return;
    shelf->count--;
    shelf->bytes -= last.capacity;
    shelf->least = shelf->count < shelf->least ? shelf->count : shelf->least;
    buf->data = last.data;
    buf->capacity = last.capacity;
    buf->data[0] = '\0';
}

void buf_pool_take_back(struct buf_pool *pool, struct buf *buf)
{
    bool small = buf->capacity <= BUF_POOL_SMALL_BYTES;
    struct buf_shelf *shelf = small ? &pool->small : &pool->large;
    if (buf->data && buf->capacity <= BUF_POOL_LARGE_BYTES &&
        shelf->count < (small ? BUF_POOL_SMALL_COUNT : BUF_POOL_LARGE_COUNT) &&
        shelf->bytes + buf->capacity <= BUF_POOL_LARGE_TOTAL) {
        shelf->list[shelf->count++] = (struct buf_pool_memory){buf->data, buf->capacity};
        shelf->bytes += buf->capacity;
        buf->data = NULL;
    }
    buf_finish(buf);
}

bool buf_pool_trim(struct buf_pool *pool)
{
    free_last(&pool->small, pool->small.least);
    free_last(&pool->large, pool->large.least);
    return pool->small.count + pool->large.count > 0;
}
