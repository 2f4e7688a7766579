#include "router/route/pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/route/prng.h"
#include "router/route/window.h"

/*
 * Limits are kept here for each deployment and never passed: parallel requests, and rpm and tpm in
 * every window of 60 s, counted when an attempt begins and corrected when it ends. A window costs
 * half a kilobyte, so only deployments that have the limit have one.
 *
 * What is known of a deployment outlives a plan: a picker made after a reload shares it with the
 * one before, whose attempts may still run. So a limit holds for both together, the newest plan's
 * for all, and an open circuit lets one probe through, not one of each. What a provider has shown
 * (circuits, and until when it wants to be left alone) it has shown to one key, at one address, for
 * one model: where any of these is another after the reload, nothing of it is known yet, and what
 * the calls of before still find out with the old one stays with them.
 *
 * Of a group, the lowest `order` in which anything may be asked now counts, and within it the
 * strategy. LiteLLM's simple-shuffle draws by weight; where no weight is above 0, all
 * are equal. least-busy, latency-based, usage-based and cost-based choose the smallest figure and
 * throw among equals. Latency is to the first content, smoothed, and who has never answered counts
 * as the fastest, so that it is tried.
 *
 * A deployment that a fallback names by its id is asked like any other: LiteLLM skips the cooldown
 * check for it, but then one that is down gets every request of a failing group.
 */
enum {
    LATENCY_SHARE = 4,   // the newest measurement counts one in four
    LATENCY_BAND_MS = 50 // and what differs by less is as fast
};

// A deployment's limits, and how much of them is in use.
struct deployment_state {
    unsigned references;                     // pickers
    int64_t rpm, tpm, max_parallel;          // of the newest plan; -1: no limit
    struct router_window *requests, *tokens; // NULL: there never was a limit
    int64_t in_flight;
    int64_t latency_ms; // -1
};

struct router_picker {
    const struct router_deployment *deployments; // borrowed
    size_t count;
    struct router_circuit_policy policy;
    uint64_t prng;
    struct deployment_state **states;   // by deployment
    struct router_standing **standings; // by deployment
};

static void set_limits(struct deployment_state *state, const struct router_deployment *deployment)
{
    state->rpm = deployment->rpm;
    state->tpm = deployment->tpm;
    state->max_parallel = deployment->max_parallel;
    if (state->rpm >= 0 && !state->requests)
        state->requests = mem_new(struct router_window);
    if (state->tpm >= 0 && !state->tokens)
        state->tokens = mem_new(struct router_window);
}

static void state_unref(struct deployment_state *state)
{
    if (--state->references > 0)
        return;
    free(state->requests);
    free(state->tokens);
    free(state);
}

struct router_picker *router_picker_create(const struct router_deployment *deployments,
                                           size_t count, const struct router_circuit_policy *policy,
                                           uint64_t seed)
{
    struct router_picker *picker = mem_new(struct router_picker);
    *picker = (struct router_picker){
        .deployments = deployments, .count = count, .policy = *policy, .prng = seed};
    picker->states = mem_zalloc((count + 1) * sizeof *picker->states);
    picker->standings = mem_zalloc((count + 1) * sizeof *picker->standings);
    for (size_t i = 0; i < count; i++) {
        picker->states[i] = mem_new(struct deployment_state);
        *picker->states[i] = (struct deployment_state){.references = 1, .latency_ms = -1};
        set_limits(picker->states[i], &deployments[i]);
        picker->standings[i] = router_standing_create();
    }
    return picker;
}

void router_picker_destroy(struct router_picker *picker)
{
    if (!picker)
        return;
    for (size_t i = 0; i < picker->count; i++) {
        state_unref(picker->states[i]);
        router_standing_unref(picker->standings[i]);
    }
    free(picker->states);
    free(picker->standings);
    free(picker);
}

// Would a request be the same for the provider, down to the key?
static bool asks_alike(const struct router_deployment *a, const struct router_deployment *b)
{
    const char *const *of_a = a->headers, *const *of_b = b->headers;
    while (of_a && of_b && *of_a && *of_b && strcmp(*of_a, *of_b) == 0)
        of_a++, of_b++;
    return (!of_a || !*of_a) && (!of_b || !*of_b) && strcmp(a->api_key, b->api_key) == 0 &&
           strcmp(a->base_url, b->base_url) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->params, b->params) == 0;
}

void router_picker_inherit(struct router_picker *picker, size_t index,
                           const struct router_picker *old, size_t old_index)
{
    struct deployment_state *known = old->states[old_index];
    known->references++;
    state_unref(picker->states[index]);
    picker->states[index] = known;
    set_limits(known, &picker->deployments[index]);
    if (!asks_alike(&picker->deployments[index], &old->deployments[old_index]))
        return;
    router_standing_unref(picker->standings[index]);
    picker->standings[index] = router_standing_ref(old->standings[old_index]);
}

static int64_t counted(int64_t tokens)
{
    return tokens > 0 ? tokens : 0;
}

// When a window lets `amount` in; a call larger than the limit goes alone. -1: never.
static int64_t when(struct router_window *window, int64_t limit, int64_t amount, int64_t now_ms)
{
    if (limit < 0)
        return now_ms;
    if (limit == 0)
        return -1;
    return router_window_when(window, router_window_bound(limit, amount), now_ms);
}

// The earliest instant that rpm and tpm allow; -1: never.
static int64_t windows_at(struct deployment_state *state, int64_t tokens, int64_t now_ms)
{
    int64_t requests = when(state->requests, state->rpm, 1, now_ms);
    int64_t of_tokens = when(state->tokens, state->tpm, counted(tokens), now_ms);
    if (requests < 0 || of_tokens < 0)
        return -1;
    return requests > of_tokens ? requests : of_tokens;
}

// The earliest instant at which limits let it go, ours and its provider's; -1: not known, or never.
static int64_t room_at(const struct router_picker *picker, size_t index, uint64_t model,
                       int64_t tokens, int64_t now_ms)
{
    struct deployment_state *state = picker->states[index];
    if (state->max_parallel >= 0 && state->in_flight >= state->max_parallel)
        return -1;
    int64_t at = windows_at(state, tokens, now_ms);
    int64_t closed_until = router_standing_closed_until(picker->standings[index], model);
    return at < 0 || at > closed_until ? at : closed_until;
}

// Why a deployment cannot be asked now, and when it can.
static struct router_pick look(struct router_picker *picker, const struct router_pick_query *query,
                               size_t index, int64_t now_ms)
{
    const struct router_deployment *deployment = &picker->deployments[index];
    struct router_pick pick = {PICK_NONE, index, -1};
    if (deployment->trouble || (query->only != ROUTER_NONE && query->only != index))
        return pick;
    for (size_t i = 0; i < query->tried_count; i++)
        if (query->tried[i] == index)
            return pick;
    pick.reason = PICK_TOO_LONG;
    if (query->pre_call_checks && deployment->max_input_tokens > 0 &&
        query->prompt_tokens > deployment->max_input_tokens)
        return pick;
    int64_t closes = router_standing_circuit_at(picker->standings[index], query->model, now_ms);
    int64_t room = room_at(picker, index, query->model, query->tokens, now_ms);
    pick.at_ms = closes < 0 || room < 0 ? -1 : closes > room ? closes : room;
    bool open = closes < 0 || closes > now_ms;
    pick.reason = open ? PICK_OPEN : PICK_BUSY;
    if (pick.at_ms >= 0 && pick.at_ms <= now_ms)
        pick.reason = PICK_FOUND;
    return pick;
}

// What the strategy wants small; equals are drawn among. -1 sorts first.
static int64_t figure(struct router_picker *picker, enum router_strategy strategy, size_t index,
                      int64_t now_ms)
{
    const struct router_deployment *deployment = &picker->deployments[index];
    struct deployment_state *state = picker->states[index];
    int64_t used;
    switch (strategy) {
    case ROUTER_LEAST_BUSY:
        return state->in_flight;
    case ROUTER_LATENCY_BASED:
        return state->latency_ms < 0 ? -1 : state->latency_ms / LATENCY_BAND_MS;
    case ROUTER_USAGE_BASED: // in thousandths of its limit; without one, nothing is used up
        if (state->tpm <= 0)
            return 0;
        used = router_window_sum(state->tokens, now_ms);
        return used >= state->tpm ? 1000 : (int64_t)(1000.0 * (double)used / (double)state->tpm);
    case ROUTER_COST_BASED: // an unknown price is the costliest
        if (deployment->price.input_pico < 0 || deployment->price.output_pico < 0)
            return INT64_MAX;
        return deployment->price.input_pico / 2 + deployment->price.output_pico / 2;
    case ROUTER_SIMPLE_SHUFFLE:
        break;
    }
    return 0;
}

struct choice {
    size_t index; // ROUTER_NONE: none yet
    int64_t order, figure;
    uint64_t weight; // of all that would do as well
    bool weighted;   // one of them has a weight above 0
};

/*
 * One more candidate, in a draw that needs no list: it takes the place with its share of the weight
 * so far. A weight of 0 is a last resort: it counts only while nothing else is there.
 */
static void consider(struct router_picker *picker, struct choice *choice, size_t index,
                     int64_t at_figure, bool shuffle)
{
    const struct router_deployment *deployment = &picker->deployments[index];
    int64_t weight = shuffle ? deployment->weight_micro : 1;
    bool better = choice->index == ROUTER_NONE || deployment->order < choice->order ||
                  (deployment->order == choice->order &&
                   (at_figure < choice->figure ||
                    (at_figure == choice->figure && weight > 0 && !choice->weighted)));
    if (better) {
        *choice = (struct choice){index, deployment->order, at_figure,
                                  weight > 0 ? (uint64_t)weight : 1, weight > 0};
        return;
    }
    if (deployment->order != choice->order || at_figure != choice->figure ||
        (weight > 0) != choice->weighted)
        return;
    choice->weight += weight > 0 ? (uint64_t)weight : 1;
    if (router_prng_below(&picker->prng, choice->weight) < (uint64_t)(weight > 0 ? weight : 1))
        choice->index = index;
}

// Of two reasons why not, the one with more hope: an instant, the earlier one; then the kind.
static void keep_better_rejection(struct router_pick *best, struct router_pick pick)
{
    bool sooner = pick.at_ms >= 0 && (best->at_ms < 0 || pick.at_ms < best->at_ms);
    bool is_better = best->at_ms < 0 && pick.at_ms < 0 && pick.reason < best->reason;
    if (sooner || is_better)
        *best = pick;
    best->deployment = ROUTER_NONE;
}

struct router_pick router_picker_pick(struct router_picker *picker,
                                      const struct router_pick_query *query, int64_t now_ms)
{
    struct router_pick best = {PICK_NONE, ROUTER_NONE, -1};
    struct choice choice = {.index = ROUTER_NONE};
    for (size_t i = 0; i < query->count; i++) {
        struct router_pick pick = look(picker, query, query->members[i], now_ms);
        if (pick.reason == PICK_FOUND)
            consider(picker, &choice, pick.deployment,
                     figure(picker, query->strategy, pick.deployment, now_ms),
                     query->strategy == ROUTER_SIMPLE_SHUFFLE);
        else
            keep_better_rejection(&best, pick);
    }
    if (choice.index != ROUTER_NONE)
        best = (struct router_pick){PICK_FOUND, choice.index, now_ms};
    return best;
}

int64_t router_picker_room_at(struct router_picker *picker, const struct router_pick_query *query,
                              int64_t now_ms)
{
    int64_t best = -1;
    for (size_t i = 0; i < query->count; i++) {
        size_t index = query->members[i];
        struct router_pick pick = look(picker, query, index, now_ms);
        if (pick.reason == PICK_FOUND)
            return now_ms;
        int64_t at = pick.reason == PICK_BUSY
                         ? windows_at(picker->states[index], query->tokens, now_ms)
                         : -1;
        if (at >= 0 && (best < 0 || at < best))
            best = at;
    }
    return best;
}

bool router_picker_take(struct router_picker *picker, size_t deployment, uint64_t model,
                        int64_t tokens, int64_t now_ms, struct router_lease *ret_lease)
{
    struct deployment_state *state = picker->states[deployment];
    struct router_lease lease = {
        .deployment = deployment, .taken_ms = now_ms, .tokens = counted(tokens)};
    int64_t at = room_at(picker, deployment, model, tokens, now_ms);
    if (at < 0 || at > now_ms || picker->deployments[deployment].trouble)
        return false;
    if (!router_standing_take(picker->standings[deployment], model, now_ms, &lease.standing))
        return false;
    state->in_flight++;
    if (state->requests)
        router_window_add(state->requests, 1, now_ms);
    if (state->tokens)
        router_window_add(state->tokens, lease.tokens, now_ms);
    *ret_lease = lease;
    return true;
}

void router_picker_alive(struct router_picker *picker, const struct router_lease *lease,
                         int64_t now_ms)
{
    struct deployment_state *state = picker->states[lease->deployment];
    int64_t took = now_ms - lease->taken_ms;
    state->latency_ms = state->latency_ms < 0
                            ? took
                            : state->latency_ms + (took - state->latency_ms) / LATENCY_SHARE;
    router_standing_succeeded(picker->standings[lease->deployment], &lease->standing);
}

// What every end has in common.
static struct deployment_state *let_go(struct router_picker *picker,
                                       const struct router_lease *lease, int64_t tokens,
                                       int64_t now_ms)
{
    struct deployment_state *state = picker->states[lease->deployment];
    state->in_flight -= state->in_flight > 0;
    if (state->tokens)
        router_window_correct(state->tokens, lease->tokens, tokens, lease->taken_ms, now_ms);
    return state;
}

void router_picker_answered(struct router_picker *picker, const struct router_lease *lease,
                            int64_t tokens, int64_t now_ms)
{
    let_go(picker, lease, tokens, now_ms);
    router_standing_succeeded(picker->standings[lease->deployment], &lease->standing);
}

bool router_picker_failed(struct router_picker *picker, const struct router_lease *lease,
                          const struct router_failure *failure, int64_t tokens, int64_t now_ms)
{
    struct router_standing *standing = picker->standings[lease->deployment];
    const struct router_deployment *deployment = &picker->deployments[lease->deployment];
    struct router_circuit_policy policy = picker->policy;
    policy.own_cooldown_ms = deployment->cooldown_ms;
    let_go(picker, lease, tokens, now_ms);
    // Behind a wildcard are many models: that one is not there says nothing of the others.
    if (failure->error == ROUTER_NOT_FOUND && deployment->model && strchr(deployment->model, '*')) {
        router_standing_cancelled(standing, &lease->standing);
        return false;
    }
    return router_standing_failed(standing, &policy, &lease->standing, failure, now_ms);
}

void router_picker_cancelled(struct router_picker *picker, const struct router_lease *lease,
                             int64_t tokens, int64_t now_ms)
{
    let_go(picker, lease, tokens, now_ms);
    router_standing_cancelled(picker->standings[lease->deployment], &lease->standing);
}

void router_picker_returned(struct router_picker *picker, const struct router_lease *lease,
                            int64_t now_ms)
{
    struct deployment_state *state = let_go(picker, lease, 0, now_ms);
    if (state->requests)
        router_window_give_back(state->requests, 1, lease->taken_ms, now_ms);
    router_standing_cancelled(picker->standings[lease->deployment], &lease->standing);
}

void router_picker_rate(struct router_picker *picker, const struct router_lease *lease,
                        const struct router_rate_limits *limits)
{
    struct router_standing *standing = picker->standings[lease->deployment];
    if (limits->remaining_requests == 0)
        router_standing_close(standing, &lease->standing, limits->requests_reset_ms);
    if (limits->remaining_tokens == 0)
        router_standing_close(standing, &lease->standing, limits->tokens_reset_ms);
}

struct router_pick_view router_picker_view(struct router_picker *picker, size_t deployment,
                                           int64_t now_ms)
{
    struct deployment_state *state = picker->states[deployment];
    const struct router_circuit *circuit = router_standing_circuit(picker->standings[deployment]);
    return (struct router_pick_view){
        .state = router_circuit_state(circuit, now_ms),
        .until_ms = circuit->until_ms,
        .status = circuit->status,
        .in_flight = state->in_flight,
        .requests = state->requests ? router_window_sum(state->requests, now_ms) : 0,
        .tokens = state->tokens ? router_window_sum(state->tokens, now_ms) : 0,
        .latency_ms = state->latency_ms,
    };
}
