#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"

struct clock;
struct store;
struct tool_run;
struct workers;

/*
 * A tool is one file and one line in tools/table.c. It has never heard of a model: it gets the
 * arguments that somebody chose, and gives back text. Its schema is all that a caller knows of it.
 */

enum tool_flags {
    TOOL_REPEATABLE = 1, // running it twice does no harm: it may be run again after a crash
};

enum {
    TOOL_TEXT_MAX = 48 * 1024,  // bytes of one result
    TOOL_CONTENT_MAX = 4 << 20, // bytes of one argument
    TOOL_PATH_MAX = 4096,       // bytes
};

// What a working tool is told besides its arguments, which somebody else chose.
struct tool_settings {
    int64_t memory_characters, user_characters; // limits of the memory files; 0: switched off
};

struct tool_env { // borrowed; what the tools may use
    struct store *store;
    struct workers *workers;
    const char *workspace; // where most tools work; NULL: nowhere
    const char *memories;  // the home's memories/; NULL: there is none
    const struct clock *clock;
    struct tool_settings settings;
};

enum tool_place { TOOL_IN_WORKSPACE, TOOL_IN_MEMORIES }; // where a working tool works

// Runs in a worker process, in its place; blocking is fine. 0 or a refusal with a sentence.
typedef int tool_work_fn(int directory_fd, struct json_value arguments, struct buf *out,
                         struct error *err);

// Runs on the loop and must not block. TOOL_ENDED: `out` is the result; 0: tool_run_end() follows,
// with whatever the tool left in tool_run_handle() to be given to `forget`; negative: refused.
typedef int tool_start_fn(const struct tool_env *env, struct json_value arguments,
                          struct tool_run *run, struct buf *out, struct error *err);
enum { TOOL_ENDED = 1 };

struct tool {
    const char *name;
    const char *description;
    const char *parameters; // a JSON Schema object
    unsigned flags;
    enum tool_place place;
    tool_work_fn *work; // one of these two
    tool_start_fn *start;
    void (*forget)(const struct tool_env *env, int64_t handle); // of a started one
};

// All tools, in the order in which they are shown; *ret_count of them.
const struct tool *const *tool_table(size_t *ret_count);
const struct tool *tool_find(const char *name);

void tool_run_set_handle(struct tool_run *run, int64_t handle);
void tool_run_end(struct tool_run *run, int result, struct span text); // as struct tool_result

// In a worker: one of struct tool_settings by its name there; 0 when nothing was said.
int64_t tool_setting(struct json_value arguments, const char *name);

bool tool_has(struct json_value arguments, const char *name); // and it is not null

// Arguments. The sentence is for whoever chose them: it names the parameter and what it must be.
int tool_need_text(struct json_value arguments, const char *name, size_t max, struct buf *out,
                   struct error *err);
int tool_need_path(struct json_value arguments, const char *name, const char *fallback,
                   struct buf *out, struct error *err);
int tool_want_number(struct json_value arguments, const char *name, int64_t fallback, int64_t min,
                     int64_t max, int64_t *ret_value, struct error *err);
