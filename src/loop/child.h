#pragma once

#include <sys/types.h>

#include "loop/loop.h"

/*
 * A child process, waited for through its pidfd: no SIGCHLD, no race with a reused pid. The child
 * gets an empty signal mask, default handlers, a session and a process group of its own, and of our
 * descriptors only those that are named. When it ends, what is left of its group is killed.
 */
struct child;

struct child_spec {
    const char *path;
    char *const *argv;
    char *const *environment; // all of it; nothing is inherited
    int stdin_fd, stdout_fd, stderr_fd;
    int fourth_fd; // which the child has as 3; 0: none
};

// `status` is as from waitpid(2). Called once, on the loop; the child is gone from then on.
typedef void child_exit_fn(void *context, int status);

int child_spawn(struct loop *loop, const struct child_spec *spec, child_exit_fn *on_exit,
                void *context, struct child **ret_child, struct error *err);
pid_t child_pid(const struct child *child);                // of its session and its group too
void child_signal(struct child *child, int signal_number); // to its whole process group

// Forgets the child: kills it if it still runs; on_exit is not called. The loop reaps it when it is
// dead, which may take a while. Accepts NULL.
void child_destroy(struct child *child);

// Before the loop is destroyed: waits for the children of it that were destroyed and still die, but
// not for ever, since one that waits for a silent disk does not die.
enum { CHILD_REAP_MAX_MS = 3000 };
void child_reap_all(struct loop *loop);

// Is `pid` a child that was spawned here and is not reaped yet? For who reaps all others.
bool child_is_ours(pid_t pid);
