#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"

/*
 * A growing byte buffer with a hard maximum that its creator names. Past the maximum nothing is
 * appended and the buffer is marked full: a writer may append many pieces and ask once at the end
 * (buf_is_full), and what was cut is never mistaken for the whole. The bytes are always followed
 * by a NUL that does not count, so data can be read as a C string.
 */
struct buf {
    char *data; // owned; NULL while nothing was ever appended
    size_t len; // bytes
    size_t capacity;
    size_t max; // bytes
    bool full;
};

#define BUF_INIT(maximum)            \
    {                                \
        NULL, 0, 0, (maximum), false \
    }

void buf_init(struct buf *buf, size_t max);
void buf_finish(struct buf *buf); // accepts NULL and zeroed
#define BUF_AUTO CLEANUP(buf_finish) struct buf

// Each appends all or nothing; false when the maximum would be passed (the buffer is then full).
bool buf_append(struct buf *buf, const void *data, size_t len);
bool buf_append_span(struct buf *buf, struct span span);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_char(struct buf *buf, char c);
bool buf_append_uint(struct buf *buf, uint64_t value); // decimal
bool buf_append_int(struct buf *buf, int64_t value);
bool buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Room for `len` more bytes at the end, to be written by the caller and added with buf_grow_by().
char *buf_reserve(struct buf *buf, size_t len);
void buf_grow_by(struct buf *buf, size_t len);

void buf_clear(struct buf *buf);                 // keeps the memory
void buf_consume(struct buf *buf, size_t bytes); // drops from the front
void buf_truncate(struct buf *buf, size_t len);
void buf_replace(struct buf *buf, char old, char instead); // every one
bool buf_is_full(const struct buf *buf);

struct span buf_span(const struct buf *buf); // valid until the next change
const char *buf_text(const struct buf *buf); // "" when empty; valid until the next change
char *buf_take_text(struct buf *buf); // the bytes as a heap string; the buffer is empty after
