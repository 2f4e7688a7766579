#pragma once

#include "base/list.h"
#include "codec/zone.h"
#include "tools/tool_source.h"

struct background;
struct clock;
struct http_client;
struct loop;
struct processes;
struct shells;
struct skills;
struct store;
struct web_config;

// A tool of this program is one file and one line in tools/table.c.

enum {
    TOOL_CONTENT_MAX = 4 << 20, // bytes of one argument
    TOOL_PATH_MAX = 4096,       // bytes
};

// What tools are told besides their arguments, which somebody else chose.
struct tool_settings {
    int64_t memory_characters, user_characters; // limits of the memory files; 0: switched off
    bool zoned;                                 // people here live by the clock of `zone`
    struct zone zone;
    bool skills_ask;              // before a skill is written
    const struct web_config *web; // until the next; NULL: all as by default
};

// Of calls of one kind, so that many of them take no more memory than some.
struct tool_queue {
    unsigned running;
    struct list waiting;
};

struct tool_env { // borrowed; what the tools may use
    struct store *store;
    struct processes *processes;
    const char *workspace;         // where most tools work; NULL: nowhere
    const char *memories;          // the home's memories/; NULL: there is none
    const char *skills_home;       // the home's skills/; NULL: there is none
    struct skills *skills;         // those and others; NULL: none
    const char *results;           // the home's results/; NULL: there is none
    struct shells *shells;         // NULL: no commands are run
    struct background *background; // of these
    const struct clock *clock;
    struct loop *loop; // for the deadlines of calls; NULL: they have none
    // The HTTP client, made when it is first wanted. NULL: there is none.
    int (*need_http)(void *context, struct http_client **ret_http, struct error *err);
    void *http_context;
    struct tool_queue *fetches; // the toolbox's own
    struct tool_settings settings;
};

enum tool_place {
    TOOL_IN_WORKSPACE,
    TOOL_IN_MEMORIES,
    TOOL_IN_SKILLS,
    TOOL_IN_RESULTS
}; // where a working tool works

// Runs in a process of its own, in its place; blocking is fine. 0 or a refusal with a sentence,
// behind which `out` is shown.
typedef int tool_work_fn(int directory_fd, struct json_value arguments, struct buf *out,
                         struct error *err);

// Runs on the loop, as `start` of struct tool_source_ops; the number that it leaves as its handle
// is given to `forget`.
typedef int tool_start_fn(const struct tool_env *env, const struct tool_call *call,
                          struct tool_run *run, struct buf *out, struct error *err);

struct tool {
    const char *name;
    const char *description;
    const char *parameters; // a JSON Schema object
    unsigned flags;
    enum tool_place place;
    int64_t memory; // bytes of address space that working takes beyond TOOL_PROCESS_MEMORY
    bool (*available)(const struct tool_env *env); // is it configured? NULL: it needs nothing
    tool_work_fn *work;                            // one of these two
    tool_start_fn *start;
    void (*forget)(const struct tool_env *env, int64_t handle); // of a started one
};

// All tools, in the order in which they are shown; *ret_count of them.
const struct tool *const *tool_table(size_t *ret_count);
const struct tool *tool_find(const char *name); // also one that no model is offered

// In its process: a number of struct tool_settings by its name there; 0 when nothing was said.
int64_t tool_setting(struct json_value arguments, const char *name);

int tool_need_http(const struct tool_env *env, struct http_client **ret_http, struct error *err);

bool tool_has(struct json_value arguments, const char *name); // and it is not null

// Arguments. The sentence is for whoever chose them: it names the parameter and what it must be.
int tool_need_text(struct json_value arguments, const char *name, size_t max, struct buf *out,
                   struct error *err);
int tool_need_path(struct json_value arguments, const char *name, const char *fallback,
                   struct buf *out, struct error *err);
int tool_want_bool(struct json_value arguments, const char *name, bool *ret_value,
                   struct error *err); // false when it is missing
int tool_want_number(struct json_value arguments, const char *name, int64_t fallback, int64_t min,
                     int64_t max, int64_t *ret_value, struct error *err);
