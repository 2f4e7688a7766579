#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "mcp/transport.h"

/*
 * What a transport of MCP told, as one text, a line for each event: "message 3 {...}" (the request
 * on whose stream it came; what is long is its size), "failure 3 cut 0 ...", "closed ...". What was
 * taken is counted.
 */
enum mcp_place { MCP_NOWHERE, MCP_IN_MESSAGE, MCP_IN_FAILURE, MCP_IN_CLOSED, MCP_IN_TAKEN };

struct mcp_record {
    struct loop *loop;
    struct mcp_transport *transport;
    enum mcp_place destroy_in;
    struct buf log, challenge, body; // the last two of the last failure
    unsigned events, messages, failures, closes, taken;
    size_t longest; // bytes of a message
};

#define MCP_RECORD_AUTO CLEANUP(mcp_record_finish) struct mcp_record

extern const struct mcp_transport_events mcp_record_events; // whose context it is
struct mcp_record mcp_record_of(struct loop *loop);
void mcp_record_finish(struct mcp_record *record); // destroys the transport
// Passes of the loop until so many events have come; fails after a while.
void mcp_record_until(struct mcp_record *record, const unsigned *count, unsigned value);
void mcp_record_says(const struct mcp_record *record, const char *log); // all of it
void mcp_record_holds(const struct mcp_record *record, const char *part);
int mcp_record_send(struct mcp_record *record, const char *text, uint64_t request,
                    struct error *err);
