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

// For a person: the entries of both files, numbered through both; nothing of a block that is
// switched off.
void memory_block_list(const struct memory_config *config, const char *home, struct buf *out);

/*
 * Removes the one entry that `wanted` is a part of, or has this number in that list, and says so in
 * `out`. Blocks that are switched off are not looked at.
 */
int memory_block_forget(const struct memory_config *config, const char *home, struct span wanted,
                        struct buf *out, struct error *err);

// Appends nothing when the file has no entries or its block is switched off.
void memory_block_append_file(const struct memory_config *config, const char *home,
                              enum memory_file file, struct buf *out);
