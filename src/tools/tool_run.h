#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "tools/tool_source.h"

// Private to the toolbox: a call that runs.
typedef uint64_t tool_run_id; // 0 is none

struct tool_sink {
    // While it runs: a sentence about how far it is. Not from inside the call that begins it.
    void (*on_progress)(void *context, struct span sentence);
    void (*on_end)(void *context, const struct tool_result *result); // last, exactly once
};

struct tool_run {
    struct list link; // toolbox::runs
    tool_run_id id;
    const struct clock *clock;
    struct loop *loop;
    loop_id deadline;
    struct tool_source *source; // NULL: none has it
    size_t tool;                // its place there
    union tool_handle handle;
    int64_t begun_ms, progress_ms; // monotonic; the last one is 0 before there was any
    const struct tool_sink *sink;
    void *context;
};

void tool_run_destroy(struct tool_run *run);
