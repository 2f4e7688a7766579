#pragma once

#include "tools/tool_process.h"

/*
 * Which files of the workspace have changed since a time, by the time that the kernel keeps of each
 * change, which no program sets. A process looks. The answer is JSON: {"files":["a","b","b/"],
 * "more":true}; "b" is a file, or a directory whose entries or name have changed, and "b/" all that
 * is in it, when many of its files have. `more`: there is too much to tell.
 *
 * With a note of marked files that was made before, files count as changed that are one of those
 * under another name, wherever their directory was moved to; and "gone":[["a",MARKED_MS],...] are
 * the marks of those that there were, and are not any more.
 */
enum {
    CHANGED_FILES_LOOKED_MAX = 50000, // entries
    CHANGED_FILES_MAX = 500,          // of an answer
    CHANGED_FILES_OF_DIRECTORY = 32,  // then it stands for them
    CHANGED_FILES_DEPTH_MAX = 64,
    CHANGED_FILES_NOTE_MAX = 128 * 1024, // bytes of the marks that are noted
};

extern const struct tool tool_changed_files; // no model is offered it

// As tool_process_start(). `note` is the answer to changed_files_note(), or absent.
int changed_files_start(const struct tool_env *env, int64_t since_ms, struct span note,
                        tool_process_done_fn *done, void *context,
                        struct tool_process **ret_process, struct error *err);

// Which of these marked files there are: `marks` is JSON, [["a",MARKED_MS],...].
int changed_files_note(const struct tool_env *env, struct span marks, tool_process_done_fn *done,
                       void *context, struct tool_process **ret_process, struct error *err);
