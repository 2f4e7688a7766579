#pragma once

#include <stdint.h>

#include "base/error.h"
#include "config/option.h"
#include "mcp/server.h"
#include "mcp/server_ways.h"

struct control_env;

/*
 * What Hermes offers to clients of the Model Context Protocol: its own tools, the agent as the tool
 * "ask", and its sessions and memory files as resources. A call of a tool is judged as one of a
 * turn of the API is; a turn of "ask" belongs to the channel "api", whose turns nobody is asked
 * about.
 *
 * The way in over HTTP is the admin listener's and the control socket's; over the standard streams
 * it is `hermes mcp serve`.
 */
struct mcp_face;

struct mcp_serve_config {
    struct option_list tools; // by name; empty: those that only read, and "ask"
    struct option_list hosts; // names by which clients may call us
};

extern const struct option mcp_serve_options[];
extern const size_t mcp_serve_option_count;

// Borrowed, and looked at anew with each request. The agent of `control` must be there.
struct mcp_face *mcp_face_create(const struct control_env *control,
                                 const struct mcp_serve_config *config);
// After dispatcher_destroy(), and before the servers of HTTP whose exchanges it has.
void mcp_face_destroy(struct mcp_face *face); // accepts NULL

struct mcp_server *mcp_face_server(struct mcp_face *face);
void mcp_face_take(struct mcp_face *face, struct http_server *http, struct http_exchange *exchange,
                   bool bridge);
void mcp_face_reloaded(struct mcp_face *face); // other tools may be offered
