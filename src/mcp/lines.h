#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

struct loop;

/*
 * Messages over two descriptors of this process, one a line, each way: its standard streams. What
 * is written waits here for a reader; one that does not read is given up.
 */
struct mcp_lines;

enum { MCP_LINES_WAITING_MAX = 64 << 20 }; // bytes that wait for a reader

struct mcp_lines_events { // from the loop
    // A line that is not blank, trimmed; absent: it was longer than `max`. Borrowed.
    void (*on_line)(void *context, struct span line);
    // `in` has ended, all is written, or nothing can be written any more. Also from inside
    // mcp_lines_write(); it must not close them.
    void (*on_change)(void *context);
};

// The descriptors are borrowed.
int mcp_lines_open(struct loop *loop, int in, int out, size_t max,
                   const struct mcp_lines_events *events, void *context,
                   struct mcp_lines **ret_lines, struct error *err);
void mcp_lines_close(struct mcp_lines *lines); // without events; accepts NULL

bool mcp_lines_write(struct mcp_lines *lines, struct span text); // adds the line feed
// Nothing more comes, and nothing more can or has to be written.
bool mcp_lines_over(const struct mcp_lines *lines);
bool mcp_lines_dead(const struct mcp_lines *lines); // nobody reads
