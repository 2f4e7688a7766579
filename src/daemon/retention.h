#pragma once

#include <stdint.h>

#include "loop/loop.h"

struct app;

// Deletes, once a day, conversations that have ended long ago (sessions.auto_prune).
struct retention {
    struct app *app;
    loop_id timer;
    int64_t job;
    int64_t removed; // since the last round began
};

void retention_init(struct retention *retention, struct app *app);
void retention_finish(struct retention *retention); // accepts zeroed
