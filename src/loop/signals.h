#pragma once

#include <stddef.h>

#include "loop/loop.h"

/*
 * Signals as loop events (signalfd). Blocked signals are inherited by children, so child_spawn()
 * gives its children an empty mask again.
 */
struct signals {
    struct loop *loop;
    int fd;
    loop_id watch;
    void (*fn)(void *context, int signal_number);
    void *context;
};

int signals_init(struct signals *signals, struct loop *loop, const int *numbers, size_t count,
                 void (*fn)(void *context, int signal_number), void *context, struct error *err);
void signals_finish(struct signals *signals); // accepts NULL and zeroed; the signals stay blocked
