#pragma once

#include <stdarg.h>

#include "codec/document.h"
#include "mcp/client_internal.h"

struct mcp_listing; // client_list.c

// A request from its sending to its end.
struct mcp_call {
    struct list link; // mcp_client.calls
    struct mcp_client *client;
    mcp_request_id id; // the first number that it went out by
    uint64_t wire;     // the number by which it is out; 0: it waits
    char *method, *name, **headers;
    struct buf params;
    int64_t timeout_ms, hard_ms; // hard: an instant
    loop_id timer, again;
    bool own;                                // the client's: forgotten when that ends
    bool repeatable, sent, resent, reversed; // reversed: another version was asked for once
    bool lost;                               // it could not be sent
    bool renewed;                            // the session was, because of it
    bool cut; // its answer was lost once: the server may have acted on it
    void (*on_progress)(void *context, struct json_value params);
    mcp_reply_fn *fn;
    void *context;
    struct mcp_listing *listing; // owned; NULL: none
    // Of its rounds:
    unsigned rounds, asked; // asked: questions that are open
    bool declined;
    struct document extra; // what the next one says beside params
};

// `own`: in every state, and forgotten with the connection. NULL, with a sentence: it was not sent.
struct mcp_call *mcp_call_start(struct mcp_client *client, const struct mcp_request *request,
                                bool own, mcp_reply_fn *fn, void *context, struct error *err);
void mcp_call_send(struct mcp_call *call); // anew; what fails is told later
void mcp_call_again(struct mcp_call *call, int64_t ms);
void mcp_call_restart(struct mcp_call *call);  // its time, for what comes next
void mcp_call_forget(struct mcp_call *call);   // tells nobody
void mcp_call_withdraw(struct mcp_call *call); // what is out of it is taken back
void mcp_call_end(struct mcp_call *call, const struct mcp_reply *reply);
// "the MCP server NAME ...", as all that is told of it begins.
void mcp_client_say(const struct mcp_client *client, struct error *err, const char *what,
                    va_list arguments);
// With a sentence: "<server>: <what>".
void mcp_call_fail(struct mcp_call *call, enum mcp_trouble trouble, bool maybe_done,
                   const char *what, ...) __attribute__((format(printf, 4, 5)));
struct mcp_call *mcp_call_of(struct mcp_client *client, uint64_t wire);       // or NULL
struct mcp_call *mcp_call_find(struct mcp_client *client, mcp_request_id id); // or NULL
void mcp_call_progress(struct mcp_client *client, struct json_value params);
void mcp_call_soon(struct mcp_call *call); // its timer comes at once

void mcp_list_page(struct mcp_call *call, struct json_value result); // client_list.c
