#pragma once

#include "sandbox/process.h"
#include "tools/tool.h"

enum {
    SENT_FILE_MAX = 50 * 1000 * 1000, // bytes, as Telegram takes them of a bot
    SENT_FIRST_MAX = 64,              // bytes that tell what a file is
};

/*
 * A file of the workspace on its way to somebody. A process looks at it first, since a disk may be
 * silent; then it is opened here, and is in no memory. It is wanted as it was when it was promised:
 * of another size it is another file.
 */
struct sent_file;

// `why` NULL: `fd` is the file, for reading, and the callee's to close; `first` is how it begins.
// The call is gone by then.
typedef void sent_file_fn(void *context, int fd, int64_t size, struct span first, const char *why);

// `what`: "SIZE\nPATH"; copied. `done` comes from the loop.
int sent_file_start(const struct tool_env *env, struct span what, sent_file_fn *done, void *context,
                    struct sent_file **ret_file, struct error *err);
void sent_file_cancel(struct sent_file *file); // nothing follows; accepts NULL

extern const struct process_function sent_file_function;
