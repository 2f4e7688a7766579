#pragma once

#include "tools/named_files.h"
#include "tools/tool_process.h"

/*
 * What is in the files that a call names, as digests: what somebody has approved is compared with
 * it before the call runs. A process reads them, as for file tools, so that no disk is waited for
 * and no path leaves the workspace. Of the names only regular files count.
 *
 * The answer is JSON, which is also what is kept:
 * {"files":[["PATH","SHA-256"],...],"left_out":["PATH",...],"more":true}
 */
enum {
    FILE_PRINTS_FILES_MAX = 64,        // of one call
    FILE_PRINTS_BYTES_MAX = 32 << 20,  // of all of them
    FILE_PRINTS_TEXT_MAX = 256 * 1024, // bytes of an answer
};

extern const struct tool tool_file_prints; // no model is offered it

// As tool_process_start().
int file_prints_start(const struct tool_env *env, uint64_t flow, const struct named_files *files,
                      tool_process_done_fn *done, void *context, struct tool_process **ret_process,
                      struct error *err);

// Which files the answer does not speak for, as a part of a sentence; nothing: it does for all.
void file_prints_tell_gaps(struct span prints, struct buf *out);

// What is not as it was, as a list with commas: "run.sh has changed". False: nothing.
bool file_prints_differ(struct span before, struct span now, struct buf *out);
