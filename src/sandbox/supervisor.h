#pragma once

#include "base/error.h"
#include "sandbox/grants.h"

/*
 * The process between the daemon and a program in the sandbox. It makes the isolation, starts the
 * program behind all layers, answers for the system calls that are refused and says on standard
 * error which they were, reaps what the program leaves behind, and kills it: nothing outlives the
 * program, nor the daemon.
 */
enum { EXIT_SANDBOX = 125 }; // a layer did not hold, and nothing was run

// Becomes this, and ends as the program did.
_Noreturn void supervise(const struct grants *grants, const char *directory, char **argv);
