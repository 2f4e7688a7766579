#pragma once

#include "sandbox/process.h"
#include "tools/tool.h"

enum { SENT_FILE_MAX = 50 * 1000 * 1000 }; // bytes, as Telegram takes them of a bot

/*
 * A file of the workspace on its way to somebody, read by a process. It is wanted as it was when
 * it was promised: of another size it is another file.
 */
struct sent_file;

// `why` NULL: `bytes` are the file, and may be taken. The call is gone by then.
typedef void sent_file_fn(void *context, struct buf *bytes, const char *why);

// `what`: "SIZE\nPATH"; copied. `done` comes from the loop.
int sent_file_start(const struct tool_env *env, struct span what, sent_file_fn *done, void *context,
                    struct sent_file **ret_file, struct error *err);
void sent_file_cancel(struct sent_file *file); // nothing follows; accepts NULL

extern const struct process_function sent_file_function;
