#pragma once

#include <stdbool.h>
#include <stdint.h>

// Which system calls were refused, and how often.
enum { REFUSALS_KINDS_MAX = 16, REFUSALS_NAME_MAX = 32, REFUSALS_TEXT_MAX = 1024 };

struct refusals {
    struct {
        char name[REFUSALS_NAME_MAX];
        uint64_t count;
    } kinds[REFUSALS_KINDS_MAX];
    unsigned kind_count;
    uint64_t others; // of further kinds
};

uint64_t refusals_count(const struct refusals *refusals);
void refusals_add(struct refusals *refusals, const char *name);
// "socket (3 times), ptrace"; false when there was none.
bool refusals_describe(const struct refusals *refusals, char text[REFUSALS_TEXT_MAX]);
