#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

// Private to store/: what stands before each record of a journal.
enum { JOURNAL_FRAME = 16 }; // bytes: mark, length, checksum

void journal_frame(unsigned char *frame, uint64_t generation, int64_t offset, struct span record);

// Bytes of the record that begins here, with its frame; 0 when none does.
size_t journal_whole(struct span bytes, uint64_t generation, int64_t offset);
