/*
 * What a call may cost and what it did. Before an attempt goes out, the most that it can cost is
 * held in every budget that applies to it, and stands in the journal; afterwards what it did cost
 * takes its place. An attempt is charged by itself: a deployment that failed after it had begun may
 * have to be paid, and then the next one needs room of its own.
 *
 * What a failed attempt cost: nothing, when the upstream refused it or never had all of it; else
 * what it said at the answer's end; else, since nobody can know, all that was held, until the
 * provider tells (inquiry.c). What arrived before a stream broke is no bound: the provider is ahead
 * of its reader.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "codec/money.h"
#include "llm/generation.h"
#include "router/call.h"
#include "router/money/budget_memory.h"
#include "router/router_internal.h"

// An answer of fewer tokens is not worth asking for; and one that nobody bounds is bounded, so that
// one call does not hold all that is left, by a number that hardly a model refuses.
enum {
    TOKENS_MIN = 16,
    TOKENS_UNSAID = 8192,
    BOUND_BYTES_MAX = 64 // of a max_tokens that is added to a request
};

// Of upstreams (RFC 9110), and two that have no RFC: 524 is Cloudflare's, where an origin took too
// long, 529 Anthropic's.
enum {
    HTTP_REQUEST_TIMEOUT = 408,
    HTTP_UNAVAILABLE = 503,
    HTTP_GATEWAY_TIMEOUT = 504,
    HTTP_ORIGIN_TIMEOUT = 524,
    HTTP_OVERLOADED = 529,
};

// Most answers have ended before; for those a second record would be a write too many.
enum { RECORD_REPLY_AFTER_MS = 1000 };

// Does the rule count this call, whose key of its scope this is? A rule may name a model that is
// one of many behind a wildcard.
static bool counts(const struct router_call *call, const struct router_budget_rule *rule,
                   struct span key)
{
    if (rule->scope == ROUTER_SCOPE_ROUTER)
        return true;
    if (!key.len || strcmp(rule->match, "*") == 0 || span_is(key, rule->match))
        return key.len > 0;
    return rule->scope == ROUTER_SCOPE_MODEL &&
           span_is(router_target_match(call->runtime->plan, &call->attempt.step.target).name,
                   rule->match);
}

// One more than there is room for says that not all of them can be held.
static size_t claims_of(const struct router_call *call, struct router_budget_claim *claims)
{
    const struct router_plan *plan = call->runtime->plan;
    const struct span keys[] = {
        [ROUTER_SCOPE_ROUTER] = SPAN_ABSENT,
        [ROUTER_SCOPE_SLOT] = call->origin.slot,
        [ROUTER_SCOPE_SESSION] = call->origin.session,
        [ROUTER_SCOPE_JOB] = call->origin.job,
        [ROUTER_SCOPE_KEY] = call->origin.key_name,
        [ROUTER_SCOPE_MODEL] = span_of(plan->groups[call->attempt.step.target.group].name),
    };
    size_t count = 0;
    for (size_t i = 0; i < plan->budget_count; i++) {
        const struct router_budget_rule *rule = &plan->budgets[i];
        struct span key = keys[rule->scope];
        if (!counts(call, rule, key))
            continue;
        if (count == ROUTER_BUDGETS_PER_CALL)
            return count + 1;
        bool each = strcmp(rule->match, "*") == 0 && rule->scope != ROUTER_SCOPE_ROUTER;
        claims[count++] = (struct router_budget_claim){
            .terms = {rule->name, rule->cap_pico, rule->period, plan->zone},
            .key = each ? key : SPAN_ABSENT,
        };
    }
    return count;
}

static struct router_size size_of(const struct router_call *call)
{
    const struct router_deployment *d = call->attempt.deployment;
    const struct router_body *body = &call->body;
    bool answers = call->operation != UPSTREAM_EMBEDDINGS;
    return (struct router_size){
        .body_bytes = (int64_t)(body->parts.bytes - body->media_bytes),
        .n = body->sent_answers,
        .images = body->scan.parts.images,
        .remote_parts = body->scan.parts.remote,
        .max_tokens = answers ? body->sent_max_tokens : 0,
        .max_output_tokens = d->max_tokens,
        .max_input_tokens = d->max_input_tokens,
    };
}

static int refuse(struct router_failure *ret_failure, enum router_error error, const char *text)
{
    router_failure_make(error, -1, text, ret_failure);
    return -EDQUOT;
}

// Lowers max_tokens to what the budgets bear. False when that is too little to be worth asking.
static bool lower(struct router_call *call, const struct router_size *size, int64_t left_pico)
{
    struct router_attempt *attempt = &call->attempt;
    struct router_size with_bound = *size;
    with_bound.body_bytes += BOUND_BYTES_MAX; // which the bound itself may add
    int64_t tokens = router_price_affordable_tokens(&attempt->price, &with_bound, left_pico);
    if (call->operation == UPSTREAM_EMBEDDINGS || tokens < TOKENS_MIN)
        return false;
    if (size->max_tokens < 0 && size->max_output_tokens < 0 && tokens > TOKENS_UNSAID)
        tokens = TOKENS_UNSAID;
    struct router_edit edit = attempt->edit;
    edit.max_tokens = tokens;
    if (router_body_edit(&call->body, &edit, NULL) < 0)
        return false;
    attempt->capped_tokens = call->body.capped ? tokens : -1;
    return true;
}

// The most that the attempt can cost, with max_tokens lowered to what is left where that helps; -1:
// nobody can know. What a client asks for beyond the words (another model, a search) has no price
// here; what the configuration adds has the owner's word for it.
static int64_t bound_of(struct router_call *call, int64_t left_pico)
{
    const struct router_price *price = &call->attempt.price;
    if (request_has_unbounded_cost(&call->body.scan, &call->runtime->plan->terms, NULL))
        return -1;
    struct router_size size = size_of(call);
    int64_t bound = router_price_bound(price, &size);
    if ((bound < 0 || bound > left_pico) && router_price_known(price) &&
        lower(call, &size, left_pico)) {
        size = size_of(call);
        bound = router_price_bound(price, &size);
    }
    if (bound >= 0)
        return bound;
    size.max_tokens = TOKENS_MIN; // where not even little fits, it is the budget that refuses
    int64_t least = router_price_bound(price, &size);
    return least > left_pico ? least : -1;
}

static void on_recorded(void *context, int result, const struct error *err)
{
    struct router_call *call = context;
    if (result == 0) {
        call->attempt.charge_events->done(call, NULL);
        return;
    }
    struct router_failure failure;
    router_failure_make(ROUTER_SERVICE_UNAVAILABLE, -1, err->text, &failure);
    call->attempt.charge_events->done(call, &failure);
}

static struct store_attempt row_of(const struct router_call *call)
{
    static const char *const operations[] = {"chat", "completion", "embedding"};
    static const char *const reasons[] = {"", "retry", "deployment", "fallback"};
    const struct router_attempt *attempt = &call->attempt;
    const struct router_deployment *d = attempt->deployment;
    struct store_attempt row = STORE_ATTEMPT_INIT;
    row.call = span_of(call->ledger_id);
    row.attempt = attempt->number;
    row.wall_ms = attempt->begun_wall_ms;
    row.operation = span_of(operations[call->operation]);
    row.slot = call->origin.slot;
    row.session = call->origin.session;
    row.job = call->origin.job;
    row.key = call->origin.key_name;
    row.group = span_of(call->runtime->plan->groups[attempt->step.target.group].name);
    row.deployment = span_of(d->id);
    row.provider = span_of(d->provider);
    row.model = span_of(d->model);
    row.reason = span_of(reasons[attempt->step.why]);
    // The model that was asked for, or a deployment of its group.
    row.from = attempt->step.why == ROUTER_WHY_FALLBACK
                   ? span_of(call->runtime->plan->groups[call->match.group].name)
                   : span_of(attempt->before ? attempt->before->id : "");
    row.streamed = call->body.stream;
    row.bytes_in = (int64_t)call->body.bytes.len;
    row.reserved_pico = attempt->reserved_pico;
    row.messages_bytes = (int64_t)request_raw(&call->body.scan, REQUEST_MESSAGES).len;
    row.tools_bytes = (int64_t)request_raw(&call->body.scan, REQUEST_TOOLS).len;
    return row;
}

static int write_reservation(struct router_call *call, struct span reply,
                             struct router_ledger_wait *wait, struct error *err)
{
    struct router_attempt *attempt = &call->attempt;
    struct store_charge charges[ROUTER_BUDGETS_PER_CALL];
    struct store_attempt row = row_of(call);
    row.charges = charges;
    row.charge_count = router_budgets_held(&attempt->reservation, charges);
    row.reply_id = reply;
    return router_ledger_reserve(call->router->ledger, &row, wait, err);
}

// Waiting helps nobody here, so there is no Retry-After; but the reset stands in the sentence.
static int refuse_unbounded(struct router_call *call, const struct router_budget_state *least,
                            struct router_failure *ret_failure)
{
    char text[ROUTER_FAILURE_TEXT_MAX], when[ROUTER_BUDGET_WHEN_SIZE];
    char reason[REQUEST_UNBOUNDED_SIZE];
    snprintf(call->budget, sizeof call->budget, "%s", least->account);
    int len = snprintf(text, sizeof text, "budget \"%s\" (it %s) applies to this call, and ",
                       least->account, router_budget_when(least->next_reset_wall_ms, when));
    char *end = text + len;
    size_t room = sizeof text - (size_t)len;
    if (!router_price_known(&call->attempt.price))
        snprintf(end, room,
                 "its model's price is unknown: set input_cost_per_token and output_cost_per_token "
                 "of the deployment, or router.unpriced: allow");
    else if (request_has_unbounded_cost(&call->body.scan, &call->runtime->plan->terms, reason))
        snprintf(end, room, "%s, or set router.unpriced: allow", reason);
    else
        snprintf(end, room,
                 "its cost has no upper bound: set max_tokens, or model_info.max_tokens of the "
                 "deployment");
    return refuse(ret_failure, ROUTER_BUDGET, text);
}

// True: the call waits for its price. A budget needs it first; else it is only asked for early
// where it may soon have to be told what a stand-in costs.
static bool find_price(struct router_call *call, bool is_bounded)
{
    struct router_attempt *attempt = &call->attempt;
    attempt->price = attempt->deployment->price;
    if (router_price_known(&attempt->price) || (!is_bounded && attempt->step.attempt == 1))
        return false;
    if (router_prices_want(call->router->prices, call, is_bounded))
        return true;
    attempt->price = router_price_of(call->router, attempt->deployment, attempt->edit.model, NULL);
    return false;
}

// Why nothing can be spent now: there is no journal, or it is not known yet what was spent. An
// account that is claimed before its sum was read would begin anew with its whole cap. NULL: none.
static const char *trouble_of(const struct router *router)
{
    if (router->ledger_error)
        return router->ledger_error;
    return router->ledger && !router_ledger_is_ready(router->ledger)
               ? router_ledger_trouble(router->ledger)
               : NULL;
}

// In the budgets that the call has claimed, and in the journal.
static int hold(struct router_call *call, int64_t bound, struct router_failure *ret_failure)
{
    struct router_attempt *attempt = &call->attempt;
    struct router_budget_state least;
    struct error err = ERROR_INIT;
    int r = router_budgets_reserve(&attempt->reservation,
                                   bound < 0 ? ROUTER_BUDGET_UNBOUNDED : bound, &least, &err);
    if (r < 0)
        return refuse(ret_failure, ROUTER_SERVICE_UNAVAILABLE, err.text);
    if (r == ROUTER_BUDGET_REFUSED) {
        int64_t reset_ms = least.next_reset_wall_ms;
        snprintf(call->budget, sizeof call->budget, "%s", least.account);
        router_failure_make(ROUTER_BUDGET, reset_ms < 0 ? -1 : reset_ms - loop_wall(loop_of(call)),
                            err.text, ret_failure);
        return -EDQUOT;
    }
    attempt->reserved_pico = bound < 0 ? 0 : bound;
    if (!attempt->reserved_pico || !call->router->ledger)
        return 0;
    // In the journal before the call goes out, so that a crash cannot forget it.
    attempt->sync = (struct router_ledger_wait){.done = on_recorded, .context = call};
    if (write_reservation(call, SPAN_ABSENT, &attempt->sync, &err) < 0)
        return refuse(ret_failure, ROUTER_SERVICE_UNAVAILABLE, err.text);
    attempt->recorded = true;
    return 1;
}

int router_charge_reserve(struct router_call *call, const struct router_charge_events *events,
                          struct router_failure *ret_failure)
{
    struct router_attempt *attempt = &call->attempt;
    attempt->charge_events = events;
    struct router_budget_claim claims[ROUTER_BUDGETS_PER_CALL];
    size_t count = claims_of(call, claims);
    if (count > ROUTER_BUDGETS_PER_CALL)
        return refuse(ret_failure, ROUTER_BUDGET,
                      "more budgets apply to this call than can be held at once (16): see "
                      "router.budgets");
    if (find_price(call, count > 0))
        return 1;
    if (count == 0)
        return 0;
    const char *trouble = trouble_of(call->router);
    if (trouble)
        return bound_of(call, INT64_MAX) == 0
                   ? 0
                   : refuse(ret_failure, ROUTER_SERVICE_UNAVAILABLE, trouble);
    struct router_budget_state tightest;
    struct error err = ERROR_INIT;
    int r = router_budgets_claim(call->router->budgets, claims, count, loop_wall(loop_of(call)),
                                 &attempt->reservation, &tightest, &err);
    if (r < 0)
        return refuse(ret_failure, ROUTER_SERVICE_UNAVAILABLE, err.text);
    int64_t bound = bound_of(call, tightest.left_pico);
    return bound < 0 && tightest.left_pico < INT64_MAX && call->runtime->plan->refuse_unpriced
               ? refuse_unbounded(call, &tightest, ret_failure)
               : hold(call, bound, ret_failure);
}

void router_charge_release(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    router_prices_leave(call);
    router_ledger_forget(&attempt->sync);
    if (attempt->recorded)
        router_ledger_release(call->router->ledger, span_of(call->ledger_id));
    router_budgets_release(&attempt->reservation);
    attempt->recorded = false;
}

// The provider's name of the answer, as soon as anything has said it.
static struct span reply_of(const struct router_attempt *attempt)
{
    return *attempt->watch.id ? span_of(attempt->watch.id)
                              : generation_id(buf_span(&attempt->head));
}

void router_charge_record_reply(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    const struct upstream *upstream = call->runtime->upstreams[attempt->deployment->index];
    if (loop_now(loop_of(call)) - attempt->begun_ms < RECORD_REPLY_AFTER_MS)
        return;
    struct span reply = reply_of(attempt);
    attempt->reply_recorded = reply.len > 0 || !upstream_tells_cost(upstream);
    if (upstream_tells_cost(upstream) && reply.len)
        write_reservation(call, reply, NULL, NULL);
}

// Within a 200, which gateways begin before they know whether there will be an answer.
static bool said_no(const struct router_attempt *attempt, const struct router_failure *failure)
{
    int said = failure->upstream_status;
    bool refuses = (said >= 400 && said <= 499 && said != HTTP_REQUEST_TIMEOUT) ||
                   said == HTTP_UNAVAILABLE || said == HTTP_OVERLOADED;
    return refuses && !attempt->watch.content;
}

// Nothing is to be paid where the upstream said no, or did not hear all of it. A gateway that gave
// up waiting says nothing of whom it waited for.
static bool was_taken(const struct router_call *call, const struct router_failure *failure)
{
    const struct router_attempt *attempt = &call->attempt;
    int status = attempt->status;
    if (!failure)
        return true;
    if (reply_is_answer(status))
        return !said_no(attempt, failure);
    if (status != 0 && status != HTTP_GATEWAY_TIMEOUT && status != HTTP_ORIGIN_TIMEOUT)
        return false;
    return attempt->http ? http_client_was_sent(call->router->env.http, attempt->http)
                         : attempt->reached;
}

static void price(struct router_call *call, const struct router_failure *failure,
                  struct store_attempt *row)
{
    struct router_attempt *attempt = &call->attempt;
    struct chat_usage *usage = &attempt->watch.usage;
    if (call->operation == UPSTREAM_EMBEDDINGS && usage->completion_tokens < 0)
        usage->completion_tokens = 0;
    if (usage->cost_pico > MONEY_CALL_MAX) // then its tokens may still be true
        usage->cost_pico = -1;
    bool tells_tokens = usage->cost_pico < 0 && usage->prompt_tokens >= 0;
    if (tells_tokens && !router_price_known(&attempt->price)) { // it may be by now
        router_prices_want(call->router->prices, call, false);
        attempt->price =
            router_price_of(call->router, attempt->deployment, attempt->edit.model, NULL);
    }
    row->cost_pico = router_price_cost(&attempt->price, usage, call->body.scan.parts.images);
    if (row->cost_pico > MONEY_CALL_MAX)
        row->cost_pico = -1;
    row->source = usage->cost_pico >= 0 ? STORE_COST_PROVIDER : STORE_COST_PRICE;
    if (row->cost_pico >= 0)
        return;
    if (!was_taken(call, failure)) {
        row->cost_pico = 0;
        row->source = STORE_COST_NONE;
    } else if (attempt->reservation.count) {
        row->cost_pico = attempt->reserved_pico;
        row->source = STORE_COST_BOUND;
    } else {
        row->source = STORE_COST_UNKNOWN;
    }
}

void router_charge_settle(struct router_call *call, const struct router_failure *failure,
                          bool cancelled)
{
    struct router *router = call->router;
    struct router_attempt *attempt = &call->attempt;
    const struct reply_watch *watch = &attempt->watch;
    struct router_budget_charges charged = {0};
    int64_t now_ms = loop_now(loop_of(call));
    struct router_budget_claim claims[ROUTER_BUDGETS_PER_CALL];
    struct store_attempt row = row_of(call);
    if (failure && !watch->usage_whole)
        attempt->watch.usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    price(call, failure, &row);
    // A call may have been let in while nothing could be reserved, because it was to cost nothing,
    // and did. The sum of earlier spending may not be known yet: it is added later.
    size_t count = attempt->reservation.count || row.cost_pico <= 0 ? 0 : claims_of(call, claims);
    if (count && count <= ROUTER_BUDGETS_PER_CALL)
        router_budgets_claim(router->budgets, claims, count, loop_wall(loop_of(call)),
                             &attempt->reservation, NULL, NULL);
    if (attempt->reservation.count)
        router_budgets_settle(router->budgets, &attempt->reservation, row.cost_pico,
                              loop_wall(loop_of(call)), &charged);
    attempt->recorded = false;
    attempt->settled = true;
    call->cost_pico = row.cost_pico;
    bool unsure = row.source == STORE_COST_BOUND || row.source == STORE_COST_UNKNOWN;
    bool with_caps = unsure; // where the charge is beyond what was held, or may turn out to be
    for (size_t i = 0; i < charged.count; i++)
        with_caps |= charged.items[i].overshoot_pico > 0;
    for (size_t i = 0; i < charged.count && !with_caps; i++)
        charged.items[i].cap_pico = 0;
    row.charges = charged.items;
    row.charge_count = charged.count;
    row.duration_ms = now_ms - attempt->begun_ms;
    row.first_byte_ms = attempt->first_ms < 0 ? -1 : attempt->first_ms - attempt->begun_ms;
    row.status = attempt->status;
    row.cancelled = cancelled;
    row.error = failure ? span_of(router_failure_class(failure)) : SPAN_LITERAL("");
    row.model = router_call_model(call);
    row.reply_id = unsure ? reply_of(attempt) : span_of(watch->id);
    row.prompt_tokens = watch->usage.prompt_tokens;
    row.completion_tokens = watch->usage.completion_tokens;
    row.cached_tokens = watch->usage.cached_tokens;
    row.cache_write_tokens = watch->usage.cache_write_tokens;
    row.reasoning_tokens = watch->usage.reasoning_tokens;
    row.bytes_out = (int64_t)watch->bytes;
    if (router->ledger)
        router_ledger_settle(router->ledger, &row);
    else
        router_budgets_keep_untold(router->budgets, &charged);
    if (router->ledger && unsure)
        router_inquiries_add(router->inquiries, row.deployment, row.call, row.attempt,
                             row.reply_id);
    for (size_t i = 0; i < charged.count; i++)
        if (charged.closed_now[i])
            LOG_EVENT(LOG_ERROR, "router.overshoot", call->id,
                      LOG_TEXT("budget", charged.items[i].account.data),
                      LOG_NUMBER("overshoot_pico", charged.overshoot_pico));
}
