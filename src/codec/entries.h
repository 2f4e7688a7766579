#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * The format of hermes-agent's memory files: entries, separated by lines that hold "§" (U+00A7)
 * alone. Characters are Unicode code points; limits are counted in them, separators included.
 */
enum { ENTRIES_MAX = 512, ENTRIES_FILE_MAX = 256 * 1024 };

struct entries {
    struct span items[ENTRIES_MAX]; // trimmed, none empty; borrow the parsed text
    size_t count;
};

// False when there are more than ENTRIES_MAX; the first of them are there.
bool entries_parse(struct span text, struct entries *ret_entries);
void entries_write(const struct entries *entries, struct buf *out);
size_t entries_characters(const struct entries *entries); // as written, without the last line feed

size_t entries_count(struct span text);                  // its characters
size_t entries_cut(struct span text, size_t characters); // bytes of the first so many of them

// Would the text be taken for several entries? (A line of it is a separator.)
bool entries_would_split(struct span text);

// A character of it that nobody sees: control, zero width, bidi control, TAG. False when none.
bool entries_find_hidden(struct span text, uint32_t *ret_rune);

void entries_write_number(uint64_t number, struct buf *out); // for a person: "2,200"
