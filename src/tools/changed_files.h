#pragma once

#include "tools/tool_process.h"

/*
 * Which files of the workspace have changed since a time, by the time that the kernel keeps of each
 * change, which no program sets. A process looks. The answer is JSON: {"files":["a","b","b/"],
 * "more":true}; "b" is a file, or a directory whose entries or name have changed, and "b/" all that
 * is in it, when many of its files have. `more`: there is too much to tell.
 */
enum {
    CHANGED_FILES_LOOKED_MAX = 50000, // entries
    CHANGED_FILES_MAX = 500,          // of an answer
    CHANGED_FILES_OF_DIRECTORY = 32,  // then it stands for them
    CHANGED_FILES_DEPTH_MAX = 64,
};

extern const struct tool tool_changed_files; // no model is offered it

// As tool_process_start().
int changed_files_start(const struct tool_env *env, int64_t since_ms, tool_process_done_fn *done,
                        void *context, struct tool_process **ret_process, struct error *err);
