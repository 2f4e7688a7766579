#include "router/wire/pieces.h"

#include <stdlib.h>

#include "base/mem.h"

void pieces_clear(struct pieces *pieces)
{
    pieces->count = pieces->bytes = 0;
}

void pieces_finish(struct pieces *pieces)
{
    free(pieces->spans);
    *pieces = (struct pieces){0};
}

void pieces_add(struct pieces *pieces, struct span piece)
{
    struct span *last = pieces->count ? &pieces->spans[pieces->count - 1] : NULL;
    if (piece.len == 0)
        return;
    pieces->bytes += piece.len;
    if (last && last->data + last->len == piece.data) {
        last->len += piece.len;
        return;
    }
    if (pieces->count == pieces->capacity)
        pieces->spans =
            mem_grow(pieces->spans, pieces->count, &pieces->capacity, sizeof *pieces->spans);
    pieces->spans[pieces->count++] = piece;
}
