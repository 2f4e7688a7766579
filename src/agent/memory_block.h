#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "codec/entries.h"
#include "config/option.h"

/*
 * memories/MEMORY.md and memories/USER.md of a home as blocks of the prompt. The files are
 * hermes-agent's: entries separated by a line with "§" (codec/entries.h).
 */
struct memory_config {
    bool memory_enabled, user_enabled;
    int64_t memory_limit, user_limit; // characters
};

extern const struct option memory_options[];
extern const size_t memory_option_count;

enum memory_file { MEMORY_NOTES, MEMORY_USER };

// Appends nothing when the file has no entries or its block is switched off.
void memory_block_append_file(const struct memory_config *config, const char *home,
                              enum memory_file file, struct buf *out);
