#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sandbox/process.h"
#include "tools/tool.h"

// A call of a working tool in a process of its own.
struct tool_process;

enum {
    TOOL_PROCESS_OUTPUT_MAX = 256 * 1024, // bytes of an answer
    TOOL_PROCESS_TIME_MAX_MS = 30 * 1000, // wall time, then it is killed
    TOOL_PROCESS_CPU_MAX_S = 20,          // processor time
    TOOL_PROCESS_FILE_MAX = 64 << 20,     // bytes of a file that it writes
    TOOL_PROCESS_MEMORY = 12 << 20,       // bytes of address space
    TOOL_PROCESS_MEMORY_PER_BYTE = 4,     // more for each byte of a request above:
    TOOL_PROCESS_REQUEST_SMALL = 64 * 1024,
};

// `result` is 0, or anything else for a refusal or a failure, in words either way. `ms` is how long
// it worked, without its waiting. The call is gone by then.
typedef void tool_process_done_fn(void *context, int result, struct span text, int64_t ms);

// `done` comes from the loop, never from inside this call. The arguments are copied.
int tool_process_start(const struct tool_env *env, const struct tool *tool, uint64_t flow,
                       struct span arguments, tool_process_done_fn *done, void *context,
                       struct tool_process **ret_process, struct error *err);
// No callback comes after this. Had it begun? Accepts NULL, for which that is so.
bool tool_process_cancel(struct tool_process *process);

// The process's side: runs the tool that the request names.
extern const struct process_function tool_process_function;
