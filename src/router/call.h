#pragma once

#include "router/router_internal.h"

/*
 * Private to the router: one call, and the attempt that it makes at the moment.
 */
struct router_attempt {
    bool running; // from its lease to its end
    struct router_step step;
    int number; // in the ledger: the first upstream that is asked is 1, whoever was passed over
    const struct router_deployment *deployment, *before; // the attempt before; NULL: none
    struct router_edit edit; // that the deployment wants, with the model as its provider calls it
    struct buf model;        // where that name may be made
    http_id http;
    loop_id timer; // of a stream: how long it may say nothing, or how long its end may take
    bool lingers;  // all is said, and the timer is that of the end
    struct translation *translation; // NULL: the deployment speaks openai_chat
    struct reply_watch watch;
    struct router_rate_limits rate_limits;
    struct buf head; // lines of the upstream's header
    int status;
    int64_t begun_ms, begun_wall_ms, first_ms;
    int64_t said_ms; // of a stream that has begun: when it last said something
    uint64_t said;   // the watch's count then
    bool sent, settled;
    bool paused;                        // its reader has enough for now,
    int64_t paused_since_ms, paused_ms; // for how long; the latter: the pauses before
    bool reader_late;                   // that is why its time was over
    bool reached;                       // the upstream had all of the request when it ended
    struct router_price price;          // by which it is reckoned
    const struct router_charge_events *charge_events;
    struct list prices; // of those that wait for a list of prices; zeroed: not yet
    bool awaited_price; // once is enough
    // What it holds.
    struct router_reservation reservation;
    int64_t reserved_pico;
    struct router_ledger_wait sync;
    bool recorded;       // the reservation stands in the journal, be it synced or not,
    bool reply_recorded; // and with it by what name the answer can be asked for, or it cannot
    int64_t capped_tokens;
};

// How the queue and an attempt report to the call, which may be gone after any of them.
struct router_call_events {
    void (*go)(struct router_call *call);   // it is its turn
    void (*pass)(struct router_call *call); // what the watch has for the client
    void (*failed)(struct router_call *call, const struct router_failure *failure); // the attempt
    void (*refused)(struct router_call *call, const struct router_failure *failure);
    void (*answered)(struct router_call *call);
};

struct router_call {
    const struct router_call_events *events;
    struct list link;    // router::calls
    struct list waiting; // router::waiting, while a step says WAIT
    struct router *router;
    struct router_runtime *runtime;
    router_call_id number;
    char id[ROUTER_CALL_ID_MAX + 1];
    char ledger_id[ROUTER_CALL_ID_MAX + 1 + ROUTER_UUID_SIZE]; // begins with id; never there twice
    enum upstream_operation operation;
    const char *route;
    bool own; // the agent's
    const struct router_sink *sink;
    void *context;
    // The origin's texts, in one block.
    char *texts;
    struct router_origin origin;
    struct router_body body;
    struct router_body *plain; // the other one (router_request); NULL: none
    unsigned media;            // that a deployment takes to get the one with all of it, and
    bool is_plain;             // that is `plain` now
    struct router_match match;
    struct buf client_models; // names of the client's own fallbacks
    struct router_target client_targets[ROUTER_TARGETS_MAX];
    struct router_chain client_chain;
    bool admitted; // past all checks
    struct router_fallback_iter iter;
    struct router_attempt attempt;
    struct router_group_queue *queue;
    uint64_t queued; // in the queue; 0: not
    struct router_bucket_reservation bucket_reservation;
    loop_id timer;                       // the next step
    struct router_failure failure;       // of our own, when it was never admitted
    const char *told_provider;           // whose failure the client hears of; NULL: nobody's
    char budget[ROUTER_BUDGET_NAME_MAX]; // that refused
    int asked;                           // upstreams, one after the other
    bool begun;
    loop_id silence;   // until its client gets the head of a stream, though nothing has begun:
    bool silence_told; // which it then has
    size_t counted;    // bytes in router::buffered
    int64_t came_ms, waited_ms;
    int64_t prompt_tokens; // an estimate
    int64_t cost_pico;
};

static inline struct loop *loop_of(const struct router_call *call)
{
    return call->router->env.loop;
}

// By the client's own name of it, where that is fit, else by one that is made here. A client may
// say the same name each time, and at once; in the ledger these are several calls.
void router_call_name(struct router_call *call, struct span wanted);

// Keeps who asks, and for which work, whose name may become another (names.h).
void router_call_keep_origin(struct router_call *call, const struct router_origin *origin);
// The model that answered, as its provider says it where that may be believed to be one (names.h).
struct span router_call_model(const struct router_call *call);
