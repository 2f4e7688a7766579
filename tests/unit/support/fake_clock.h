#pragma once

#include "base/clock.h"

/*
 * A clock that a test moves by hand. A loop that is run with a wait of 0 then takes no time at all;
 * one that is told to wait waits for real.
 */
struct fake_clock {
    struct clock clock;
    int64_t now_ms, wall_ms;
};

static inline int64_t fake_clock_now(void *context)
{
    return ((const struct fake_clock *)context)->now_ms;
}

static inline int64_t fake_clock_wall(void *context)
{
    return ((const struct fake_clock *)context)->wall_ms;
}

static inline const struct clock *fake_clock_init(struct fake_clock *fake, int64_t now_ms)
{
    *fake = (struct fake_clock){{fake_clock_now, fake_clock_wall, fake, NULL}, now_ms, 0};
    return &fake->clock;
}
