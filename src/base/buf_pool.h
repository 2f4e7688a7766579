#pragma once

#include "base/buf.h"

/*
 * The memory of buffers that come and go with every request. The allocator hands pages that fall
 * empty back to the kernel and gets them again for the next request; for a large buffer the page
 * faults cost more than all that is done with it. What is kept here costs nothing. Zeroed, a pool
 * is empty.
 *
 * What is kept and not used is memory lost to everybody else: its owner calls buf_pool_trim() now
 * and then.
 */
enum {
    BUF_POOL_SMALL_BYTES = 2 * 1024, // of one buffer
    BUF_POOL_SMALL_COUNT = 48,
    BUF_POOL_LARGE_BYTES = 512 * 1024,      // larger ones are freed
    BUF_POOL_LARGE_COUNT = 16,              // at most as many as small ones
    BUF_POOL_LARGE_TOTAL = 4 * 1024 * 1024, // bytes of all large ones
};

struct buf_pool_memory {
    char *data; // owned
    size_t capacity;
};

struct buf_shelf {
    struct buf_pool_memory list[BUF_POOL_SMALL_COUNT];
    size_t count, bytes;
    size_t least; // so many at least were not lent since the last trim
};

struct buf_pool {
    struct buf_shelf small, large;
};

void buf_pool_finish(struct buf_pool *pool);

// Gives `buf`, which has no memory yet, some of the pool's for about `bytes`, if there is any, and
// not many times as much: what a buffer takes is counted where memory is limited.
void buf_pool_lend(struct buf_pool *pool, size_t bytes, struct buf *buf);

// buf_finish() that keeps the memory.
void buf_pool_take_back(struct buf_pool *pool, struct buf *buf);

// Frees those that nobody needed since the last call; false when none is left.
bool buf_pool_trim(struct buf_pool *pool);
