/*
 * Two filters, because libseccomp's rules of one call cannot say "unless". The first knows which
 * calls there are: all others fail with ENOSYS. The second refuses some of those, or some of their
 * arguments. The kernel asks both and does the stricter thing.
 *
 * Where a kernel reads 32 bits of an argument, only those are compared: the others are the caller's
 * to choose, and a comparison of all 64 would not see TIOCSTI behind them.
 */
#include "sandbox/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "sandbox/syscall_table.h"

enum { ARGUMENTS = 6 };        // of a system call
enum { TYPE_OF_SOCKET = 0xf }; // the bits of socketpair's second argument that are not flags
static const uint64_t low_half = UINT32_MAX;

static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, UINT32_MAX};

static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWUSER, CLONE_NEWPID,   CLONE_NEWNET,
                                      CLONE_NEWIPC, CLONE_NEWUTS,  CLONE_NEWCGROUP};

static const int of_one_process[] = {SCMP_SYS(prlimit64), SCMP_SYS(sched_setaffinity),
                                     SCMP_SYS(sched_setattr), SCMP_SYS(sched_setparam),
                                     SCMP_SYS(sched_setscheduler)};

// With the process, or the thread's process, in the first argument.
static const int of_signals[] = {SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill),
                                 SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo)};

static void filter_cleanup(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

#define FILTER_AUTO CLEANUP(filter_cleanup) scmp_filter_ctx

// A call that this architecture does not have is none that could be made.
static int add(scmp_filter_ctx filter, uint32_t action, int number, unsigned count,
               const struct scmp_arg_cmp *arguments)
{
    return number < 0 ? 0 : seccomp_rule_add_array(filter, action, number, count, arguments);
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *numbers, size_t count)
{
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = add(filter, action, numbers[i], 0, NULL);
    return r;
}

static int add_masked(scmp_filter_ctx filter, uint32_t action, int number, unsigned argument,
                      uint64_t mask, uint64_t value)
{
    struct scmp_arg_cmp compared = {argument, SCMP_CMP_MASKED_EQ, mask, value};
    return add(filter, action, number, 1, &compared);
}

static int add_unequal(scmp_filter_ctx filter, uint32_t action, int number, unsigned argument,
                       uint64_t value)
{
    struct scmp_arg_cmp compared = {argument, SCMP_CMP_NE, value, 0};
    return add(filter, action, number, 1, &compared);
}

static int prepare(scmp_filter_ctx filter)
{
    int r = filter ? 0 : -ENOMEM;
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    // The privileges are a layer of their own, and without that one the caller may load a filter.
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    return r;
}

static int add_known(scmp_filter_ctx known)
{
    int r = add_all(known, SCMP_ACT_ALLOW, syscalls_allowed, syscalls_allowed_count);
    if (r == 0)
        r = add_all(known, SCMP_ACT_ALLOW, syscalls_refused, syscalls_refused_count);
    if (r == 0)
        r = add(known, SCMP_ACT_ALLOW, SCMP_SYS(truncate), 0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(personalities) && r == 0; i++)
        r = add_masked(known, SCMP_ACT_ALLOW, SCMP_SYS(personality), 0, low_half, personalities[i]);
    return r;
}

static int add_refused_arguments(scmp_filter_ctx refused, uint32_t refuse)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(namespaces) && r == 0; i++)
        r = add_masked(refused, refuse, SCMP_SYS(clone), 0, namespaces[i], namespaces[i]);
    // Both put input into a terminal, which somebody else then reads.
    if (r == 0)
        r = add_masked(refused, refuse, SCMP_SYS(ioctl), 1, low_half, TIOCSTI);
    if (r == 0)
        r = add_masked(refused, refuse, SCMP_SYS(ioctl), 1, low_half, TIOCLINUX);
    // One of datagrams can be led to any path later on.
    if (r == 0)
        r = add_unequal(refused, refuse, SCMP_SYS(socketpair), 0, AF_UNIX);
    if (r == 0)
        r = add_masked(refused, refuse, SCMP_SYS(socketpair), 1, TYPE_OF_SOCKET, SOCK_DGRAM);
    if (r == 0)
        r = add_masked(refused, refuse, SCMP_SYS(socketpair), 1, TYPE_OF_SOCKET, SOCK_RAW);
    // Limits and priorities of other processes of the same user, of the daemon for one.
    for (size_t i = 0; i < ARRAY_LEN(of_one_process) && r == 0; i++)
        r = add_unequal(refused, refuse, of_one_process[i], 0, 0);
    if (r == 0)
        r = add_unequal(refused, refuse, SCMP_SYS(setpriority), 0, PRIO_PROCESS);
    if (r == 0)
        r = add_unequal(refused, refuse, SCMP_SYS(setpriority), 1, 0);
    return r == 0 ? add(refused, SCMP_ACT_ERRNO(0), SCMP_SYS(setsid), 0, NULL) : r;
}

static int add_unseen(scmp_filter_ctx refused, uint32_t refuse, const struct syscall_filter *filter)
{
    int r = 0;
    if (!filter->truncate_is_seen)
        r = add(refused, refuse, SCMP_SYS(truncate), 0, NULL);
    if (r == 0 && !filter->paths_are_seen)
        r = add_all(refused, refuse, syscalls_of_paths, syscalls_of_paths_count);
    if (r == 0 && !filter->paths_are_seen) // of a descriptor when there is no path
        r = add_unequal(refused, refuse, SCMP_SYS(utimensat), 1, 0);
    if (filter->signals_are_kept)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(of_signals) && r == 0; i++)
        r = add_unequal(refused, refuse, of_signals[i], 0, 0);
    if (r == 0)
        r = add(refused, refuse, SCMP_SYS(pidfd_send_signal), 0, NULL);
    // Signals that the kernel sends on our behalf.
    const uint64_t owners[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
    for (size_t i = 0; i < ARRAY_LEN(owners) && r == 0; i++)
        r = add_masked(refused, refuse, SCMP_SYS(fcntl), 1, low_half, owners[i]);
    if (r == 0)
        r = add_masked(refused, refuse, SCMP_SYS(ioctl), 1, low_half, FIOSETOWN);
    return r == 0 ? add_masked(refused, refuse, SCMP_SYS(ioctl), 1, low_half, SIOCSPGRP) : r;
}

static int load_refused(const struct syscall_filter *filter, uint32_t refuse, int *ret_listener)
{
    FILTER_AUTO refused = seccomp_init(SCMP_ACT_ALLOW);
    int r = prepare(refused);
    if (r == 0)
        r = add_all(refused, refuse, syscalls_refused, syscalls_refused_count);
    if (r == 0)
        r = add_refused_arguments(refused, refuse);
    if (r == 0)
        r = add_unseen(refused, refuse, filter);
    if (r == 0)
        r = seccomp_load(refused);
    if (r == 0)
        *ret_listener = refuse == SCMP_ACT_NOTIFY ? seccomp_notify_fd(refused) : -1;
    return r;
}

int syscall_filter_load(const struct syscall_filter *filter, int *ret_listener, struct error *err)
{
    int listener = -1;
    FILTER_AUTO known = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int r = prepare(known);
    if (r == 0)
        r = add_known(known);
    if (r == 0 && load_refused(filter, SCMP_ACT_NOTIFY, &listener) < 0)
        r = load_refused(filter, SCMP_ACT_ERRNO(EPERM), &listener);
    if (r == 0)
        r = seccomp_load(known);
    if (r < 0)
        return error_errno(err, -r, "cannot load the filter of system calls (seccomp)");
    *ret_listener = listener;
    return 0;
}

static const char *name_of(int number)
{
    static char name[64]; // bytes; longer ones than upstream has
    char *found = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    snprintf(name, sizeof name, "%s", found ? found : "an unknown one");
    free(found);
    return name;
}

int syscall_filter_answer(int listener, syscall_decide_fn *decide, void *context)
{
    struct seccomp_notif *question = NULL;
    struct seccomp_notif_resp *answer = NULL;
    int r = seccomp_notify_alloc(&question, &answer);
    if (r == 0)
        r = seccomp_notify_receive(listener, question);
    if (r == 0) {
        uint64_t arguments[ARGUMENTS]; // the same type by another name
        for (int i = 0; i < ARGUMENTS; i++)
            arguments[i] = question->data.args[i];
        struct syscall_call call = {question->data.nr, name_of(question->data.nr),
                                    (pid_t)question->pid, arguments, question->id};
        answer->id = question->id;
        int r_of_call = decide(context, &call);
        answer->error = r_of_call < 0 ? r_of_call : 0;
        answer->flags = r_of_call > 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
        seccomp_notify_respond(listener, answer); // it may have died meanwhile
    }
    seccomp_notify_free(question, answer);
    return r;
}

bool syscall_call_is_open(int listener, const struct syscall_call *call)
{
    return seccomp_notify_id_valid(listener, call->id) == 0;
}

int syscall_filter_probe(struct error *err)
{
    enum { LEVEL = 3 }; // of libseccomp: actions that end a process, Linux 4.14
    if (seccomp_api_get() >= LEVEL)
        return 0;
    return error_set(err, -ENOSYS,
                     "this kernel filters no system calls (seccomp); use one with "
                     "CONFIG_SECCOMP_FILTER, as every distribution's is");
}
