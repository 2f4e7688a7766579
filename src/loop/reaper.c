#include "loop/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/child.h"
#include "loop/signals.h"

/*
 * The kernel offers the dead one at a time and, as long as it is only looked at, always the same
 * one. When that is a child of child_spawn(), its pidfd is readable as well and it is reaped in
 * this pass of the loop or the next; the others are looked for again a moment later.
 */
enum { LOOK_AGAIN_MS = 20 };

struct reaper {
    struct loop *loop;
    struct signals signals;
    loop_id again;
};

bool reaper_is_needed(void)
{
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    return getpid() == 1 || subreaper;
}

static void reap(void *context)
{
    struct reaper *reaper = context;
    loop_cancel(reaper->loop, reaper->again);
    reaper->again = 0;
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        int r = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 || info.si_pid == 0)
            return;
        if (child_is_ours(info.si_pid))
            break;
        waitpid(info.si_pid, NULL, WNOHANG);
    }
    reaper->again = loop_timer_after(reaper->loop, LOOK_AGAIN_MS, reap, reaper);
}

static void on_signal(void *context, int signal_number)
{
    reap(context);
}

int reaper_create(struct loop *loop, struct reaper **ret_reaper, struct error *err)
{
    static const int numbers[] = {SIGCHLD};
    struct reaper *reaper = mem_new(struct reaper);
    *reaper = (struct reaper){.loop = loop};
    int r =
        signals_init(&reaper->signals, loop, numbers, ARRAY_LEN(numbers), on_signal, reaper, err);
    if (r < 0) {
        free(reaper);
        return r;
    }
    // Who died before the signal was asked for has told nobody.
    reaper->again = loop_timer_after(loop, 0, reap, reaper);
    *ret_reaper = reaper;
    return 0;
}

void reaper_destroy(struct reaper *reaper)
{
    if (!reaper)
        return;
    loop_cancel(reaper->loop, reaper->again);
    signals_finish(&reaper->signals);
    free(reaper);
}
