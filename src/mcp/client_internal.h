#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"
#include "mcp/client.h"

/*
 * What the client's sources share, each of which holds one idea:
 *
 *   client_meta.c       what a message says of who sends it
 *   client_question.c   what the server wants to ask a person
 *   client_call.c       a request from its sending to its end, with time and resending
 *   client_rounds.c     a request that needs a person's answers before its result (both eras)
 *   client_list.c       lists, page by page
 *   client_listen.c     the modern era's stream of notifications
 *   client_close.c      the end of the connection
 *   client_era.c        from an endpoint to a server that is ready, and to a new session
 *   client.c            what arrives, and who hears of it
 *
 * Whoever is told something may destroy the client. So telling is the last thing a function does;
 * what has several things to tell is the sweep (client.c), which looks after each whether the
 * client is still there.
 */
enum {
    MCP_QUESTIONS_MAX = 16,       // open at once
    MCP_QUESTION_MAX = 64 * 1024, // bytes of what one asks
    MCP_HARD_TIMEOUTS = 10,       // times a request's timeout, in all
    MCP_AGAIN_MS = 500,           // before a request is sent again to a server that was not there
    MCP_ASKED_MAX = 64,           // requests of a server in a second that are answered
    MCP_KEY_MAX = 256,            // bytes of a key of inputRequests
    MCP_STATE_MAX = 1 << 20,      // bytes of a requestState and the answers with it
    MCP_CURSOR_MAX = 64 * 1024,   // bytes
    MCP_NAME_MAX = 128,           // bytes of how a server calls itself
    MCP_PLACES_MAX = 4,           // URLs and ways that are tried
    MCP_NO_TIMEOUT = -1,
};
#define MCP_MODERN "2026-07-28"
#define MCP_LEGACY "2025-11-25" // the latest

struct mcp_call;

// One of the ways in which a server may be there.
struct mcp_place {
    char *url; // owned
    enum mcp_way way;
};

struct mcp_client {
    struct mcp_env env;
    const struct mcp_endpoint *endpoint;
    const struct mcp_client_events *events;
    void *context;
    const struct mcp_transport_events *wiring;
    loop_timer_fn *sweep_fn;
    char **headers; // set meanwhile; NULL: the endpoint's
    struct mcp_transport *transport;
    enum { MCP_CONNECTING, MCP_READY, MCP_RENEWING, MCP_CLOSED } state;
    bool modern;
    const char *version;
    uint64_t last_number;
    uint64_t session; // legacy: what went out under it has a higher number
    struct list calls, questions;
    const struct mcp_failure *failure; // of the transport, during what it causes; NULL: none
    bool *gone;                        // set by destruction
    loop_id sweep, patience;           // patience: until it is ready
    struct {                           // client_era.c
        struct mcp_place places[MCP_PLACES_MAX];
        size_t count, next;
        bool legacy;     // nothing modern is asked any more
        bool probed;     // this program was asked what a legacy one may not have liked
        bool asked_anew; // a program was begun anew because of that
        bool awaits;     // "initialized" was sent, and must be taken before anything else is sent
        loop_id timer;
        struct buf tried;
    } era;
    struct { // client_listen.c
        loop_id timer;
        unsigned failures;
        int64_t since_ms;
        bool acknowledged, before; // before: an earlier stream was
        uint64_t number;           // of the stream; 0: none
    } listen;
    struct { // of requests of the server
        int64_t since_ms;
        unsigned count;
    } asked;
    struct mcp_info info;
    struct buf name, software, instructions;
    struct {
        struct mcp_reply reply;
        struct error err;
        char *challenge;
        bool told;
    } end; // once it is closed
};

// client_rounds.c
void mcp_round_begin(struct mcp_call *call, struct json_value result);
// Of a -32042; false: it is an error like others.
bool mcp_round_of_urls(struct mcp_call *call, struct json_value data);

// client_listen.c
void mcp_listen_start(struct mcp_client *client);
void mcp_listen_acknowledged(struct mcp_client *client);
void mcp_listen_cancelled(struct mcp_client *client, struct json_value id);

// client_close.c
// Ends it: everybody hears of it from the loop. `why` is copied, but for its result and data.
void mcp_client_close(struct mcp_client *client, const struct mcp_reply *why);
// The same with a sentence: "the MCP server <name> <what>", and what its program wrote.
void mcp_client_close_text(struct mcp_client *client, enum mcp_trouble trouble, const char *what,
                           ...) __attribute__((format(printf, 3, 4)));

// client_era.c
int mcp_era_begin(struct mcp_client *client, struct error *err);
void mcp_era_taken(struct mcp_client *client); // what said "initialized"
void mcp_era_renew(struct mcp_client *client); // the session is gone
