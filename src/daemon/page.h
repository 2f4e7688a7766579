#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/json.h"

/*
 * What commands show of things that others wrote: titles, names, messages. None of it is trusted
 * with a terminal, and columns are counted as the terminal does.
 */

// Appends the text with U+FFFD for what would act on a terminal; line feeds and tabs become blanks
// in one line, and stay otherwise.
void page_clean(struct span text, bool one_line, struct buf *out);

// A text, cleaned, in one line and at most `width` columns, "…" at a cut end; `absent` when it is
// none. On the heap.
char *page_cell(struct json_value value, const char *absent, size_t width);

int64_t page_number(struct json_value object, const char *key); // 0 when the member is none
bool page_flag(struct json_value object, const char *key);      // false when it does not say true

// Prints a cell and blanks up to the column for the next one; one at least.
void page_pad(const char *cell, size_t width);

// "2026-11-21 01:47", in UTC, into a buffer of CLOCK_TEXT_SIZE; "never" for 0.
const char *page_time(int64_t wall_ms, char *text);

// "3 d 4 h", "12 min", "5 s" into a buffer of PAGE_SPAN_SIZE.
enum { PAGE_SPAN_SIZE = 32 };
const char *page_duration(int64_t seconds, char *text);

// The sequence where standard output shows colours, "" elsewhere.
const char *page_colour(const char *sequence);

// A text as it came, which for a terminal means without control characters.
void page_print_raw(struct span text);
