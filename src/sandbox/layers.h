#pragma once

#include <stddef.h>

/*
 * Which layers of the sandbox hold on this machine, and if not, what to do about it. Asking takes
 * the layers on in processes of their own, and changes nothing here.
 */
enum sandbox_state {
    SANDBOX_HOLDS,
    SANDBOX_LACKING, // another layer takes its place
    SANDBOX_FAILS,   // no program runs in a sandbox here
};

enum { SANDBOX_PROBE_TEXT_MAX = 1024 };

// `hands` is the socket of those that run the programs, or NULL: they run here.
typedef enum sandbox_state sandbox_probe_fn(const char *hands, char text[SANDBOX_PROBE_TEXT_MAX]);

extern sandbox_probe_fn *const sandbox_probes[];
extern const size_t sandbox_probe_count;
