#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "codec/sse.h"
#include "loop/loop.h"
#include "mcp/transport.h"
#include "net/http_client.h"

// What all requests of a transport to its server have in common.
struct exchange_site {
    struct http_client *http;
    char *url;
    char *authority; // for sentences, which show no URL
    int64_t connect_ms;
    char **headers; // of the owner, up to NULL
    char *version;  // ""
    bool modern;
    char *session;          // NULL: none
    unsigned session_count; // how many there have been
};

int exchange_site_init(struct exchange_site *site, struct http_client *http,
                       const struct mcp_address *address, struct error *err);
void exchange_site_finish(struct exchange_site *site);
void exchange_site_set_headers(struct exchange_site *site, const char *const *headers);
void exchange_site_set_version(struct exchange_site *site, const char *version, bool modern);
// Gives the session back, which nobody waits for.
void exchange_site_leave(struct exchange_site *site);

/*
 * One request of HTTP, and what comes back: messages, as a stream of events or as one document, or
 * a refusal. It stays where it is until exchange_drop(), which any event may call, and may be sent
 * again once it is over. All events come from the loop.
 */
struct exchange {
    struct list link; // its transport's
    struct exchange_site *site;
    const struct exchange_events *events;
    void *context;
    uint64_t request;  // of JSON-RPC; 0: nothing is awaited
    http_id id;        // 0: none is under way
    bool acknowledged; // that it was accepted is all that is wanted
    int status;
    enum { EXCHANGE_REFUSAL, EXCHANGE_IGNORED, EXCHANGE_DOCUMENT, EXCHANGE_STREAM } kind;
    struct sse_parser stream;
    struct buf body; // of a refusal, or the document
    struct buf challenge;
    struct error trouble; // that was understood before its end
    unsigned session;     // with which it was sent; 0: none
    bool telling, dropped;
    // For its transport:
    bool resumes, answered;
    unsigned tries;
    loop_id timer;
};

struct exchange_events {
    void (*on_accepted)(struct exchange *exchange, const struct http_head *head); // or NULL; 2xx
    void (*on_event)(struct exchange *exchange, struct span type, struct span data);
    // With NULL it ended in order. It may be dropped or sent again.
    void (*on_over)(struct exchange *exchange, const struct mcp_failure *failure);
};

struct exchange *exchange_create(struct exchange_site *site, uint64_t request,
                                 const struct exchange_events *events, void *context);
void exchange_drop(struct exchange *exchange); // without further events

struct exchange_order {
    const char *method;
    const char *url;                    // NULL: the site's
    const struct mcp_outgoing *message; // of a POST
    const char *last_event;             // its id; NULL: none
};

// Negative: no event comes of it.
int exchange_send(struct exchange *exchange, const struct exchange_order *order, struct error *err);
