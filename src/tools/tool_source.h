#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "codec/media.h"

/*
 * Where tools come from: this program (builtin_tools.h), a server of the Model Context Protocol. A
 * source is added to the toolbox while the program runs and may be taken out again. It has never
 * heard of a model: it gets the arguments that somebody chose, and gives back text.
 */
struct tool_run;
struct tool_source;

// They are kept with a call for as long as its row is, so a bit never gets another meaning.
enum tool_flags {
    TOOL_REPEATABLE = 1,      // running it twice does no harm: it may be run again after a crash
    TOOL_READS = 2,           // shows what somebody keeps: files, memories
    TOOL_WRITES = 4,          // changes it
    TOOL_NETWORK = 8,         // lets something out of this machine
    TOOL_NEEDS_APPROVAL = 16, // a call runs only when somebody has said yes to it
    TOOL_UNATTENDED = 32,     // also for work that nobody watches
    TOOL_FOUND = 64,          // described by find_tools only, and called through call_tool
    TOOL_KEEPS = 128,         // its result may tell of a file in which more of it is kept
    TOOL_FOREIGN = 256,       // nobody vouches for what it says of itself
    TOOL_SENDS = 512,         // the file that it names goes where the answer goes
};

enum {
    TOOL_TEXT_MAX = 48 * 1024,       // bytes of one result; what is longer is cut
    TOOL_PARTS_MAX = 8,              // images and sounds of one result
    TOOL_PART_MAX = 3840 * 1024,     // bytes of one of these: what a model's server takes
    TOOL_PARTS_BYTES = 6 << 20,      // bytes of all of them
    TOOL_NAME_MAX = 64,              // bytes
    TOOL_DESCRIPTION_MAX = 8 * 1024, // bytes
    TOOL_PARAMETERS_MAX = 64 * 1024, // bytes
};

struct tool_description { // all that a caller knows of a tool
    const char *name;     // letters, digits, "_" and "-"
    const char *description;
    const char *parameters; // a JSON Schema object
    unsigned flags;
};

// A call may ask whoever it works for. Its run ends with the question, and when that is answered
// it begins once more, with the answer.
enum tool_reply {
    TOOL_BEGINS, // nothing was asked
    TOOL_ANSWERED,
    TOOL_DENIED,
    TOOL_UNANSWERED, // in time
};

// On whose behalf a call runs. Borrowed during the call that begins it.
struct tool_call_context {
    const char *turn, *session; // their ids
    const char *origin;         // what triggered the turn: "console", "telegram", ...
    const char *chat;           // the same for all sessions of a chat (in a group, of a sender)
    uint64_t flow;         // calls that have to wait begin in order within it; the flows take turns
    int64_t deadline_ms;   // monotonic; what still runs then is cancelled, and has failed. 0: none
    bool approved;         // somebody said yes to this call
    bool unattended;       // nobody can be asked
    bool tainted;          // it may come of text that nobody vouches for: so does what it keeps
    const char *call;      // this call of this turn, again when it goes on; NULL: it cannot ask
    const char *key;       // the same, also where it cannot ask; NULL: it is no turn's
    enum tool_reply reply; // to what it asked
    const char *words;     // with TOOL_ANSWERED; else NULL
};

struct tool_set;

struct tool_call { // borrowed
    const struct tool_call_context *context;
    const struct tool_set *set; // that the caller may use
    const char *tool;           // its name
    struct span text;
    struct json_value arguments; // the same, parsed: an object
};

union tool_handle { // what the source calls it
    int64_t number;
    void *pointer;
};

struct tool_source_ops {
    // The tool at a place of the list, which ends with the first false. Strings are copied.
    bool (*describe)(const struct tool_source *source, size_t tool, struct tool_description *ret);
    // From the loop; must not block. TOOL_ENDED and TOOL_ENDED_TAINTED: `out` is the result; 0:
    // tool_run_end() follows, unless it is cancelled before; negative: refused, with a sentence for
    // whoever chose the arguments.
    int (*start)(struct tool_source *source, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err);
    // Must not block either. `run` is gone after this. Had it begun, so that it may have had an
    // effect?
    bool (*cancel)(struct tool_source *source, const char *tool, union tool_handle handle);
    // No call of this turn, or session, goes on: what they have asked is not answered. NULL: none
    // asks.
    void (*forget)(struct tool_source *source, const char *work);
};
enum { TOOL_ENDED = 1, TOOL_ENDED_TAINTED };

struct tool_source {
    const char *name; // for people
    const struct tool_source_ops *ops;
};

struct tool_part {
    const struct media_type *type; // by its bytes
    struct span bytes;
};

struct tool_result {
    struct span text; // for its receiver UTF-8 without NULs, whatever the source gave
    bool failed;
    bool tainted; // holds text that nobody vouches for: of a web page, another's server
    bool asks;    // it has not ended: `text` is what it asks, as arguments of tools/clarify.h
    // Images and sound that belong to it; the text says that they do.
    const struct tool_part *parts;
    size_t part_count;
    int64_t ms; // that it took, without its waiting; negative: since it was started
};

void tool_run_end(struct tool_run *run, const struct tool_result *result);
void tool_run_set_handle(struct tool_run *run, union tool_handle handle);
