#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "mcp/rpc.h"
#include "mcp/server.h"
#include "mcp/server_ways.h"
#include "net/sse_stream.h"

// What the files of the server share. Nobody else includes this.

enum {
    MCP_SESSION_ID_SIZE = 33, // hex digits and a NUL
    MCP_SIGNING_KEY_SIZE = 32,
    MCP_KEEP_ALIVE_MS = 15 * 1000,
};

struct mcp_lines;

struct mcp_watch {    // what a client wants to be told of
    unsigned changes; // of MCP_TOOLS_CHANGE, ...
    char *uris[MCP_WATCHED_MAX];
    size_t count;
};

struct mcp_peer {     // a legacy session, or the other end of the standard streams
    struct list link; // mcp_server::peers
    struct mcp_server *server;
    char session[MCP_SESSION_ID_SIZE]; // "": of the standard streams
    bool ready;                        // initialize has been answered
    unsigned can;
    int log_level; // the least that is told; -1: nothing is
    struct mcp_watch watch;
    struct sse_stream events; // that it opened by GET
    int64_t used_ms;          // monotonic
};

struct mcp_open_ask { // that a legacy client has not answered yet, or has
    uint64_t id;      // of the request; 0: answered
    char *key;
    struct buf answer; // JSON
};

// A message, from its arrival until it is answered.
struct mcp_served {
    struct list link; // mcp_server::calls
    struct mcp_server *server;
    mcp_call_id id;
    struct mcp_peer *peer;    // NULL: a modern client over HTTP
    struct http_server *http; // NULL: over the standard streams
    uint64_t exchange;
    struct sse_stream stream; // its answer is one, once it was begun
    struct buf text;
    struct json doc; // of the text
    struct rpc_message message;
    bool modern;
    enum mcp_verb verb;
    char *name;
    unsigned can;
    int log_level;
    bool listens; // a subscriptions/listen, which ends with its client
    struct mcp_watch watch;
    struct mcp_open_ask asks[MCP_ASKS_MAX];
    size_t ask_count;
    unsigned rounds;
    struct buf state;
    struct buf answers;      // of a legacy client to the last round
    struct json answers_doc; // of that
};

struct mcp_server {
    struct loop *loop;
    const struct mcp_offer *offer;
    void *context;
    struct list calls, peers;
    size_t call_count, session_count;
    mcp_call_id last_call;
    uint64_t last_ask;
    unsigned char key[MCP_SIGNING_KEY_SIZE];
    // The standard streams.
    struct mcp_lines *lines; // NULL: not open
    struct mcp_peer *stdio;  // who is at their other end
    loop_id ending;
    void (*on_call_over)(struct mcp_server *server); // NULL: not open
    void (*on_end)(void *context);
    void *end_context;
};

// server_served.c
struct mcp_served *mcp_served_create(struct mcp_server *server); // without a text
void mcp_served_destroy(struct mcp_served *call);                // without a word to anybody
struct mcp_served *mcp_served_find(const struct mcp_server *server, mcp_call_id id);
// Its client is not there any more, or does not want it.
void mcp_served_drop(struct mcp_served *call);
// All of a peer, or of a server of HTTP.
void mcp_calls_drop(struct mcp_server *server, const struct mcp_peer *peer,
                    const struct http_server *http);
bool mcp_served_send(struct mcp_served *call, struct span text); // a message on its stream
void mcp_served_end(struct mcp_served *call, unsigned status, struct span text); // absent: none
void mcp_served_error(struct mcp_served *call, unsigned status, int64_t code, const char *message,
                      struct span data);
// Of a request that is understood, and wrong: HTTP tells only modern clients.
void mcp_served_misused(struct mcp_served *call, int64_t code, const char *message,
                        struct span data);
void mcp_served_result(struct mcp_served *call, struct document *result);
void mcp_served_to_owner(struct mcp_served *call); // asks the owner of the offer
void mcp_served_forget_asks(struct mcp_served *call);

struct mcp_peer *mcp_peer_create(struct mcp_server *server);
void mcp_peer_destroy(struct mcp_peer *peer); // and its calls
void mcp_watch_finish(struct mcp_watch *watch);

// server_notice.c
int mcp_log_level_of(struct json_value name); // -1: none

// server_request.c: acts on what has arrived, with its text and where it came from.
// Parses; false: it is no message, and that was said.
bool mcp_served_read(struct mcp_served *call);
struct json_value mcp_served_version(const struct mcp_served *call); // that its _meta names
void mcp_served_begin(struct mcp_served *call); // whatever kind of message it is
bool mcp_version_is_known(struct span version, bool modern);
void mcp_served_refuse_version(struct mcp_served *call, struct span requested);
// "name" or "uri", where a request is about one thing; NULL: it is not.
const char *mcp_served_subject(const struct mcp_served *call);

// server_ask.c
void mcp_served_answered(struct mcp_served *answer); // by a legacy client
// The state that was given to a client as it was; false: it is not ours for this call.
bool mcp_state_open(const struct mcp_served *call, struct span sealed, struct buf *state);
