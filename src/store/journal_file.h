#pragma once

#include <stdint.h>

#include "base/error.h"

// Private to store/: the names of what belongs to a generation of the journal,
// "WHAT.0123456789abcdef", where WHAT is JOURNAL_NAME, JOURNAL_MARK or JOURNAL_LOST.

enum { JOURNAL_NAME_SIZE = 64 }; // bytes, with the NUL

const char *journal_name(const char *what, uint64_t generation, char *name); // into `name`
char *journal_path(const char *home, const char *what, uint64_t generation); // on the heap
