#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "router/plan/plan.h"
#include "router/route/pick.h"
#include "router/wire/failure.h"

/*
 * The way of one request over its attempts: who is asked first, who after a failure, when it is
 * given up. The iterator does no I/O and keeps no time: it is asked router_fallback_next() when it
 * begins, after every failure, and when a wait is over.
 */
enum {
    ROUTER_ATTEMPTS_MAX = 64,       // of one request, whatever the configuration says
    ROUTER_FALLBACK_DEPTH_MAX = 16, // fallbacks of fallbacks
    ROUTER_BACKOFF_MS = 500,        // before the first retry
    ROUTER_BACKOFF_MAX_MS = 8000,   // before any
    ROUTER_BACKOFF_JITTER_MS = 250  // added to what a provider asked for
};

// What the request wants.
struct router_fallback_request {
    struct router_target target;       // its name is borrowed
    const struct router_chain *client; // the client's own fallbacks, instead of any; or NULL
    bool disable_fallbacks;
    int64_t num_retries;   // the client's own, counts most; -1: not said
    int64_t tokens;        // see struct router_pick_query
    int64_t prompt_tokens; //
    int64_t deadline_ms;   // instant after which nothing is begun
    int64_t wait_ms;       // longest wait for room; 0: never
};

enum router_step_kind { STEP_ATTEMPT, STEP_WAIT, STEP_GIVE_UP };

enum router_why { // of an attempt, for the ledger and the log
    ROUTER_WHY_FIRST,
    ROUTER_WHY_RETRY,      // the same deployment again
    ROUTER_WHY_DEPLOYMENT, // another one of the group
    ROUTER_WHY_FALLBACK,   // the first one of another group
};

struct router_step {
    enum router_step_kind kind;
    int64_t at_ms; // STEP_WAIT: ask again then, or earlier when something ended; never -1
    // STEP_ATTEMPT: begun, see router_picker_take(); end it before the iterator hears of it.
    struct router_lease lease;
    enum router_why why;
    struct router_target target; // of the group that is asked
    int attempt;                 // of the request, from 1
};

struct router_fallback_level {
    const struct router_chain *chain;
    size_t next;
};

struct router_fallback_iter {
    const struct router_plan *plan; // borrowed, with all that it points at
    struct router_fallback_request request;
    struct router_picker *picker;
    uint64_t prng;
    struct router_target target; // the group that is asked now
    struct router_fallback_level levels[ROUTER_FALLBACK_DEPTH_MAX];
    int depth;                             // levels in use
    uint32_t visited[ROUTER_ATTEMPTS_MAX]; // groups
    size_t visited_count;
    uint32_t tried[ROUTER_ATTEMPTS_MAX]; // deployments, each once
    size_t tried_count;
    size_t again;                     // to be retried; ROUTER_NONE: none
    int64_t not_before_ms;            //
    int64_t waiting_since_ms;         // for room; -1
    int attempts, retries, fallbacks; // retries: in the group that is asked now
    int64_t max_retries;              // that counted for them
    bool entered;                     // this group has been asked
    bool over;
    bool failed; // `first` and `last` are said
    struct router_failure first, last;
    const struct router_chain *available; // the list that the first group had; NULL: none
};

void router_fallback_init(struct router_fallback_iter *iter, const struct router_plan *plan,
                          struct router_picker *picker,
                          const struct router_fallback_request *request, uint64_t seed);

void router_fallback_next(struct router_fallback_iter *iter, int64_t now_ms,
                          struct router_step *ret_step);

// Of the group that is asked now, see router_picker_room_at().
int64_t router_fallback_room_at(const struct router_fallback_iter *iter, int64_t now_ms);

// How the attempt failed. Not for one that was cancelled: then there is nothing more to ask.
void router_fallback_failed(struct router_fallback_iter *iter, const struct router_failure *failure,
                            int64_t now_ms);

// Of an iterator that gave up: the first failure, which is what the client gets.
const struct router_failure *router_fallback_failure(const struct router_fallback_iter *iter);

/*
 * The same for people, with what LiteLLM puts after it: ". Received Model Group=...\nAvailable
 * Model Group Fallbacks=...\nError doing the fallback: ...". `provider` is that of the first.
 */
void router_fallback_message(const struct router_fallback_iter *iter, struct span provider,
                             struct buf *out);
