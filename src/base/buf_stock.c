#include "base/buf_stock.h"

#include <stdlib.h>

static void free_small(struct buf_stock *stock, size_t count)
{
    while (count--)
        free(stock->small[--stock->small_count].data);
}

static void free_large(struct buf_stock *stock, size_t count)
{
    while (count--) {
        struct buf_stock_memory *memory = &stock->large[--stock->large_count];
        stock->large_bytes -= memory->capacity;
        free(memory->data);
    }
}

void buf_stock_finish(struct buf_stock *stock)
{
    free_small(stock, stock->small_count);
    free_large(stock, stock->large_count);
}

// The latest one, if it holds no more than `most` bytes.
static bool lend(struct buf_stock_memory *from, size_t *count, size_t *least, size_t most,
                 struct buf *buf)
{
    if (buf->data || !*count || from[*count - 1].capacity > buf->max + 1 ||
        from[*count - 1].capacity > most)
        return false;
    --*count;
    *least = *count < *least ? *count : *least;
    buf->data = from[*count].data;
    buf->capacity = from[*count].capacity;
    buf->data[0] = '\0';
    return true;
}

void buf_stock_lend(struct buf_stock *stock, size_t bytes, struct buf *buf)
{
    enum { WASTE_MAX = 8 }; // times what is wanted
    if (bytes < BUF_STOCK_SMALL_BYTES) {
        lend(stock->small, &stock->small_count, &stock->small_least, SIZE_MAX, buf);
    } else if (lend(stock->large, &stock->large_count, &stock->large_least, WASTE_MAX * bytes,
                    buf)) {
        stock->large_bytes -= buf->capacity;
    }
}

static bool keeps_large(const struct buf_stock *stock, size_t capacity)
{
    return capacity <= BUF_STOCK_LARGE_BYTES && stock->large_count < BUF_STOCK_LARGE_COUNT &&
           capacity <= BUF_STOCK_LARGE_TOTAL - stock->large_bytes;
}

void buf_stock_take_back(struct buf_stock *stock, struct buf *buf)
{
    struct buf_stock_memory memory = {buf->data, buf->capacity};
    bool large = memory.capacity > BUF_STOCK_SMALL_BYTES;
    bool keep = memory.data && (large ? keeps_large(stock, memory.capacity)
                                      : stock->small_count < BUF_STOCK_SMALL_COUNT);
    if (keep)
        buf->data = NULL;
    buf_finish(buf);
    if (keep && !large) {
        stock->small[stock->small_count++] = memory;
    } else if (keep) {
        stock->large[stock->large_count++] = memory;
        stock->large_bytes += memory.capacity;
    }
}

bool buf_stock_trim(struct buf_stock *stock)
{
    free_small(stock, stock->small_least);
    free_large(stock, stock->large_least);
    stock->small_least = stock->small_count;
    stock->large_least = stock->large_count;
    return stock->small_count + stock->large_count > 0;
}
