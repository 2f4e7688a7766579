#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct turn;

struct turn_steering { // what the user said while the turn ran, for its next step
    struct list link;
    int64_t inbox;
    char *text;
    bool tainted; // nobody vouches for a part of it
    bool taken;   // is part of a result
};

void turn_steering_forget(struct turn *turn, bool only_taken);
int64_t *turn_steering_unheard(const struct turn *turn, size_t *ret_count); // numbers, on the heap
