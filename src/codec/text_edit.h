#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Changes of a text that are put down first and made all at once: whoever finds on the way that
 * one of them is not possible has changed nothing.
 */
enum { TEXT_EDITS_MAX = 1 << 14 };

struct text_edit {
    size_t at, len;         // bytes of the text that go
    size_t text, text_size; // those that come instead, as a place in the list's texts
};

struct text_edits {
    struct text_edit *edits; // owned
    size_t count, capacity;
    struct buf texts;
};

void text_edits_init(struct text_edits *edits, size_t texts_max);
void text_edits_finish(struct text_edits *edits); // accepts zeroed
#define TEXT_EDITS_AUTO CLEANUP(text_edits_finish) struct text_edits

// What is appended to edits->texts from now on belongs to this one. False: there are too many.
bool text_edits_begin(struct text_edits *edits, size_t at, size_t len);
void text_edits_end(struct text_edits *edits);
// The same text as the one before, at another place.
bool text_edits_repeat(struct text_edits *edits, size_t at, size_t len);

struct span text_edit_text(const struct text_edits *edits, const struct text_edit *edit);

// In the order of their places. False when two of them want the same bytes.
bool text_edits_sort(struct text_edits *edits);
// The size of the text when all are made.
size_t text_edits_size(const struct text_edits *edits, struct span text);
// Makes them, once they are sorted. False when it does not fit.
bool text_edits_apply(const struct text_edits *edits, struct span text, struct buf *out);
