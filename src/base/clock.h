#pragma once

#include <stdint.h>

/*
 * Time comes through a struct clock that is handed in, so that a test can replay any behaviour.
 * Monotonic time orders and times out; wall time is only shown, stored and compared with dates.
 * Boot time is monotonic, and goes on while the machine sleeps: how long something really took.
 */
struct clock {
    int64_t (*monotonic_ms)(void *context);
    int64_t (*wall_ms)(void *context); // since 1970-01-01T00:00:00Z
    void *context;
    int64_t (*boot_ms)(void *context); // NULL: as monotonic_ms
};

extern const struct clock clock_system;

int64_t clock_monotonic_ms(const struct clock *clock);
int64_t clock_wall_ms(const struct clock *clock);
int64_t clock_boot_ms(const struct clock *clock);

enum { CLOCK_TEXT_SIZE = 32 };

// "2026-11-21T01:47:12Z" (RFC 3339, UTC) into a buffer of CLOCK_TEXT_SIZE; returns it.
const char *clock_format_utc(int64_t wall_ms, char *text);
