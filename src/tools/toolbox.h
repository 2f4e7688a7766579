#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/tool.h"

/*
 * Runs tools side by side. A run is named by an id; a run that cannot even begin (no such tool,
 * arguments that are not JSON) is one whose result is a refusal, since whoever asked for it must
 * hear of it in the same way.
 */
struct toolbox;
typedef uint64_t tool_run_id; // 0 is none

struct tool_result {
    struct span text; // UTF-8, at most TOOL_TEXT_MAX and a little
    bool failed;
    int64_t ms; // that it took, without its waiting for memory
};

typedef void tool_done_fn(void *context, const struct tool_result *result);

struct toolbox *toolbox_create(const struct tool_env *env); // copies env, borrows what it names
void toolbox_destroy(struct toolbox *toolbox);              // ends all runs without callbacks
void toolbox_configure(struct toolbox *toolbox, const struct tool_settings *settings);

// `done` comes later, or before this returns when the result is there at once: then 0 is returned.
// Runs that have to wait begin in order within their `flow`; the flows take turns.
tool_run_id toolbox_run(struct toolbox *toolbox, uint64_t flow, const char *name,
                        struct span arguments, tool_done_fn *done, void *context);
// No callback comes after this. Had it begun, so that it may have had an effect?
bool toolbox_cancel(struct toolbox *toolbox, tool_run_id id);

// The worker's side (a worker_fn): runs the tool that the request names.
int toolbox_work(int directory_fd, struct span request, struct buf *out, struct error *err);
