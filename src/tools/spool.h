#pragma once

#include "sandbox/process.h"

/*
 * Results that are more than a model is shown, as files of the home's results/. A process writes
 * each, since the daemon must not wait for a disk: its input is the file's name, a newline, and
 * what goes into the file. It first removes what is old, or too much.
 */
enum {
    SPOOL_NAME_SIZE = 13,            // "out_", eight hex digits, NUL
    SPOOL_FILE_MAX = 64 << 20,       // bytes of one; what is beyond it is not kept
    SPOOL_TOTAL_MAX = 256 << 20,     // bytes of all, a whole one more included
    SPOOL_FILES_MAX = 500,           // of them
    SPOOL_AGE_MAX_S = 7 * 24 * 3600, // since they were written last
};

void spool_make_name(char name[SPOOL_NAME_SIZE]);
bool spool_is_name(const char *name);

// The process's side: of who writes one, and of who only removes what is old.
extern const struct process_function spool_function, spool_prune_function;
