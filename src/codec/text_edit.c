#include "codec/text_edit.h"

#include <stdlib.h>

void text_edits_init(struct text_edits *edits, size_t texts_max)
{
    *edits = (struct text_edits){.texts = BUF_INIT(texts_max)};
}

void text_edits_finish(struct text_edits *edits)
{
    free(edits->edits);
    buf_finish(&edits->texts);
    *edits = (struct text_edits){0};
}

static bool add(struct text_edits *edits, const struct text_edit *edit)
{
    if (edits->count == TEXT_EDITS_MAX)
        return false;
    edits->edits = mem_grow(edits->edits, edits->count, &edits->capacity, sizeof *edits->edits);
    edits->edits[edits->count++] = *edit;
    return true;
}

bool text_edits_begin(struct text_edits *edits, size_t at, size_t len)
{
    return add(edits, &(struct text_edit){.at = at, .len = len, .text = edits->texts.len});
}

void text_edits_end(struct text_edits *edits)
{
    struct text_edit *last = &edits->edits[edits->count - 1];
    last->text_size = edits->texts.len - last->text;
}

bool text_edits_repeat(struct text_edits *edits, size_t at, size_t len)
{
    struct text_edit edit = edits->edits[edits->count - 1];
    edit.at = at;
    edit.len = len;
    return add(edits, &edit);
}

struct span text_edit_text(const struct text_edits *edits, const struct text_edit *edit)
{
    return (struct span){buf_text(&edits->texts) + edit->text, edit->text_size};
}

static int by_place(const void *a, const void *b)
{
    const struct text_edit *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if ((x->len == 0) != (y->len == 0)) // what comes in stands before what goes there
        return x->len == 0 ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text); // as they were put down
}

bool text_edits_sort(struct text_edits *edits)
{
    if (edits->count)
        qsort(edits->edits, edits->count, sizeof *edits->edits, by_place);
    for (size_t i = 1; i < edits->count; i++) {
        const struct text_edit *before = &edits->edits[i - 1], *edit = &edits->edits[i];
        if (before->at + before->len > edit->at)
            return false;
    }
    return true;
}

size_t text_edits_size(const struct text_edits *edits, struct span text)
{
    size_t gone = 0, come = 0;
    for (size_t i = 0; i < edits->count; i++) {
        gone += edits->edits[i].len;
        come += edits->edits[i].text_size;
    }
    return text.len - gone + come;
}

bool text_edits_apply(const struct text_edits *edits, struct span text, struct buf *out)
{
    size_t done = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct text_edit *edit = &edits->edits[i];
        buf_append(out, span_skip(text, done).data, edit->at - done);
        buf_append_span(out, text_edit_text(edits, edit));
        done = edit->at + edit->len;
    }
    buf_append_span(out, span_skip(text, done));
    return !buf_is_full(out);
}
