#include "base/buf_stock.h"

#include <stdlib.h>

static void free_last(struct buf_shelf *shelf, size_t count)
{
    while (count--) {
        struct buf_stock_memory *memory = &shelf->list[--shelf->count];
        shelf->bytes -= memory->capacity;
        free(memory->data);
    }
    shelf->least = shelf->count;
}

void buf_stock_finish(struct buf_stock *stock)
{
    free_last(&stock->small, stock->small.count);
    free_last(&stock->large, stock->large.count);
}

void buf_stock_lend(struct buf_stock *stock, size_t bytes, struct buf *buf)
{
    enum { WASTE_MAX = 8 }; // times what is wanted
    bool small = bytes < BUF_STOCK_SMALL_BYTES;
    struct buf_shelf *shelf = small ? &stock->small : &stock->large;
    if (buf->data || !shelf->count)
        return;
    struct buf_stock_memory last = shelf->list[shelf->count - 1];
    if (last.capacity > buf->max + 1 || (!small && last.capacity > WASTE_MAX * bytes))
        return;
    shelf->count--;
    shelf->bytes -= last.capacity;
    shelf->least = shelf->count < shelf->least ? shelf->count : shelf->least;
    buf->data = last.data;
    buf->capacity = last.capacity;
    buf->data[0] = '\0';
}

void buf_stock_take_back(struct buf_stock *stock, struct buf *buf)
{
    bool small = buf->capacity <= BUF_STOCK_SMALL_BYTES;
    struct buf_shelf *shelf = small ? &stock->small : &stock->large;
    if (buf->data && buf->capacity <= BUF_STOCK_LARGE_BYTES &&
        shelf->count < (small ? BUF_STOCK_SMALL_COUNT : BUF_STOCK_LARGE_COUNT) &&
        shelf->bytes + buf->capacity <= BUF_STOCK_LARGE_TOTAL) {
        shelf->list[shelf->count++] = (struct buf_stock_memory){buf->data, buf->capacity};
        shelf->bytes += buf->capacity;
        buf->data = NULL;
    }
    buf_finish(buf);
}

bool buf_stock_trim(struct buf_stock *stock)
{
    free_last(&stock->small, stock->small.least);
    free_last(&stock->large, stock->large.least);
    return stock->small.count + stock->large.count > 0;
}
