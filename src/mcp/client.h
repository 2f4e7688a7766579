#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/json.h"
#include "mcp/transport.h"

/*
 * One connection to one server: finds out its era, keeps the requests that run, and answers what
 * the server asks. It ends with on_closed; connecting anew is another client (mcp/servers.h).
 *
 * Legacy (2024-11-05 to 2025-11-25) has initialize and sessions, modern (2026-07-28) has neither:
 * each request says in _meta who asks. With MCP_ERA_AUTO the modern server/discover is sent first,
 * and what is no modern answer leads to initialize; 401, 403, 5xx and time are evidence of nothing
 * over HTTP.
 */
struct mcp_client;

enum mcp_era { MCP_ERA_AUTO, MCP_ERA_MODERN, MCP_ERA_LEGACY };
enum mcp_way { MCP_WAY_AUTO, MCP_WAY_HTTP, MCP_WAY_SSE }; // to a URL

enum {
    MCP_ROUNDS_MAX = 10,         // of input_required in one request (as the SDKs)
    MCP_PAGES_MAX = 64,          // of one list
    MCP_INSTRUCTIONS_MAX = 4096, // bytes that are kept
    MCP_PROBE_MS = 10 * 1000, // for an answer to server/discover of a program: node starts slowly
};

// How a server is reached, and what is wanted of it. Borrowed; outlives the client.
struct mcp_endpoint {
    const char *name;                  // in sentences
    const struct mcp_program *program; // or:
    const char *url;
    const char *const *headers; // the owner's, up to NULL; or NULL
    enum mcp_way way;
    enum mcp_era era;   // that it is known or configured to be of
    int64_t timeout_ms; // of a request, anew with each progress, but for ten times that in all
    int64_t connect_ms; // until it is ready
    bool asks;          // somebody can be asked: elicitation is declared
};

struct mcp_env { // borrowed
    struct loop *loop;
    struct processes *processes; // NULL: no programs
    struct http_client *http;    // NULL: no URLs
};

struct mcp_info { // of a server that is ready; borrowed from the client
    bool modern;
    const char *version;         // of the protocol
    enum mcp_way way;            // of a URL: how it was reached
    const char *name, *software; // as it calls itself, and its version; "": not said
    const char *instructions;    // "": none
    const char *tried;           // where else it was looked for before; "": nowhere
    bool tools, resources, prompts, tools_change; // its capabilities
};

// Why a request, or the connection, failed.
enum mcp_trouble {
    MCP_OK,
    MCP_ERROR, // an error of JSON-RPC: `code`
    MCP_TIMED_OUT,
    MCP_GONE,    // no connection, or it ended
    MCP_DENIED,  // 401 or 403: `challenge`
    MCP_INVALID, // an answer that is none
};

struct mcp_reply { // borrowed during the call
    enum mcp_trouble trouble;
    struct json_value result; // an object; absent unless MCP_OK
    int64_t code;
    struct json_value data;  // of an MCP_ERROR
    struct span challenge;   // of MCP_DENIED
    bool maybe_done;         // it failed, and the server may have acted on it
    const struct error *err; // a sentence for people and models
};
typedef void mcp_reply_fn(void *context, const struct mcp_reply *reply);

struct mcp_request { // copied
    const char *method;
    struct span params;         // an object; absent: none. _meta is added
    const char *name;           // for Mcp-Name
    const char *const *headers; // Mcp-Param-*, see mcp/param_headers.h; or NULL
    int64_t timeout_ms;         // 0: the endpoint's
    bool repeatable;            // may be sent again when nobody knows what became of it
    // {"progress": ..., "total": ..., "message": ...}; NULL: not wanted
    void (*on_progress)(void *context, struct json_value params);
};
typedef uint64_t mcp_request_id; // 0 is none

struct mcp_client_events {
    void (*on_ready)(void *context, const struct mcp_info *info); // once, or on_closed
    // It is over: every request has been answered before. `reply` says why (never MCP_OK).
    void (*on_closed)(void *context, const struct mcp_reply *reply);
    // Of lists that changed and the like: the bare method, params may be absent.
    void (*on_notification)(void *context, const char *method, struct json_value params);
    // The server asks the person (elicitation/create: its params): mcp_client_answer() is owed,
    // unless on_question_over comes. `request`: during which of ours; 0: not said.
    void (*on_question)(void *context, uint64_t question, mcp_request_id request,
                        struct json_value params);
    void (*on_question_over)(void *context, uint64_t question);
};

// Negative: it cannot even be begun. Events come from the loop, never from inside a call below.
int mcp_client_create(const struct mcp_env *env, const struct mcp_endpoint *endpoint,
                      const struct mcp_client_events *events, void *context,
                      struct mcp_client **ret_client, struct error *err);
void mcp_client_destroy(struct mcp_client *client); // nothing comes after it; accepts NULL

// Of requests from now on: an Authorization that was got meanwhile. As mcp_transport_set_headers().
void mcp_client_set_headers(struct mcp_client *client, const char *const *headers);

// Once it is ready. 0 and negative, with a sentence, when it cannot be sent; else fn comes, once.
mcp_request_id mcp_client_request(struct mcp_client *client, const struct mcp_request *request,
                                  mcp_reply_fn *fn, void *context, struct error *err);
// Its server is told; fn does not come. Had it been sent?
bool mcp_client_cancel(struct mcp_client *client, mcp_request_id id);

/*
 * All pages of "tools/list", "resources/list", "resources/templates/list" or "prompts/list", one
 * after the other: `page` with each reply, `last` with the last one or a failure, after which
 * nothing comes. Cancelled by its id as a request is. A cursor that comes again ends it as
 * MCP_INVALID.
 */
typedef void mcp_page_fn(void *context, const struct mcp_reply *page, bool last);
mcp_request_id mcp_client_list(struct mcp_client *client, const char *method, mcp_page_fn *fn,
                               void *context, struct error *err);

// `action` is "accept", "decline" or "cancel"; content an object, absent without "accept". Stale
// numbers do nothing.
void mcp_client_answer(struct mcp_client *client, uint64_t question, const char *action,
                       struct span content);
