#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/zone.h"

// Dates with times as ISO 8601 and RFC 3339 write them: "2026-11-22T09:31:35.766+01:00".
enum { ISO_TIME_SIZE = 40 };

// With or without seconds and a zone; without one it is by the clock of `zone`, and a date alone is
// its midnight. Milliseconds since 1970. False: it is none.
bool iso_time_parse(struct span text, const struct zone *zone, int64_t *ret_ms);

// As that zone's clock shows it, into ISO_TIME_SIZE bytes; returns it.
const char *iso_time_format(int64_t ms, const struct zone *zone, char *text);
