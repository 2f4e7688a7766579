#pragma once

#include <stddef.h>

#include "loop/loop.h"
#include "sandbox/grants.h"

/*
 * The hands: programs that a head asks for, in a container that holds the workspace and nothing
 * else, each in the sandbox of that container. A head that asks is held for hostile too: it cannot
 * leave a layer off, nor name a place outside the workspace.
 *
 * A connection is a program (hands_frame.h). It ends with its program, and the program with it.
 */
struct hands;

struct hands_config {              // borrowed
    const char *workspace;         // resolved
    enum isolation_kind isolation; // of files, beside the container: not AUTO
};

enum { HANDS_PROGRAMS_MAX = 32 };

struct hands *hands_create(struct loop *loop, const struct hands_config *config);
void hands_destroy(struct hands *hands); // kills what runs; accepts NULL

// Greets, and runs what is asked for; owns `fd`, which does not block and leads to who may ask.
void hands_serve(struct hands *hands, int fd);
size_t hands_count(const struct hands *hands); // of connections

// Kills what runs and tells so. `on_stopped` comes from the loop when all have heard, or soon.
void hands_stop(struct hands *hands, void (*on_stopped)(void *context), void *context);
