#pragma once

#include "sandbox/grants.h"
#include "sandbox/syscall_filter.h"

/*
 * Decides about system calls that Landlock does not see, on behalf of the program that waits for
 * them: signals are let through within its session, and what changes a file's mode, owner or times
 * is done for it, if the file lies where it may write. By the file that was opened and looked at,
 * never by the path again, since that may lead elsewhere by then.
 */
struct brokered_calls {
    int listener;
    pid_t session;
    const char *const *write; // resolved paths, up to NULL
    const char *tmp;          // one more, or NULL
};

enum { CALL_GOES_ON = 1, CALL_IS_REFUSED = 2 }; // beside 0 (done) and -errno (failed)

int brokered_call_decide(const struct brokered_calls *brokered, const struct syscall_call *call);
