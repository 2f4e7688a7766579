#pragma once

#include <stddef.h>

// System calls by number, as libseccomp has them: negative where this architecture has none such.
extern const int syscalls_allowed[];
extern const size_t syscalls_allowed_count;

// Refused and reported.
extern const int syscalls_refused[];
extern const size_t syscalls_refused_count;

// Those that change what is behind a path and that Landlock does not see.
extern const int syscalls_of_paths[];
extern const size_t syscalls_of_paths_count;
