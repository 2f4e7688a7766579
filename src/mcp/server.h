#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/document.h"
#include "codec/json.h"

struct http_exchange;
struct http_server;
struct loop;

/*
 * The server side of the Model Context Protocol, in both eras at once: each message says of which
 * it is. Legacy clients (to 2025-11-25) say initialize and have a session, modern ones (2026-07-28)
 * say in each request who asks. What is offered is the owner's affair: it is asked by on_request,
 * and answers at once or later.
 *
 * There are two ways in, which may be open at the same time: the standard streams of this process,
 * and any number of HTTP servers that hand over the exchanges of a path.
 */
struct mcp_server;
typedef uint64_t mcp_call_id; // 0 is none; stale ones do nothing

enum {
    MCP_REQUEST_MAX = 4 << 20,   // bytes of one message of a client
    MCP_REQUESTS_MAX = 16 << 20, // bytes of all that are answered at a time
    MCP_ANSWER_MAX = 4 << 20,    // bytes of one of ours
    MCP_CALLS_MAX = 64,          // requests that are answered at a time, open streams included
    MCP_SESSIONS_MAX = 32,       // of legacy clients over HTTP; the one idle for longest makes room
    MCP_ASKS_MAX = 8,            // requests to a client in one round
    MCP_ASK_ROUNDS_MAX = 10,     // in one call
    MCP_WATCHED_MAX = 64,        // resources that one client may be told of
    MCP_URI_MAX = 4096,          // bytes, also of the names of tools and prompts
    MCP_STATE_MAX = 256 * 1024,  // bytes of the state of a call that a client keeps
    MCP_STATE_MS = 3600 * 1000,  // how long it may keep it
};

enum mcp_verb {
    MCP_LIST_TOOLS,
    MCP_LIST_RESOURCES,
    MCP_LIST_TEMPLATES,
    MCP_LIST_PROMPTS,
    MCP_CALL_TOOL,
    MCP_READ_RESOURCE,
    MCP_GET_PROMPT,
    MCP_COMPLETE,
};

enum mcp_offers { // what there is
    MCP_TOOLS = 1,
    MCP_RESOURCES = 2,
    MCP_PROMPTS = 4,
    MCP_COMPLETIONS = 8,
    MCP_LOGGING = 16,
    // and what of it is told when it changes
    MCP_TOOLS_CHANGE = 32,
    MCP_RESOURCES_CHANGE = 64,
    MCP_PROMPTS_CHANGE = 128,
    MCP_WATCHING = 256, // of a single resource
};

enum mcp_can { MCP_CAN_ELICIT = 1, MCP_CAN_SAMPLE = 2, MCP_CAN_ROOTS = 4 }; // a client

struct mcp_asked { // borrowed during the call
    mcp_call_id call;
    enum mcp_verb verb;
    const char *name;            // of the tool or prompt, the URI of the resource; "" else
    struct json_value params;    // an object
    struct json_value arguments; // of a tool or prompt: an object, or absent
    unsigned can;                // enum mcp_can, of this client
    // Once mcp_server_ask() has been answered: what to, by key, and the state that was given.
    struct json_value responses;
    struct span state;
};

struct mcp_offer { // borrowed; its functions must not destroy the server
    const char *name, *version;
    const char *instructions; // NULL: none
    unsigned offers;          // enum mcp_offers
    // mcp_server_reply(), _fail() or _ask() is owed, during the call or later.
    void (*on_request)(void *context, const struct mcp_asked *asked);
    // Nobody waits for it any more; nothing is owed.
    void (*on_cancel)(void *context, mcp_call_id call);
};

struct mcp_server *mcp_server_create(struct loop *loop, const struct mcp_offer *offer,
                                     void *context);
void mcp_server_destroy(struct mcp_server *server); // cuts what is open; accepts NULL

// The answer: an object with the members that the method wants, to which more are added.
void mcp_server_reply(struct mcp_server *server, mcp_call_id call, struct document *result);
void mcp_server_fail(struct mcp_server *server, mcp_call_id call, int64_t code, const char *message,
                     struct span data); // JSON, or absent
// That there is no such resource, tool or prompt, in the words of the client's era.
void mcp_server_fail_unknown(struct mcp_server *server, mcp_call_id call);

/*
 * Asks the client for something before there is an answer: elicitation/create,
 * sampling/createMessage or roots/list. on_request comes again, for the same or for another call,
 * with the responses of this round and with `state`. Nobody can change the state, but its client
 * can read it. A method that the client has not declared fails the call.
 */
struct mcp_ask {
    const char *key, *method;
    struct span params; // an object
};
void mcp_server_ask(struct mcp_server *server, mcp_call_id call, const struct mcp_ask *asks,
                    size_t count, struct span state);

// Nothing is sent to a client that has not asked for it.
void mcp_server_progress(struct mcp_server *server, mcp_call_id call, int64_t progress,
                         int64_t total, const char *message); // 0, NULL: not told
enum mcp_log_level {
    MCP_LOG_DEBUG,
    MCP_LOG_INFO,
    MCP_LOG_NOTICE,
    MCP_LOG_WARNING,
    MCP_LOG_ERROR,
    MCP_LOG_CRITICAL,
    MCP_LOG_ALERT,
    MCP_LOG_EMERGENCY,
};
void mcp_server_log(struct mcp_server *server, mcp_call_id call, enum mcp_log_level level,
                    const char *message);
void mcp_server_changed(struct mcp_server *server, unsigned changes); // of MCP_TOOLS_CHANGE, ...
void mcp_server_updated(struct mcp_server *server, const char *uri);
