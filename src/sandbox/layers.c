#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/hands_relay.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/syscall_filter.h"

static int try_privileges(struct error *err)
{
    int r = privileges_seal(err);
    return r == 0 ? privileges_drop(err) : r;
}

static int try_filter(struct error *err)
{
    static const struct syscall_filter all = {true, true, true};
    int listener;
    int r = syscall_filter_probe(err);
    if (r == 0)
        r = privileges_seal(err);
    return r == 0 ? syscall_filter_load(&all, &listener, err) : r;
}

static int try_landlock(struct error *err)
{
    static const struct grants none = {0};
    int r = privileges_seal(err);
    return r == 0 ? landlock_enter(&none, NULL, err) : r;
}

static int try_session(struct error *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return error_errno(err, errno, "cannot become the parent of orphans");
    return 0;
}

// Layers are for good, so each is tried by a child. 0, or -1 with the sentence.
static int try(int (*put_on)(struct error *err), char text[SANDBOX_PROBE_TEXT_MAX])
{
    int both[2], status = 1;
    if (pipe2(both, O_CLOEXEC) < 0)
        return snprintf(text, SANDBOX_PROBE_TEXT_MAX, "no pipe is left to try it"), -1;
    pid_t child = fork();
    if (child == 0) {
        struct error err = ERROR_INIT;
        int r = put_on(&err);
        // A filter may be in force by now that even this must pass.
        (void)!write(both[1], err.text, sizeof err.text);
        _exit(r < 0);
    }
    fd_close(&both[1]);
    FD_AUTO answer = both[0];
    struct error err = ERROR_INIT;
    (void)!read(answer, err.text, sizeof err.text - 1);
    if (child > 0)
        waitpid(child, &status, 0);
    if (status != 0)
        snprintf(text, SANDBOX_PROBE_TEXT_MAX, "%s", *err.text ? err.text : "a try of it crashed");
    return status ? -1 : 0;
}

static enum sandbox_state probe_privileges(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    if (try(try_privileges, text) < 0)
        return SANDBOX_FAILS;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "privileges: none to gain, no capabilities");
    return SANDBOX_HOLDS;
}

static enum sandbox_state probe_filter(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    if (try(try_filter, text) < 0)
        return SANDBOX_FAILS;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "seccomp: system calls are filtered");
    return SANDBOX_HOLDS;
}

static enum sandbox_state probe_namespaces(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    struct error err = ERROR_INIT;
    bool holds = namespaces_probe(&err) == 0;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "namespaces: %s%s", holds ? "" : "not here: ",
             holds ? "files, processes and network of a program's own" : err.text);
    return holds ? SANDBOX_HOLDS : SANDBOX_LACKING;
}

static enum sandbox_state probe_landlock(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    char why[SANDBOX_PROBE_TEXT_MAX];
    int abi = landlock_abi(NULL);
    if (try(try_landlock, why) < 0)
        snprintf(text, SANDBOX_PROBE_TEXT_MAX, "Landlock: not here: %.800s", why);
    else
        snprintf(text, SANDBOX_PROBE_TEXT_MAX, "Landlock: ABI %d%s", abi,
                 abi < LANDLOCK_SCOPES ? ", with signals and truncation kept in by seccomp" : "");
    return abi > 0 ? SANDBOX_HOLDS : SANDBOX_LACKING;
}

static enum sandbox_state probe_hands(const char *socket_path, char text[SANDBOX_PROBE_TEXT_MAX])
{
    enum { PATIENCE_MS = 2000, MIB = 20 /* bits */ };
    struct hands_hello hello;
    struct error err = ERROR_INIT;
    if (hands_greet(socket_path, PATIENCE_MS, NULL, &hello, &err) < 0) {
        snprintf(
            text, SANDBOX_PROBE_TEXT_MAX,
            "files: the hands, which run the commands, are not there: %s; start `hermes hands` "
            "in a container beside this one",
            err.text);
        return SANDBOX_FAILS;
    }
    int n = snprintf(text, SANDBOX_PROBE_TEXT_MAX, "files: kept apart by the hands container%s%s",
                     hello.isolation == ISOLATION_CONTAINER ? "" : ", and within it by ",
                     hello.isolation == ISOLATION_CONTAINER ? "" : isolation_name(hello.isolation));
    if (hello.memory)
        snprintf(text + n, SANDBOX_PROBE_TEXT_MAX - (size_t)n, ", which has %lld MiB of memory",
                 (long long)(hello.memory >> MIB));
    return SANDBOX_HOLDS;
}

static enum sandbox_state probe_isolation(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    if (hands)
        return probe_hands(hands, text);
    struct error err = ERROR_INIT;
    bool by_namespaces = namespaces_probe(&err) == 0, by_landlock = landlock_abi(NULL) > 0;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "files: %s",
             by_namespaces ? "kept apart by namespaces"
             : by_landlock ? "kept apart by Landlock"
                           : "nothing keeps a program from them, so that none is run; let this "
                             "machine have namespaces or Landlock, as said above");
    return by_namespaces || by_landlock ? SANDBOX_HOLDS : SANDBOX_FAILS;
}

static enum sandbox_state probe_session(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    if (try(try_session, text) < 0)
        return SANDBOX_FAILS;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "session: nothing outlives a program");
    return SANDBOX_HOLDS;
}

// Whoever may not see other processes counts none of them.
static enum sandbox_state probe_limits(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX])
{
    bool counted = access("/proc/self/stat", R_OK) == 0;
    snprintf(text, SANDBOX_PROBE_TEXT_MAX, "limits: %s",
             counted ? "of memory (as it is resident), processes, time and files"
                     : "there is no /proc to count memory and processes by; mount it");
    return counted ? SANDBOX_HOLDS : SANDBOX_FAILS;
}

sandbox_probe_fn *const sandbox_probes[] = {
    probe_privileges, probe_filter,   probe_limits,    probe_session,
    probe_namespaces, probe_landlock, probe_isolation,
};

const size_t sandbox_probe_count = ARRAY_LEN(sandbox_probes);
