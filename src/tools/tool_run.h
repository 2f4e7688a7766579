#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "tools/tool_source.h"

struct redactor;

// Private to the toolbox: a call that runs.
typedef uint64_t tool_run_id; // 0 is none

// The last of a run, exactly once.
typedef void tool_end_fn(void *context, const struct tool_result *result);

struct tool_run {
    struct list link; // toolbox::runs
    tool_run_id id;
    const struct clock *clock;
    struct loop *loop;
    loop_id deadline;
    struct tool_source *source;       // NULL: none has it
    struct redactor *const *redactor; // the toolbox's, which a reload replaces
    char *tool;                       // owned: its name there
    union tool_handle handle;
    int64_t begun_ms; // monotonic
    tool_end_fn *on_end;
    void *context;
};

void tool_run_destroy(struct tool_run *run);
