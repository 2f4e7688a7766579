#include "router/wire/reply_edit.h"

#include <stdlib.h>

#include "base/mem.h"

void reply_pieces_clear(struct reply_pieces *pieces)
{
    pieces->count = 0;
}

void reply_pieces_finish(struct reply_pieces *pieces)
{
    free(pieces->spans);
    *pieces = (struct reply_pieces){0};
}

void reply_pieces_add(struct reply_pieces *pieces, struct span piece)
{
    struct span *last = pieces->count ? &pieces->spans[pieces->count - 1] : NULL;
    if (piece.len == 0)
        return;
    if (last && last->data + last->len == piece.data) {
        last->len += piece.len;
        return;
    }
    if (pieces->count == pieces->capacity)
        pieces->spans =
            mem_grow(pieces->spans, pieces->count, &pieces->capacity, sizeof *pieces->spans);
    pieces->spans[pieces->count++] = piece;
}

size_t reply_pieces_bytes(const struct reply_pieces *pieces)
{
    size_t bytes = 0;
    for (size_t i = 0; i < pieces->count; i++)
        bytes += pieces->spans[i].len;
    return bytes;
}

bool reply_edit_error(struct buf *out, const struct error_body *error, bool torn)
{
    size_t before = out->len;
    // The half that went out before becomes an event of its own, which no reader takes for whole.
    if ((!torn || buf_append_text(out, "\n\n")) && buf_append_text(out, "data: ") &&
        error_body_write(out, error) && buf_append_text(out, "\n\n"))
        return true;
    buf_truncate(out, before);
    return false;
}

bool reply_edit_done(struct buf *out)
{
    return buf_append_text(out, "data: [DONE]\n\n");
}

struct span reply_edit_keep_alive(void)
{
    return SPAN_LITERAL(": waiting\n\n");
}
