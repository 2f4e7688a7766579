#include "router/pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/dice.h"
#include "router/window.h"

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
 * strategy. LiteLLM's dice (simple-shuffle) are thrown by weight; where no weight is above 0, all
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
struct lane {
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
    uint64_t dice;
    struct lane **lanes;                // by deployment
    struct router_standing **standings; // by deployment
};

static void set_limits(struct lane *lane, const struct router_deployment *deployment)
{
    lane->rpm = deployment->rpm;
    lane->tpm = deployment->tpm;
    lane->max_parallel = deployment->max_parallel;
    if (lane->rpm >= 0 && !lane->requests)
        lane->requests = mem_new(struct router_window);
    if (lane->tpm >= 0 && !lane->tokens)
        lane->tokens = mem_new(struct router_window);
}

static struct lane *lane_create(const struct router_deployment *deployment)
{
    struct lane *lane = mem_new(struct lane);
    lane->references = 1;
    lane->latency_ms = -1;
    set_limits(lane, deployment);
    return lane;
}

static void lane_unref(struct lane *lane)
{
    if (--lane->references > 0)
        return;
    free(lane->requests);
    free(lane->tokens);
    free(lane);
}

struct router_picker *router_picker_create(const struct router_deployment *deployments,
                                           size_t count, const struct router_circuit_policy *policy,
                                           uint64_t seed)
{
    struct router_picker *picker = mem_new(struct router_picker);
    *picker = (struct router_picker){
        .deployments = deployments, .count = count, .policy = *policy, .dice = seed};
    picker->lanes = mem_zalloc((count + 1) * sizeof *picker->lanes);
    picker->standings = mem_zalloc((count + 1) * sizeof *picker->standings);
    for (size_t i = 0; i < count; i++) {
        picker->lanes[i] = lane_create(&deployments[i]);
        picker->standings[i] = router_standing_create();
    }
    return picker;
}

void router_picker_destroy(struct router_picker *picker)
{
    if (!picker)
        return;
    for (size_t i = 0; i < picker->count; i++) {
        lane_unref(picker->lanes[i]);
        router_standing_unref(picker->standings[i]);
    }
    free(picker->lanes);
    free(picker->standings);
    free(picker);
}

static bool are_same(const char *const *a, const char *const *b)
{
    while (a && b && *a && *b && strcmp(*a, *b) == 0)
        a++, b++;
    return (!a || !*a) && (!b || !*b);
}

// Would a request be the same for the provider, down to the key?
static bool asks_alike(const struct router_deployment *a, const struct router_deployment *b)
{
    return strcmp(a->api_key, b->api_key) == 0 && strcmp(a->base_url, b->base_url) == 0 &&
           strcmp(a->model, b->model) == 0 && strcmp(a->params, b->params) == 0 &&
           are_same(a->headers, b->headers);
}

void router_picker_inherit(struct router_picker *picker, size_t index,
                           const struct router_picker *old, size_t old_index)
{
    struct lane *known = old->lanes[old_index];
    known->references++;
    lane_unref(picker->lanes[index]);
    picker->lanes[index] = known;
    set_limits(known, &picker->deployments[index]);
    if (!asks_alike(&picker->deployments[index], &old->deployments[old_index]))
        return;
    router_standing_unref(picker->standings[index]);
    picker->standings[index] = router_standing_ref(old->standings[old_index]);
}

static struct router_circuit_policy policy_of(const struct router_picker *picker, size_t index)
{
    struct router_circuit_policy policy = picker->policy;
    policy.own_cooldown_ms = picker->deployments[index].cooldown_ms;
    return policy;
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
    return router_window_when(window, amount > limit ? 0 : limit - amount, now_ms);
}

// The earliest instant that rpm and tpm allow; -1: never.
static int64_t windows_at(struct lane *lane, int64_t tokens, int64_t now_ms)
{
    int64_t requests = when(lane->requests, lane->rpm, 1, now_ms);
    int64_t of_tokens = when(lane->tokens, lane->tpm, counted(tokens), now_ms);
    if (requests < 0 || of_tokens < 0)
        return -1;
    return requests > of_tokens ? requests : of_tokens;
}

// The earliest instant at which limits let it go, ours and its provider's; -1: not known, or never.
static int64_t room_at(const struct router_picker *picker, size_t index, uint64_t model,
                       int64_t tokens, int64_t now_ms)
{
    struct lane *lane = picker->lanes[index];
    if (lane->max_parallel >= 0 && lane->in_flight >= lane->max_parallel)
        return -1;
    int64_t at = windows_at(lane, tokens, now_ms);
    int64_t closed_until = router_standing_closed_until(picker->standings[index], model);
    return at < 0 || at > closed_until ? at : closed_until;
}

static bool is_tried(const struct router_pick_query *query, size_t index)
{
    for (size_t i = 0; i < query->tried_count; i++)
        if (query->tried[i] == index)
            return true;
    return false;
}

// Why a deployment cannot be asked now, and when it can.
static struct router_pick look(struct router_picker *picker, const struct router_pick_query *query,
                               size_t index, int64_t now_ms)
{
    const struct router_deployment *deployment = &picker->deployments[index];
    struct router_pick pick = {PICK_NONE, index, -1};
    if (deployment->trouble || is_tried(query, index) ||
        (query->only != ROUTER_NONE && query->only != index))
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

// What the strategy wants small; of equals the dice decide. -1 sorts first.
static int64_t figure(struct router_picker *picker, enum router_strategy strategy, size_t index,
                      int64_t now_ms)
{
    const struct router_deployment *deployment = &picker->deployments[index];
    struct lane *lane = picker->lanes[index];
    int64_t used;
    switch (strategy) {
    case ROUTER_LEAST_BUSY:
        return lane->in_flight;
    case ROUTER_LATENCY_BASED:
        return lane->latency_ms < 0 ? -1 : lane->latency_ms / LATENCY_BAND_MS;
    case ROUTER_USAGE_BASED: // in thousandths of its limit; without one, nothing is used up
        if (lane->tpm <= 0)
            return 0;
        used = router_window_sum(lane->tokens, now_ms);
        return used >= lane->tpm ? 1000 : (int64_t)(1000.0 * (double)used / (double)lane->tpm);
    case ROUTER_COST_BASED: // an unknown price is the dearest
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
    if (router_dice_below(&picker->dice, choice->weight) < (uint64_t)(weight > 0 ? weight : 1))
        choice->index = index;
}

// Of two reasons why not, the one with more hope: an instant, the earlier one; then the kind.
static void keep_hope(struct router_pick *best, struct router_pick pick)
{
    bool sooner = pick.at_ms >= 0 && (best->at_ms < 0 || pick.at_ms < best->at_ms);
    bool kinder = best->at_ms < 0 && pick.at_ms < 0 && pick.reason < best->reason;
    if (sooner || kinder)
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
            keep_hope(&best, pick);
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
        int64_t at =
            pick.reason == PICK_BUSY ? windows_at(picker->lanes[index], query->tokens, now_ms) : -1;
        if (at >= 0 && (best < 0 || at < best))
            best = at;
    }
    return best;
}

bool router_picker_take(struct router_picker *picker, size_t deployment, uint64_t model,
                        int64_t tokens, int64_t now_ms, struct router_ticket *ret_ticket)
{
    struct lane *lane = picker->lanes[deployment];
    struct router_ticket ticket = {
        .deployment = deployment, .taken_ms = now_ms, .tokens = counted(tokens)};
    int64_t at = room_at(picker, deployment, model, tokens, now_ms);
    if (at < 0 || at > now_ms || picker->deployments[deployment].trouble)
        return false;
    if (!router_standing_take(picker->standings[deployment], model, now_ms, &ticket.standing))
        return false;
    lane->in_flight++;
    if (lane->requests)
        router_window_add(lane->requests, 1, now_ms);
    if (lane->tokens)
        router_window_add(lane->tokens, ticket.tokens, now_ms);
    *ret_ticket = ticket;
    return true;
}

void router_picker_alive(struct router_picker *picker, const struct router_ticket *ticket,
                         int64_t now_ms)
{
    struct lane *lane = picker->lanes[ticket->deployment];
    int64_t took = now_ms - ticket->taken_ms;
    lane->latency_ms =
        lane->latency_ms < 0 ? took : lane->latency_ms + (took - lane->latency_ms) / LATENCY_SHARE;
    router_standing_succeeded(picker->standings[ticket->deployment], &ticket->standing);
}

// What every end has in common.
static struct lane *let_go(struct router_picker *picker, const struct router_ticket *ticket,
                           int64_t tokens, int64_t now_ms)
{
    struct lane *lane = picker->lanes[ticket->deployment];
    lane->in_flight -= lane->in_flight > 0;
    if (lane->tokens && tokens >= 0 && tokens < ticket->tokens)
        router_window_give_back(lane->tokens, ticket->tokens - tokens, ticket->taken_ms, now_ms);
    else if (lane->tokens && tokens > ticket->tokens)
        router_window_add(lane->tokens, tokens - ticket->tokens, now_ms);
    return lane;
}

void router_picker_answered(struct router_picker *picker, const struct router_ticket *ticket,
                            int64_t tokens, int64_t now_ms)
{
    let_go(picker, ticket, tokens, now_ms);
    router_standing_succeeded(picker->standings[ticket->deployment], &ticket->standing);
}

// Behind a wildcard are many models: that one of them is not there says nothing of the others.
static bool is_wrong_name(const struct router_deployment *deployment,
                          const struct router_failure *failure)
{
    return failure->error == ROUTER_NOT_FOUND && deployment->model &&
           strchr(deployment->model, '*');
}

bool router_picker_failed(struct router_picker *picker, const struct router_ticket *ticket,
                          const struct router_failure *failure, int64_t tokens, int64_t now_ms)
{
    struct router_standing *standing = picker->standings[ticket->deployment];
    struct router_circuit_policy policy = policy_of(picker, ticket->deployment);
    let_go(picker, ticket, tokens, now_ms);
    if (is_wrong_name(&picker->deployments[ticket->deployment], failure)) {
        router_standing_cancelled(standing, &ticket->standing);
        return false;
    }
    return router_standing_failed(standing, &policy, &ticket->standing, failure, now_ms);
}

void router_picker_cancelled(struct router_picker *picker, const struct router_ticket *ticket,
                             int64_t tokens, int64_t now_ms)
{
    let_go(picker, ticket, tokens, now_ms);
    router_standing_cancelled(picker->standings[ticket->deployment], &ticket->standing);
}

void router_picker_returned(struct router_picker *picker, const struct router_ticket *ticket,
                            int64_t now_ms)
{
    struct lane *lane = let_go(picker, ticket, 0, now_ms);
    if (lane->requests)
        router_window_give_back(lane->requests, 1, ticket->taken_ms, now_ms);
    router_standing_cancelled(picker->standings[ticket->deployment], &ticket->standing);
}

void router_picker_rate(struct router_picker *picker, const struct router_ticket *ticket,
                        const struct router_rate_note *note)
{
    struct router_standing *standing = picker->standings[ticket->deployment];
    if (note->remaining_requests == 0)
        router_standing_close(standing, &ticket->standing, note->requests_reset_ms);
    if (note->remaining_tokens == 0)
        router_standing_close(standing, &ticket->standing, note->tokens_reset_ms);
}

struct router_pick_view router_picker_view(struct router_picker *picker, size_t deployment,
                                           int64_t now_ms)
{
    struct lane *lane = picker->lanes[deployment];
    const struct router_circuit *circuit = router_standing_circuit(picker->standings[deployment]);
    return (struct router_pick_view){
        .state = router_circuit_state(circuit, now_ms),
        .until_ms = circuit->until_ms,
        .status = circuit->status,
        .in_flight = lane->in_flight,
        .requests = lane->requests ? router_window_sum(lane->requests, now_ms) : 0,
        .tokens = lane->tokens ? router_window_sum(lane->tokens, now_ms) : 0,
        .latency_ms = lane->latency_ms,
    };
}
