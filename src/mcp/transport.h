#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct http_client;
struct loop;
struct processes;

/*
 * How messages get to a server of the Model Context Protocol and back: the standard streams of a
 * program, Streamable HTTP (both eras), or the two connections of HTTP+SSE (2024-11-05). A
 * transport carries messages, and knows of one only what its headers repeat. Which era a server is
 * of, what a message means and how long to wait for it is for the client (mcp/client.h) to say.
 *
 * All events come from the loop, never from inside a call below, and any of them may make every
 * call, mcp_transport_destroy() included.
 */
struct mcp_transport;

enum {
    MCP_REFUSAL_MAX = 64 * 1024,  // bytes of the body of an HTTP error that are kept
    MCP_CHALLENGE_MAX = 4 * 1024, // bytes of a WWW-Authenticate
    MCP_SESSION_MAX = 1024,       // bytes of an Mcp-Session-Id
    MCP_HEADERS_MAX = 24,         // lines that the owner and a token add
    MCP_WAITING_MAX = 8 << 20,    // bytes that wait to be read by a program
    MCP_NOTES_MAX = 2 * 1024,     // bytes of the end of a program's stderr that are kept
};

struct mcp_outgoing {   // borrowed during the call
    struct span text;   // one message, without line breaks
    uint64_t request;   // its id; 0: a notification or an answer, behind which nothing comes
    const char *method; // Mcp-Method; NULL: an answer
    const char *name;   // Mcp-Name: of a tool, a prompt, the URI of a resource; or NULL
    const char *const *headers; // "Mcp-Param-Region: value" lines up to NULL, encoded; or NULL
};

enum mcp_loss {
    MCP_NOT_SENT,     // certainly not acted on: no connection, or the program has ended before
    MCP_CUT,          // it was sent, and its answer will not come
    MCP_REFUSED,      // by HTTP: `status` and `body`, which may be an error of JSON-RPC
    MCP_SESSION_GONE, // the same, and it means that the session is unknown there now
    MCP_UNAUTHORIZED, // 401, or 403 with a challenge
};

struct mcp_failure { // borrowed during the event
    enum mcp_loss loss;
    int status;            // of HTTP; 0: none came
    struct span challenge; // WWW-Authenticate; absent: none
    struct span body;      // cut at MCP_REFUSAL_MAX
    const struct error *err;
};

struct mcp_transport_events {
    // One message, valid JSON or not. `request`: on whose answer's stream it came; 0: elsewhere.
    void (*on_message)(void *context, struct span text, uint64_t request);
    // A request, or (0) a message behind which nothing comes, that will not be answered.
    void (*on_failure)(void *context, uint64_t request, const struct mcp_failure *failure);
    // Nothing can be sent any more, and nothing comes: the program has ended, or the stream of
    // HTTP+SSE. The last; failures of requests that ran came before. Streamable HTTP never closes.
    void (*on_closed)(void *context, const struct error *err);
    // Or NULL. Over HTTP, a message behind which nothing comes was taken (202): only then may
    // follow what builds on "initialized", as each message has a connection of its own. Never of a
    // program.
    void (*on_taken)(void *context);
};

// 0, then on_message or on_failure. Negative, with a sentence: nothing was sent, nothing comes.
int mcp_transport_send(struct mcp_transport *transport, const struct mcp_outgoing *message,
                       struct error *err);
// Nothing more comes of that request. Modern HTTP: its stream is closed, which cancels it; legacy:
// the same here, and the client sends notifications/cancelled besides.
void mcp_transport_abandon(struct mcp_transport *transport, uint64_t request);
// MCP-Protocol-Version of what is sent from now on ("": no header). Legacy: an Mcp-Session-Id is
// kept and sent, and a stream that ends early is taken up again (SEP-1699); modern: neither.
void mcp_transport_set_version(struct mcp_transport *transport, const char *version, bool modern);
// Legacy HTTP: keeps the GET stream open on which a server speaks unasked, as long as it lets us.
// Nothing where there is none.
void mcp_transport_listen(struct mcp_transport *transport);
// "Name: value" lines up to NULL, of every request from now on; copied. Nothing for a program.
void mcp_transport_set_headers(struct mcp_transport *transport, const char *const *headers);
// The end of what the program wrote to stderr, and the first line of its stdout that was no JSON;
// for an error. "" where there is none.
const char *mcp_transport_notes(const struct mcp_transport *transport);
// Puts the end of that behind a sentence. Accepts NULL, which wrote nothing.
void mcp_transport_explain(const struct mcp_transport *transport, struct error *err);

/*
 * Ends it without events. A session is given back with DELETE, which nobody waits for; a program's
 * stdin is closed, and it has MCP_LEAVE_MS to end, then SIGTERM, then as long again, then SIGKILL,
 * all of which outlives the transport. Accepts NULL.
 */
enum { MCP_LEAVE_MS = 2000 };
void mcp_transport_destroy(struct mcp_transport *transport);

struct mcp_program {                // copied
    const char *const *argv;        // up to NULL; the first is looked up in its PATH
    const char *const *environment; // "NAME=value", up to NULL: all that it gets
    const char *directory;
    int64_t memory;              // bytes resident of all of it; 0: no limit
    const struct grants *grants; // behind all layers of the sandbox; NULL: the owner's own program
    const char *const *hidden, *shown; // from that, as of a process_spec; or NULL
};

int mcp_stdio_create(struct loop *loop, struct processes *processes,
                     const struct mcp_program *program, const struct mcp_transport_events *events,
                     void *context, struct mcp_transport **ret_transport, struct error *err);

struct mcp_address { // copied
    const char *url; // http or https
    const char *const *headers;
    int64_t connect_ms;
};

int mcp_http_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                    const struct mcp_transport_events *events, void *context,
                    struct mcp_transport **ret_transport, struct error *err);
// HTTP+SSE: opens the stream at once; what is sent before its "endpoint" event waits.
int mcp_sse_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                   const struct mcp_transport_events *events, void *context,
                   struct mcp_transport **ret_transport, struct error *err);
