#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "mcp/client.h"
#include "support/fake_clock.h"

/*
 * A client of MCP, whose server is the test, and whose clock is moved by hand. What is sent waits
 * to be looked at; what happens is written down, a line for each, and compared: mcp_world_saw().
 */
enum { MCP_SENT_MAX = 128, MCP_WORLD_TEXT_MAX = 1 << 20 };

struct mcp_sent {
    char *text, *method, *name, *headers;
    uint64_t request;
};

struct mcp_world {
    struct fake_clock clock;
    struct loop *loop;
    struct mcp_client *client;
    struct mcp_endpoint endpoint;
    struct scripted_transport *transport; // the one that was made last
    const char *notes;
    struct mcp_sent sent[MCP_SENT_MAX]; // since the beginning
    size_t sent_count, looked_at;
    int refusals;  // so many of the next messages cannot be sent
    bool destroys; // whatever is told first destroys the client
    uint64_t question;
    struct buf saw;
};

// `url` NULL: a program. It is connected; nothing was sent.
void mcp_world_init(struct mcp_world *world, const char *url);
void mcp_world_finish(struct mcp_world *world);
void mcp_world_begin(struct mcp_world *world); // the client
void mcp_world_pass(struct mcp_world *world, int64_t ms);

// The next message that was sent is of that method ("": an answer) and holds `part` (NULL: whatever
// it is). Returns its text.
const char *mcp_world_sends(struct mcp_world *world, const char *method, const char *part);
void mcp_world_sends_nothing(struct mcp_world *world);
// All lines that were written down since the last look; a "*" at the end stands for the rest of a
// line.
void mcp_world_saw(struct mcp_world *world, const char *lines);

// The server, of the request that went out last:
void mcp_world_answers(struct mcp_world *world, const char *result);
void mcp_world_refuses(struct mcp_world *world, int code, const char *data); // NULL: none
void mcp_world_fails(struct mcp_world *world, int loss, int status, const char *body);
void mcp_world_fails_of(struct mcp_world *world, uint64_t request, int loss); // of that one
// And by itself:
void mcp_world_says(struct mcp_world *world, const char *text, uint64_t request);
void mcp_world_taken(struct mcp_world *world);
void mcp_world_ends(struct mcp_world *world);     // the transport
uint64_t mcp_world_last(struct mcp_world *world); // number of the request that went out last

// Of either era, until it is ready: nothing is left to be looked at.
void mcp_world_modern(struct mcp_world *world, const char *capabilities);
void mcp_world_legacy(struct mcp_world *world, const char *capabilities);

// A tools/call of "work" that writes down what becomes of it.
mcp_request_id mcp_world_call(struct mcp_world *world, bool repeatable);
extern mcp_reply_fn mcp_world_reply;
extern mcp_page_fn mcp_world_page;
