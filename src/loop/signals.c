#include "loop/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"

static void on_readable(void *context, int fd, unsigned events)
{
    struct signals *signals = context;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        signals->fn(signals->context, (int)info.ssi_signo);
}

int signals_init(struct signals *signals, struct loop *loop, const int *numbers, size_t count,
                 void (*fn)(void *context, int signal_number), void *context, struct error *err)
{
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < count; i++)
        sigaddset(&mask, numbers[i]);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    FD_AUTO fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, errno, "cannot watch for signals");
    *signals = (struct signals){.loop = loop, .fd = fd, .fn = fn, .context = context};
    signals->watch = loop_watch(loop, fd, LOOP_READ, on_readable, signals);
    fd = -1;
    return 0;
}

void signals_finish(struct signals *signals)
{
    if (!signals || !signals->loop)
        return;
    loop_unwatch(signals->loop, signals->watch);
    fd_close(&signals->fd);
}
