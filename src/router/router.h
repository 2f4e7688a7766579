#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "llm/upstream.h"
#include "router/money/budget.h"
#include "router/plan/plan.h"
#include "router/route/bucket.h"
#include "router/route/pick.h"
#include "router/wire/failure.h"
#include "router/wire/pieces.h"
#include "store/ledger.h"

struct http_client;
struct loop;
struct metrics;
struct router;
struct store;

/*
 * The door to all models. Whoever wants an answer hands in the body of a request in OpenAI's
 * format, and gets the bytes of an answer: the agent in-process, every other client through the
 * face on port 4000. What happens between is one call:
 *
 *     scan -> allowlist -> queue -> deployment -> reserve -> ask -> hold -> pass -> settle
 *                                       ^                              |
 *                                       +---- retry, next, fallback ---+
 *
 * A call belongs to the router and is named by an id; the call holds the plan that was in force
 * when it began. Everything happens on the loop.
 */
struct router_env { // borrowed; outlives the router
    struct loop *loop;
    struct http_client *http; // may be NULL as long as no deployment needs it
    struct store *store;
    struct metrics *metrics; // may be NULL
    const char *home;
};

// The router takes a reference of the plan.
int router_create(const struct router_env *env, const struct router_plan *plan,
                  struct router **ret_router, struct error *err);

// The plan of what follows, and the client that it needs; calls that run end by theirs.
void router_configure(struct router *router, struct http_client *http,
                      const struct router_plan *plan);

// Ends what runs, without callbacks. Accepts NULL.
void router_destroy(struct router *router);

const struct router_plan *router_plan(const struct router *router);
// So many bytes more (or less) of answers wait for their readers: they count as the router's own.
void router_keeps(struct router *router, int64_t bytes);

// As router_picker_view(), router_budgets_next(), router_ledger_apply() (-ENOENT without a ledger).
struct router_pick_view router_view(struct router *router, size_t deployment);
bool router_next_budget(struct router *router, size_t *cursor, struct router_budget_state *ret);
int64_t router_apply_ledger(struct router *router, store_apply_fn *done, void *context,
                            struct error *err);
// Counts a request that never became a call, by a reason of hermes_router_refused_total; and logs.
void router_refused(struct router *router, const char *why, struct span peer);
// Why no call with a price can be made at the moment (the disk is full); "" when they can.
const char *router_trouble(const struct router *router);

// Memory of small buffers; that of requests' bodies ends there.
struct buf_pool *router_buffers(struct router *router);

typedef uint64_t router_call_id; // 0 is none

// The client or work that asks. Absent is not said.
struct router_origin {
    struct span slot, session, job;
    struct span key_name, key_hash; // of the key that was shown; never the key
    enum chat_priority priority;
};

struct router_request {
    enum upstream_operation operation;
    struct buf *body;            // taken over, left empty
    struct router_origin origin; // borrowed during the call
    const char *route;           // "/v1/chat/completions", a literal, for the metrics
    struct span id;              // the client's own name of the call; absent or unfit: one is made
    struct span model;           // that the path names, for a body that names none; or absent
    bool own;                    // the agent's: it may ask models that no client can
    struct buf *plain; // the same for deployments that lack some of `media`; taken over; or NULL
    unsigned media;    // enum chat_media
    size_t media_bytes, plain_media_bytes; // base64 within the two
};

struct router_answer {
    const char *id;           // of the call
    const char *content_type; // literal
    bool stream;
    const struct router_deployment *deployment;
    const struct router_plan *plan; // that the call goes by
    size_t asked;                   // the group that was asked for, behind aliases
    struct span model;              // that the provider was asked for
    const char *group; // the name that it was asked by: the client's, or of a list of fallbacks
    const struct router_failure *failed; // that came first; NULL: the first attempt answered
    struct span head_lines;              // the upstream's header, CRLF between its lines
    int retries, fallbacks;              // before this one answered
    int64_t retries_max;
    int64_t capped_tokens; // to which max_tokens was lowered by a budget; -1: it was not
    int64_t asked_ms;      // monotonic: when the call came, and
    int64_t upstream_ms;   // how long the upstream took until now
    int64_t cost_pico;     // of an answer that is no stream; -1: not known (yet)
};

struct router_result {
    const char *id;
    bool begun;                           // on_begin was called
    const struct router_failure *failure; // NULL: answered
    struct span message;                  // LiteLLM's, for the failure
    bool shown;                           // the upstream's own error has been passed on
    bool torn;                            // half an event was passed on
    bool unmarked;                        // a stream that ended well, without its [DONE]
    const char *budget; // that refused, with what it says of its reset; NULL: none
    int64_t cost_pico;  // -1: not known
};

/*
 * Called from the loop, never from inside router_call_start(). on_end is the last, exactly once
 * unless the call is cancelled. on_pieces returns true when its reader has enough for now: then
 * nothing follows until router_call_resume().
 */
struct router_sink {
    void (*on_begin)(void *context, const struct router_answer *answer);
    bool (*on_pieces)(void *context, const struct pieces *pieces);
    void (*on_end)(void *context, const struct router_result *result);
    // While nothing can be told yet: the place in the queue (0: no longer there). May be NULL.
    void (*on_wait)(void *context, size_t position);
    // A stream that had nothing to say for plan->keep_alive_ms; once, before on_begin. May be NULL.
    void (*on_silence)(void *context, const char *id);
};

// Negative, with the body taken over all the same, only when there is no room for another call.
int router_call_start(struct router *router, const struct router_request *request,
                      const struct router_sink *sink, void *context, router_call_id *ret_id,
                      struct error *err);

void router_call_resume(struct router *router, router_call_id id);

// The client has left: the upstream is cut off, and the ledger says so. No callback comes any more.
// Stale ids do nothing.
void router_call_cancel(struct router *router, router_call_id id);
