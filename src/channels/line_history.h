#pragma once

#include <stddef.h>

#include "base/span.h"

/*
 * Lines of the past, oldest first, and the place in them that is looked at. Behind the last one
 * lies the unfinished line.
 */
enum { LINE_HISTORY_BYTES_MAX = 1024 * 1024 }; // of all lines; the oldest make room

struct line_history {
    char **lines; // each owned
    size_t count, capacity;
    size_t max;       // lines
    size_t bytes;     // of all lines
    size_t at;        // `count` at the unfinished line
    char *unfinished; // owned; good while `at` is before it
};

void line_history_init(struct line_history *history, size_t max);
void line_history_finish(struct line_history *history);

// Up to a NUL; not if it is empty or the same as the last one. Both of these go to the end and
// forget the unfinished line.
void line_history_add(struct line_history *history, struct span line);
void line_history_rewind(struct line_history *history);

// Each goes to another line and returns it, absent when there is none. `current` is kept as the
// unfinished line if it is that. The result lives until the history changes.
struct span line_history_older(struct line_history *history, struct span current);
struct span line_history_newer(struct line_history *history);
// The next older one that contains the unfinished line and is not `current`.
struct span line_history_search(struct line_history *history, struct span current);
