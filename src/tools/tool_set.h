#pragma once

#include "tools/tool_source.h"

/*
 * The tools that a turn may use: a snapshot, which stays as it is whatever becomes of the sources.
 * Names are unique. Once its maker has handed it out a set never changes, and is shared by
 * references.
 */
typedef uint64_t tool_source_id; // 0 is none

enum {
    TOOL_SET_MAX = 512,                 // tools
    TOOL_SET_BYTES_MAX = 256 * 1024,    // of all texts that go out with every request
    TOOL_SET_FOUND_BYTES_MAX = 2 << 20, // of those of the tools that are found
};

struct tool_set_entry {
    const char *name, *description, *parameters; // as in struct tool_description
    unsigned flags;
    tool_source_id source;
};

struct tool_set {
    struct tool_set_entry *tools; // in the order of the sources and of their lists
    size_t count, capacity, bytes, found_bytes;
    size_t references;
};

struct tool_set *tool_set_create(void);
struct tool_set *tool_set_ref(struct tool_set *set);
void tool_set_unref(struct tool_set *set); // accepts NULL

const struct tool_set_entry *tool_set_find(const struct tool_set *set, const char *name); // or NULL

// Those with all of these flags, and of these names, with blanks between them (NULL: of any); where
// that is all of them it is another reference.
struct tool_set *tool_set_select(struct tool_set *from, unsigned flags, const char *names);
struct tool_set *tool_set_without(struct tool_set *from, const char *names); // all but these

// Those of another set, but for one source's (0: all).
void tool_set_add_others(struct tool_set *set, const struct tool_set *from, tool_source_id but);
// All of a source. Negative, with a sentence, when one of them cannot be offered or its name is
// taken; the set is of no use then.
int tool_set_add_source(struct tool_set *set, const struct tool_source *source, tool_source_id id,
                        struct error *err);
