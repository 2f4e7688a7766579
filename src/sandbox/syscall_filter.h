#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Which system calls a program may make: what container runtimes allow by default, without all that
 * leads out of a process. Those are sockets of every family (one of a path leads to D-Bus, one of
 * netlink to the kernel), other processes' memory, mounts, namespaces, keys, BPF, io_uring (which
 * makes calls that no filter sees), userfaultfd and performance counters.
 *
 * What is refused on purpose fails with EPERM, and a listener is told. What is not known here fails
 * with ENOSYS, as if the kernel were older, so that programs fall back. A call in the manner of
 * another architecture ends the process by SIGSYS. A new session begins only in name: whatever the
 * program starts stays in one session, by which it is counted and killed.
 */
struct syscall_filter {
    bool paths_are_seen;   // else the listener decides about calls that Landlock does not see
    bool signals_are_kept; // else the listener decides about those to another process
    bool truncate_is_seen; // else truncate(2) is refused
};

// For good, of this process and of what it starts. *ret_listener becomes a descriptor, or -1 where
// another filter has a listener already; refused is then refused, and nobody is told.
int syscall_filter_load(const struct syscall_filter *filter, int *ret_listener, struct error *err);

struct syscall_call {
    int number;
    const char *name; // static
    pid_t pid;        // who called; in this process's namespace
    const uint64_t *arguments;
    uint64_t id; // of the question
};

// What becomes of a call: 0 (it was done), -errno, or positive: the kernel may do it.
typedef int syscall_decide_fn(void *context, const struct syscall_call *call);

// Reads one question of the listener and answers it. Negative: there was none.
int syscall_filter_answer(int listener, syscall_decide_fn *decide, void *context);
// Is a question still open? What was read of the caller's memory is only its own while this is so.
bool syscall_call_is_open(int listener, const struct syscall_call *call);

int syscall_filter_probe(struct error *err); // has this kernel what it needs?
