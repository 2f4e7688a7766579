#pragma once

#include <stdint.h>

/*
 * What is waited before something that failed is tried again. Tests that bring about thousands of
 * failures have no use for the length of it, so the debug build, and it alone, multiplies such
 * waits by the number in HERMES_DEBUG_WAIT_SCALE (0.001 to 1), which tests/blackbox sets. A binary
 * that is shipped knows no such variable: there wait_scaled() is its argument.
 *
 * Never scaled: limits that end a hang, what a server asked for (Retry-After), rates that are kept
 * for somebody else's sake (channels/telegram_pace.h), settings, and times that people are told.
 */
#ifdef HERMES_DEBUG_WAITS
int64_t wait_scaled(int64_t ms);
int64_t wait_scaled_by(int64_t ms, const char *scale); // NULL or no such number: `ms`
#else
static inline int64_t wait_scaled(int64_t ms)
{
    return ms;
}
#endif
