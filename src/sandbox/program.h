#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "sandbox/grants.h"
#include "sandbox/privileges.h"

// The process that puts the layers on and becomes the program.
struct program {
    const struct grants *grants;
    enum isolation_kind isolation;
    const char *directory;
    char **argv;
    const char *tmp; // or NULL
};

// *ret_talk is where the process can be heard until it is the program.
int program_start(const struct program *program, pid_t *ret_pid, int *ret_talk, struct error *err);

// When memory runs out, the kernel ends this process, and those that it starts, before whoever
// asked for them, however little each of them has.
void program_be_first_to_go(void);

// Waits for one message. 0 with *ret_listener where there was one, 0 without when the program was
// executed; else it was not, the process is about to end by that status, and `err` says why.
int program_hear(int talk, int *ret_listener, struct error *err);
