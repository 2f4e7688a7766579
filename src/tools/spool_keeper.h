#pragma once

#include "loop/loop.h"
#include "sandbox/process.h"

// Has results that are old removed, soon after the beginning and once a day: the next that is
// written may be a long time off.
struct spool_keeper;

// Borrows all. Nothing is done without a directory.
struct spool_keeper *spool_keeper_create(struct loop *loop, struct processes *processes,
                                         const char *results);
void spool_keeper_destroy(struct spool_keeper *keeper); // accepts NULL
