#pragma once

#include "base/buf.h"
#include "base/span.h"

// Private to store/: words as a person writes them -> an FTS5 query (sqlite.org/fts5.html §3).

enum {
    FTS_WORDS_MAX = 32,
    FTS_WORD_BYTES_MAX = 64, // longer words are passed over
    FTS_QUERY_BYTES_MAX = FTS_WORDS_MAX * (2 * FTS_WORD_BYTES_MAX + 8),
};

// Appends a query for any of the words; returns how many there are. With none, nothing is appended.
int fts_query_build(struct span text, struct buf *query);
