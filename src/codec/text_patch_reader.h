#pragma once

#include <stdbool.h>

#include "codec/text_line.h"
#include "codec/text_patch.h"

// What both forms of a patch are read with; text_patch.h is for everybody else.
struct patch_reader {
    struct span rest; // behind the present line
    struct span line; // the present one, without its ending
    size_t number;    // its own, from 1
    bool ended;       // there is none
    struct text_patch *patch;
    struct error *err;
};

void patch_reader_next(struct patch_reader *reader);
// The line that follows `distance` lines later; empty when there is none.
struct span patch_reader_ahead(const struct patch_reader *reader, unsigned distance);
bool patch_reader_at(const struct patch_reader *reader, const char *prefix);
bool patch_reader_at_filler(const struct patch_reader *reader); // blank, or a Markdown fence
int patch_reader_refuse(const struct patch_reader *reader, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

int patch_add_file(struct patch_reader *reader, enum text_patch_kind kind, struct span path);
int patch_add_hunk(struct patch_reader *reader);
int patch_add_line(struct patch_reader *reader, char kind, struct span text);
struct text_patch_file *patch_last_file(const struct patch_reader *reader); // NULL: there is none
struct text_patch_hunk *patch_last_hunk(const struct patch_reader *reader); // of that file, or NULL

// The present line begins with "@@": a hunk of its own, or one more line behind which the one that
// has begun stands. Goes on to the next line.
int patch_read_hunk_header(struct patch_reader *reader, uint64_t *ret_old, uint64_t *ret_new);
// Takes the present line into the last hunk and goes on to the next. 0: it is none of a hunk.
int patch_read_hunk_line(struct patch_reader *reader);
enum { PATCH_LINE_TAKEN = 1 };

int patch_read_diff(struct patch_reader *reader); // the two forms
int patch_read_sections(struct patch_reader *reader);
