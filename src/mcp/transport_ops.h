#pragma once

#include "mcp/transport.h"

/*
 * For those that make a transport: the calls of mcp/transport.h, which transport.c hands on. The
 * struct is the first member of theirs. What they tell: on_message and on_failure, and over HTTP
 * on_taken. One that tells MCP_SESSION_GONE has forgotten the session's name by then. Mcp-Name and
 * the lines of mcp_outgoing come encoded (mcp/param_headers.h) and go out as they are.
 */
struct mcp_transport_ops {
    int (*send)(struct mcp_transport *transport, const struct mcp_outgoing *message,
                struct error *err);
    void (*abandon)(struct mcp_transport *transport, uint64_t request);
    void (*destroy)(struct mcp_transport *transport); // not NULL
    // Or NULL, where there is nothing to do:
    void (*set_version)(struct mcp_transport *transport, const char *version, bool modern);
    void (*listen)(struct mcp_transport *transport);
    void (*set_headers)(struct mcp_transport *transport, const char *const *headers);
    const char *(*notes)(const struct mcp_transport *transport);
};

struct mcp_transport {
    const struct mcp_transport_ops *ops;
};
