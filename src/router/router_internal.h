#pragma once

#include "base/buf_pool.h"
#include "base/list.h"
#include "base/random.h"
#include "loop/loop.h"
#include "router/inquiry.h"
#include "router/money/budget.h"
#include "router/money/ledger.h"
#include "router/money/names.h"
#include "router/observe/metrics.h"
#include "router/price_fetch.h"
#include "router/route/fallback_iter.h"
#include "router/router.h"
#include "router/wire/reply_watch.h"
#include "router/wire/request.h"

/*
 * Private to the router: the calls and what its files share. router.c owns the router, runtime.c a
 * plan at work, call.c the way of one call over its attempts, queue.c where it waits before them,
 * attempt.c one attempt, charge.c what it costs, report.c what is told of it.
 *
 * charge.c, price_fetch.c and inquiry.c deal with money and stand here all the same: they lead from
 * a call to the network or the plan at work, of which money/ knows nothing. And a call can wait
 * twice: in its group's queue for a turn, and with its iterator for a deployment, which may be of
 * another group by then.
 */
enum {
    ROUTER_CALLS_MAX = 4096,
    ROUTER_CALL_ID_MAX = 64,       // bytes of a call's name
    ROUTER_UUID_SIZE = 37,         // of a name that is made here
    ROUTER_LINGER_MS = 250,        // how long a server may keep a stream open behind "[DONE]"
    ROUTER_REMOTE_HEAD_MAX = 4096, // bytes of an upstream's header that are passed on
    ROUTER_POOL_MAX = 16           // calls whose memory is kept
};

// A plan at work. Calls keep the one they began with.
struct router_runtime {
    unsigned references;
    struct router_plan *plan;
    struct router_picker *picker;
    struct upstream **upstreams; // by deployment; made when first asked
};

struct router_attempt;
struct router_call;

struct router {
    struct router_env env;
    struct router_runtime *runtime;
    struct router_budgets *budgets;
    struct router_ledger *ledger; // NULL: none is kept
    struct router_inquiries *inquiries;
    struct router_prices *prices;
    struct router_metrics *metrics;
    struct router_notices *notices;
    struct router_names slot_names, model_names;
    struct list calls;         // struct router_call::link
    struct list waiting;       // struct router_call::waiting
    struct list group_queues;  // struct router_group_queue::link
    size_t call_count, asking; // the latter have passed all checks and not ended
    struct router_call *pool[ROUTER_POOL_MAX];
    size_t pool_count, pool_least; // the latter were not needed since the last trim
    struct buf_pool buffers;
    loop_id trim;
    size_t buffered;                   // bytes that calls hold
    int64_t refused, refused_again_ms; // since the last line of the log, and when the next may come
    router_call_id last_id;
    uint64_t seed;
    struct random_pool names; // what calls are named by
    loop_id wake;
    char *ledger_error; // why there is no ledger, though there should be; NULL: there is
    loop_id ledger_again;
};

// runtime.c
struct router_runtime *router_runtime_create(struct router *router, const struct router_plan *plan,
                                             const struct router_runtime *before);
struct router_runtime *router_runtime_ref(struct router_runtime *runtime);
void router_runtime_unref(struct router_runtime *runtime); // accepts NULL
int router_runtime_upstream(struct router_runtime *runtime, struct http_client *http,
                            size_t deployment, const struct upstream **ret_upstream,
                            struct error *err);

// pool.c
struct router_call *router_pool_take(struct router *router); // zeroed
void router_pool_return(struct router_call *call);
void router_give_back(struct router *router, struct buf *buf); // keeps the memory of a small one
void router_give_back_body(struct router_call *call);
void router_call_count(struct router_call *call); // its bytes, into router::buffered
void router_pool_clear(struct router *router);

// attempt.c
void router_attempt_begin(struct router_call *call, const struct router_step *step);
void router_attempt_cancel(struct router_call *call);
void router_attempt_finish(struct router_call *call); // frees what it has; also where none began
void router_attempt_pause(struct router_call *call);  // its reader has enough for now
void router_attempt_resume(struct router_call *call);

// charge.c. 0: go; 1: `done` follows, with NULL or why not, or after a wait for prices `again`;
// negative: ret_failure says why not. What is held then goes with router_charge_release().
struct router_charge_events {
    void (*done)(struct router_call *call, const struct router_failure *failure);
    void (*again)(struct router_call *call);
};
int router_charge_reserve(struct router_call *call, const struct router_charge_events *events,
                          struct router_failure *ret_failure);
void router_charge_release(struct router_call *call);
// An answer that takes its time is under way: after a crash it can be asked for by its name.
void router_charge_record_reply(struct router_call *call);
// The end of an attempt that went out. `failure` is NULL when it answered.
void router_charge_settle(struct router_call *call, const struct router_failure *failure,
                          bool cancelled);

// report.c
void router_report_attempt(const struct router_call *call, const struct router_failure *failure,
                           bool cancelled);
// Nobody was asked: what is refused here goes to others, which may cost more.
void router_report_passed_over(const struct router_call *call,
                               const struct router_failure *failure);
// The group that is asked as a fallback answered, or could not either.
void router_report_fallback(const struct router_call *call, size_t group, bool answered);
void router_report_end(const struct router_call *call, const struct router_failure *failure,
                       int status);
// How a deployment of the present plan is doing; `status`: of the failure that has just opened it.
void router_report_circuit(struct router *router, size_t deployment, int status);
void router_report_levels(void *context); // a router's, for the metrics
