#pragma once

#include "tools/shell.h"
#include "tools/tool_source.h"

/*
 * Commands that go on while others are called. They end with this program, not with a conversation.
 * A chat sees its own, the console all. One that is over is kept for a while, for who asks what
 * became of it.
 */
enum {
    BACKGROUND_RUNNING_MAX = 8,
    BACKGROUND_KEPT_MAX = 16,            // that run or are over
    BACKGROUND_KEPT_MS = 60 * 60 * 1000, // after the end
    BACKGROUND_WAIT_MAX_S = 600,
};

struct background;
struct background *background_create(struct shells *shells);
void background_destroy(struct background *background); // accepts NULL

typedef void background_fn(void *context, const char *name);
void background_each_running(const struct background *background, background_fn *fn, void *context);

// Says in `out` what it is called.
int background_start(struct background *background, const struct tool_call_context *context,
                     const struct shell_request *request, struct buf *out, struct error *err);
// What the tool "process" does: as `start` and `forget` of struct tool.
int background_act(struct background *background, const struct tool_call *call,
                   struct tool_run *run, struct buf *out, struct error *err);
void background_forget(struct background *background, int64_t handle);
