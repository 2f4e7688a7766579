#pragma once

#include <stdint.h>

// Bytes that all of this container, or service, may take together by a control group (version 2):
// the least that the group or one above it says. INT64_MAX: no limit is seen.
int64_t cgroup_memory_max(const char *own, const char *root); // "/proc/self/cgroup", its mount

// How many processes the kernel has killed because such a group had taken all that it may. 0 where
// it is not told.
int64_t cgroup_oom_kills(const char *own, const char *root);
