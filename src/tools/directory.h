#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

// The names in a directory, sorted by bytes, without "." and "..". At most DIRECTORY_NAMES_MAX are
// kept; `more` tells that there were others.
enum { DIRECTORY_NAMES_MAX = 10000 };

struct directory {
    char **names; // owned
    size_t count, capacity;
    bool more;
};

// `fd` may be O_PATH; it stays the caller's.
int directory_read(int fd, struct directory *ret_directory, struct error *err);
void directory_finish(struct directory *directory); // accepts zeroed
