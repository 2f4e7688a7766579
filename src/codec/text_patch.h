#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

/*
 * A patch, read: a unified diff, or the form that begins with "*** Begin Patch" and names no line
 * numbers. What stands between the hunks of a diff as programs write it (diff --git, index) is
 * passed over; what cannot be understood is refused, since a change that is left out of a patch
 * would be taken for made.
 */
enum {
    TEXT_PATCH_BYTES_MAX = 1 << 20,
    TEXT_PATCH_FILES_MAX = 64,
    TEXT_PATCH_HUNKS_MAX = 2048,
    TEXT_PATCH_LINES_MAX = 20000, // of all hunks
};

enum text_patch_kind { TEXT_PATCH_UPDATE, TEXT_PATCH_ADD, TEXT_PATCH_DELETE };

struct text_patch_line {
    struct span text;
    char kind;       // ' ', '-', '+'; '@': a line of the file behind which the hunk is
    bool no_newline; // the file ends behind it without one
};

struct text_patch_hunk {
    size_t first, count; // lines
    int64_t old_line;    // where it says to be; 0: nowhere, or in front of the first line
    bool has_range;      // "@@ -1,2 +1,2 @@"
    bool has_old;        // which announces lines of the old text
    bool at_end;         // "*** End of File"
    size_t patch_line;   // where it stands in the patch, from 1
};

struct text_patch_file {
    enum text_patch_kind kind;
    struct span path;
    size_t first, count; // hunks; one with nothing but '+' for a new file
};

struct text_patch { // owns its arrays, borrows the text
    struct text_patch_line *lines;
    struct text_patch_hunk *hunks;
    struct text_patch_file *files;
    size_t line_count, line_capacity, hunk_count, hunk_capacity, file_count, file_capacity;
};

// Refused with a sentence that names the line of the patch.
int text_patch_parse(struct span text, struct text_patch *ret_patch, struct error *err);
void text_patch_finish(struct text_patch *patch); // accepts zeroed
#define TEXT_PATCH_AUTO CLEANUP(text_patch_finish) struct text_patch
