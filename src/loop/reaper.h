#pragma once

#include <stdbool.h>

#include "loop/loop.h"

/*
 * Reaps the dead whom nobody else waits for. The first process of a container inherits every
 * process whose parent died, and their zombies would fill its table of processes. Children of
 * child_spawn() are left to it.
 */
struct reaper;

// Does this process inherit orphans: is it process 1, or made a subreaper?
bool reaper_is_needed(void);

int reaper_create(struct loop *loop, struct reaper **ret_reaper, struct error *err);
void reaper_destroy(struct reaper *reaper); // accepts NULL
