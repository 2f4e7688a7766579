#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// What was written with text in mind that nobody vouches for, by its name, so that whoever reads it
// later knows.
enum store_taint_kind {
    STORE_TAINT_FILE,   // of the workspace: its path, or a directory's with "/" behind it
    STORE_TAINT_MEMORY, // an entry of the memory files: its text
    STORE_TAINT_HANDLE, // of kept output, of a command in the background
    STORE_TAINT_SKILL,  // the name of a skill
    STORE_TAINT_NOTE,   // what `remember` keeps: its text; is marked in the table of notes
};

// Of each kind. When there would be more, the empty name stands for all of that kind.
enum { STORE_TAINTS_MAX = STORE_READ_ROWS_MAX };
enum { STORE_MARKS_MAX = 4 * STORE_TAINTS_MAX }; // that are read, of all kinds

extern const char *const store_taint_words[]; // of the kinds

struct store_taint {
    enum store_taint_kind kind;
    struct span name;
};

// As it is kept. Whoever marks the same thing anew makes its time a later one, so that what is
// decided about a mark that was seen means no other.
struct store_mark {
    struct store_taint taint;
    struct span why;
    int64_t marked_ms;
};

struct store_taint_change {
    const struct store_mark *gone; // files that there were before a call, and are not after it
    size_t gone_count;
    const struct store_taint *taints;
    size_t count;
    bool remove;     // somebody wrote it anew
    struct span why; // "tainted by web_fetch of call 3"
    int64_t now_ms;
};

// Submits, durable. Returns as store_session_create() does.
int64_t store_taint_change(struct store *store, const struct store_taint_change *change,
                           store_done_fn *done, void *context, struct error *err);

// Synchronous. False stops the reading.
typedef bool store_mark_fn(void *context, const struct store_mark *mark);
int store_read_marks(struct store_view *view, store_mark_fn *row, void *context, struct error *err);
typedef bool store_taint_fn(void *context, struct span name);
int store_read_taints(struct store_view *view, enum store_taint_kind kind, store_taint_fn *row,
                      void *context, struct error *err);
