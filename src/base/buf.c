#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/mem.h"

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf)BUF_INIT(max);
}

void buf_finish(struct buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct buf)BUF_INIT(buf->max);
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (len > buf->max || buf->len > buf->max - len) {
        buf->full = true;
        return NULL;
    }
    size_t need = buf->len + len + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : 64;
        while (capacity < need)
            capacity += capacity / 2 + 1;
        if (capacity > buf->max + 1)
            capacity = buf->max + 1;
        char *data = realloc(buf->data, capacity);
        if (!data) { // sized by the outside, so it is refused rather than fatal
            buf->full = true;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
        data[buf->len] = '\0'; // also where nothing is added after all
    }
    return buf->data + buf->len;
}

void buf_grow_by(struct buf *buf, size_t len)
{
    buf->len += len;
    buf->data[buf->len] = '\0';
}

bool buf_append(struct buf *buf, const void *data, size_t len)
{
    char *room = buf_reserve(buf, len);
    if (!room)
        return false;
    if (len)
        memcpy(room, data, len);
    buf_grow_by(buf, len);
    return true;
}

bool buf_append_span(struct buf *buf, struct span span)
{
    return buf_append(buf, span.data, span.len);
}

bool buf_append_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_append_char(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

bool buf_append_uint(struct buf *buf, uint64_t value)
{
    char room[DECIMAL_SIZE];
    return buf_append_text(buf, decimal_of_uint(value, room));
}

bool buf_append_int(struct buf *buf, int64_t value)
{
    char room[DECIMAL_SIZE];
    return buf_append_text(buf, decimal_of_int(value, room));
}

bool buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *room = n < 0 ? NULL : buf_reserve(buf, (size_t)n);
    if (room) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        buf_grow_by(buf, (size_t)n);
    }
    va_end(again);
    return room != NULL;
}

void buf_clear(struct buf *buf)
{
    buf_truncate(buf, 0);
    buf->full = false;
}

void buf_replace(struct buf *buf, char old, char instead)
{
    for (size_t i = 0; i < buf->len; i++)
        if (buf->data[i] == old)
            buf->data[i] = instead;
}

void buf_consume(struct buf *buf, size_t bytes)
{
    if (bytes >= buf->len) {
        buf_truncate(buf, 0);
        return;
    }
    memmove(buf->data, buf->data + bytes, buf->len - bytes);
    buf_truncate(buf, buf->len - bytes);
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len > buf->len)
        return;
    buf->len = len;
    if (buf->data)
        buf->data[len] = '\0';
}

bool buf_is_full(const struct buf *buf)
{
    return buf->full;
}

struct span buf_span(const struct buf *buf)
{
    return (struct span){buf_text(buf), buf->len};
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

char *buf_take_text(struct buf *buf)
{
    char *text = buf->data ? buf->data : mem_strdup("");
    *buf = (struct buf)BUF_INIT(buf->max);
    return text;
}
