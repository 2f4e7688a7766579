#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Finds a run of lines in a text: as they are, else with other blanks at their ends, else with all
 * of them indented by the same blanks more or less. How lines end ("\n", "\r\n") never counts.
 */
enum line_fit { LINE_FIT_EXACT, LINE_FIT_TRAILING, LINE_FIT_INDENT };

enum {
    LINE_MATCHES_KEPT = 8,
    LINE_MATCHES_MAX = 1000, // counted; a text that has more of them is not searched on
};

// What the text's lines have more (or less) at their beginnings than those that were looked for.
struct line_shift {
    struct span blanks; // borrowed from either
    bool less;
};

struct line_match {
    size_t at, end; // bytes of the text; the last line's ending belongs to it
    int64_t line;   // the first one's number, from 1
    struct line_shift shift;
};

struct line_search {
    struct span text;
    size_t from;       // where to begin: the beginning of a line
    int64_t from_line; // its number
    const struct span *lines;
    size_t count;
    // Of several places one may be meant; none when 0.
    int64_t hint; // the line at which it should be
    size_t after; // the first one from this byte on
};

struct line_matches {
    enum line_fit fit; // of all of them
    size_t count;      // up to LINE_MATCHES_MAX
    struct line_match first[LINE_MATCHES_KEPT];
    struct line_match last, at_hint, after; // the latter two: `line` is 0 when there is none
};

// Those of the first kind of fit of which there are any. Lines that are all blank, or none, only
// fit exactly.
void line_match_find(const struct line_search *search, struct line_matches *ret);

// Appends a line that is to stand in the place, indented as the place is. False when it cannot be.
bool line_shift_append(const struct line_shift *shift, struct span line, struct buf *out);

// "lines 3, 7 and 12"; "lines 3, 7, ... and more".
void line_matches_list(const struct line_matches *matches, struct buf *out);

// A remark for whoever wrote lines that fit otherwise than exactly; "" for exactly.
const char *line_fit_remark(enum line_fit fit);
