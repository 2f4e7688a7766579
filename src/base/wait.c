#include "base/wait.h"

#ifdef HERMES_DEBUG_WAITS
#include <stdlib.h>

#include "base/span.h"

enum { DIGITS = 3, ONE = 1000 };

// A wait stays one: what is tried again at once for ever would keep a processor busy.
int64_t wait_scaled_by(int64_t ms, const char *scale)
{
    int64_t parts;
    if (!scale || ms <= 0 || !span_to_fixed(span_of(scale), DIGITS, &parts) || parts <= 0 ||
        parts > ONE)
        return ms;
    int64_t scaled = ms * parts / ONE;
    return scaled > 0 ? scaled : 1;
}

int64_t wait_scaled(int64_t ms)
{
    return wait_scaled_by(ms, getenv("HERMES_DEBUG_WAIT_SCALE"));
}
#endif
