#pragma once

#include <stdint.h>

#include "base/metrics.h"

int64_t process_resident_bytes(void); // 0 where there is no /proc

// The gauges that every Prometheus client tells about its own process, by their usual names
// (process_resident_memory_bytes, ...), read from /proc/self when somebody scrapes. What cannot be
// read is NaN.
void metrics_add_process(struct metrics *metrics);
