#pragma once

#include "sandbox/process.h"
#include "tools/tool.h"

/*
 * A file that somebody sent, into the workspace's inbox/. A process writes it, since the daemon
 * must not wait for a disk: its input is the name that was wanted, a newline, and the bytes. What
 * is there is not overwritten: another one gets a number, the same one keeps its name.
 */
struct inbox_file;

// On success `text` is its path in the workspace, else a sentence. The call is gone by then.
typedef void inbox_file_fn(void *context, int result, struct span text);

// `done` comes from the loop. `bytes` must stay until then.
int inbox_file_start(const struct tool_env *env, const char *name, struct span bytes,
                     inbox_file_fn *done, void *context, struct inbox_file **ret_file,
                     struct error *err);
void inbox_file_cancel(struct inbox_file *file); // nothing follows; accepts NULL

extern const struct process_function inbox_file_function;
