#include <errno.h>

#include "tools/background.h"
#include "tools/table.h"

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    if (!env->background)
        return error_set(err, -ENOTDIR, "this program runs no commands");
    return background_act(env->background, call, run, out, err);
}

static void forget(const struct tool_env *env, int64_t handle)
{
    background_forget(env->background, handle);
}

const struct tool tool_process_tool = {
    .name = "process",
    .description = "Commands that the tool terminal has started with background: what they print, "
                   "their input, their end.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"action\":{\"type\":\"string\",\"enum\":[\"list\",\"poll\",\"log\",\"wait\",\"kill\","
        "\"write\",\"submit\",\"close\"],\"description\":\"poll: news since the last; log: its "
        "lines; wait: until it ends; kill: all of it; write: data into its input; submit: "
        "data and a newline; close: the end of its input\"},"
        "\"session_id\":{\"type\":\"string\",\"description\":\"proc_..., or 4 digits of it\"},"
        "\"data\":{\"type\":\"string\",\"description\":\"For write and submit\"},"
        "\"timeout\":{\"type\":\"integer\",\"description\":\"Seconds of wait, to 600; 60\"},"
        "\"offset\":{\"type\":\"integer\",\"description\":\"Lines that log skips from the "
        "first; without it log shows the last\"},"
        "\"limit\":{\"type\":\"integer\",\"description\":\"Lines of log; 200\"}},"
        "\"required\":[\"action\"]}",
    .flags = TOOL_WRITES | TOOL_KEEPS | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
    .forget = forget,
};
