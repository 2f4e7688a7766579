#include "router/chain.h"

#include <string.h>

#include "base/hash.h"
#include "base/wait.h"
#include "router/dice.h"

/*
 * The order of failure (LiteLLM's, mended where it is known to hurt).
 *
 * Inside a group each further attempt costs one of its retries. A deployment that has not been
 * asked yet goes first, at once: sleeping helps nobody there. The deployment that has just failed
 * is asked again only if that can help (or retry_policy says so for this class), after a back-off
 * that grows, with Retry-After as its floor, and only if that ends before the deadline. Every
 * deployment is asked once otherwise. A higher `order` is a level of its own: reaching it costs
 * nothing, and it has its own retries.
 *
 * Then the group's fallbacks, each a walk of its own with its own retries and fallbacks. A group
 * that was asked before is left out wherever it stands (LiteLLM only skips the one that a list
 * belongs to, and can go round in circles until max_fallbacks ends it). max_fallbacks is, as in
 * LiteLLM, how many fallbacks may have been tried before another *list* is begun. A client's own
 * list replaces all of the plan's. Too long a request and forbidden content go straight to their
 * own lists where that setting exists, otherwise on like any failure.
 *
 * A group in which nothing may be asked now (open circuits, exhausted limits) is passed over. Only
 * when nothing else is left does a walk wait, and only for room, never for an open circuit: what is
 * broken need not be back when its time is over, and the caller can be told when to come again.
 *
 * The client gets the first failure, as it is the one of what was asked for.
 */

// Every field is set: what is not named starts as 0.
void router_walk_init(struct router_walk *walk, const struct router_walk_plan *plan,
                      struct router_picker *picker, const struct router_walk_request *request,
                      uint64_t seed)
{
    *walk = (struct router_walk){
        .plan = plan,
        .request = *request,
        .picker = picker,
        .dice = seed,
        .target = request->target,
        .again = ROUTER_NONE,
        .waiting_since_ms = -1,
    };
    walk->visited[walk->visited_count++] = (uint32_t)request->target.group;
}

int64_t router_backoff_ms(int retry, const struct router_failure *failure, int64_t floor_ms,
                          uint64_t *dice)
{
    int64_t most = ROUTER_BACKOFF_MS;
    for (int i = 0; i < retry && most < ROUTER_BACKOFF_MAX_MS; i++)
        most *= 2;
    most = most < ROUTER_BACKOFF_MAX_MS ? most : ROUTER_BACKOFF_MAX_MS;
    int64_t wait = most / 2 + (int64_t)router_dice_below(dice, (uint64_t)(most / 2 + 1));
    wait = wait_scaled(wait);
    int64_t asked = failure->retry_after_ms > floor_ms ? failure->retry_after_ms : floor_ms;
    if (wait < asked)
        wait = asked + (int64_t)router_dice_below(dice, ROUTER_BACKOFF_JITTER_MS + 1);
    return wait;
}

static const struct router_group *group_of(const struct router_walk *walk)
{
    return &walk->plan->groups[walk->target.group];
}

// Which of the models behind a wildcard is meant.
static uint64_t model_of(const struct router_walk *walk)
{
    return group_of(walk)->wildcard ? hash_of(span_of(walk->target.name)) : 0;
}

static struct router_pick_query query_of(const struct router_walk *walk, size_t only)
{
    const struct router_group *group = group_of(walk);
    bool again = only != ROUTER_NONE && only == walk->again;
    return (struct router_pick_query){
        .members = group->members,
        .count = group->count,
        .only = only,
        .tried = walk->tried,
        .tried_count = again ? 0 : walk->tried_count,
        .model = model_of(walk),
        .tokens = walk->request.tokens,
        .prompt_tokens = walk->request.prompt_tokens,
        .pre_call_checks = walk->plan->pre_call_checks,
        .strategy = walk->plan->strategy,
    };
}

static struct router_pick pick_one(struct router_walk *walk, size_t only, int64_t now_ms)
{
    struct router_pick_query query = query_of(walk, only);
    return router_picker_pick(walk->picker, &query, now_ms);
}

int64_t router_walk_room_at(const struct router_walk *walk, int64_t now_ms)
{
    struct router_pick_query query = query_of(walk, walk->target.deployment);
    return router_picker_room_at(walk->picker, &query, now_ms);
}

static struct router_pick pick_next(struct router_walk *walk, int64_t now_ms)
{
    return pick_one(walk, walk->again != ROUTER_NONE ? walk->again : walk->target.deployment,
                    now_ms);
}

static void note_failure(struct router_walk *walk, const struct router_failure *failure)
{
    if (!walk->failed)
        walk->first = *failure;
    walk->last = *failure;
    walk->failed = true;
}

// The client's own figure, the class's, the deployment's, the plan's: the first that is said.
static int64_t retries_for(const struct router_walk *walk, const struct router_failure *failure,
                           size_t deployment)
{
    enum router_class class = router_failure_policy_class(failure);
    if (walk->request.num_retries >= 0)
        return walk->request.num_retries;
    if (class < ROUTER_CLASSES && walk->plan->retries[class] >= 0)
        return walk->plan->retries[class];
    if (walk->plan->deployments[deployment].num_retries >= 0)
        return walk->plan->deployments[deployment].num_retries;
    return walk->plan->num_retries;
}

static enum router_chain_kind kind_of(const struct router_failure *failure)
{
    if (failure->error == ROUTER_CONTEXT_WINDOW)
        return ROUTER_CHAIN_CONTEXT_WINDOW;
    if (failure->error == ROUTER_CONTENT_POLICY)
        return ROUTER_CHAIN_CONTENT_POLICY;
    return ROUTER_CHAIN_GENERAL;
}

static const struct router_chain *list_for(const struct router_walk *walk,
                                           enum router_chain_kind kind)
{
    return walk->plan->chain(walk->plan->plan, span_of(walk->target.name), kind);
}

// A moderation that answers 403 speaks for its provider only: where the group has no list for
// content policies, its general one goes on, as in LiteLLM.
static bool is_opinion(const struct router_failure *failure)
{
    return failure->error == ROUTER_CONTENT_POLICY && failure->upstream_status == 403;
}

static const struct router_chain *list_of(const struct router_walk *walk,
                                          const struct router_failure *failure)
{
    const struct router_chain *own = list_for(walk, kind_of(failure));
    return own || !is_opinion(failure) ? own : list_for(walk, ROUTER_CHAIN_GENERAL);
}

// Has its failure a list of its own, so that more of the same group would be wasted?
static bool has_own_list(const struct router_walk *walk, const struct router_failure *failure)
{
    enum router_chain_kind kind = kind_of(failure);
    if (kind == ROUTER_CHAIN_GENERAL || !walk->plan->chains_set[kind] || walk->request.client ||
        walk->request.disable_fallbacks)
        return false;
    return !is_opinion(failure) || list_for(walk, kind);
}

static bool is_visited(const struct router_walk *walk, const struct router_target *target)
{
    for (size_t i = 0; target->deployment == ROUTER_NONE && i < walk->visited_count; i++)
        if (walk->visited[i] == target->group)
            return true;
    for (size_t i = 0; target->deployment != ROUTER_NONE && i < walk->tried_count; i++)
        if (walk->tried[i] == target->deployment)
            return true;
    return false;
}

// Puts the list of the group that has failed onto the frames, if there is one and it may be begun.
static void begin_list(struct router_walk *walk, const struct router_failure *failure)
{
    const struct router_chain *chain = walk->request.client;
    if (walk->request.disable_fallbacks || !router_failure_elsewhere_helps(failure))
        return;
    if (chain && walk->depth > 0) // the client's own is the whole of it
        return;
    if (!chain && walk->plan->chain)
        chain = list_of(walk, failure);
    if (!walk->available && walk->fallbacks == 0)
        walk->available = chain;
    if (!chain || walk->fallbacks >= walk->plan->max_fallbacks ||
        walk->depth >= ROUTER_WALK_DEPTH_MAX)
        return;
    walk->frames[walk->depth++] = (struct router_walk_frame){chain, 0};
}

static void enter(struct router_walk *walk, const struct router_target *target)
{
    walk->target = *target;
    walk->visited[walk->visited_count++] = (uint32_t)target->group;
    walk->fallbacks++;
    walk->retries = 0;
    walk->max_retries = 0;
    walk->again = ROUTER_NONE;
    walk->not_before_ms = 0;
    walk->entered = false;
}

// To the next group of the innermost list that has one left; false: there is none.
static bool next_group(struct router_walk *walk)
{
    while (walk->depth > 0) {
        struct router_walk_frame *frame = &walk->frames[walk->depth - 1];
        while (frame->next < frame->chain->count) {
            const struct router_target *target = &frame->chain->targets[frame->next++];
            if (is_visited(walk, target) || walk->visited_count >= ROUTER_ATTEMPTS_MAX)
                continue;
            enter(walk, target);
            return true;
        }
        walk->depth--;
    }
    return false;
}

// Leaves the group because of `failure`; false: there is nowhere to go.
static bool leave(struct router_walk *walk, const struct router_failure *failure)
{
    begin_list(walk, failure);
    return next_group(walk);
}

// Does another deployment of the same level come next?
static bool goes_on(struct router_walk *walk, size_t deployment, int64_t most, int64_t now_ms)
{
    struct router_pick pick = pick_one(walk, walk->target.deployment, now_ms);
    if (pick.reason != PICK_FOUND || walk->retries >= most ||
        walk->plan->deployments[pick.deployment].order != walk->plan->deployments[deployment].order)
        return false;
    walk->retries++;
    return true;
}

// Is a higher level left, of which this one's retries are no limit? Then it is what comes next.
static bool goes_up(struct router_walk *walk, size_t deployment, int64_t now_ms)
{
    const struct router_group *group = group_of(walk);
    int64_t order = walk->plan->deployments[deployment].order;
    size_t before = walk->tried_count;
    if (walk->target.deployment != ROUTER_NONE)
        return false;
    for (size_t i = 0; i < group->count; i++) { // what is left of the level is out of retries
        size_t member = group->members[i];
        bool same = walk->plan->deployments[member].order <= order;
        if (same && walk->tried_count < ROUTER_ATTEMPTS_MAX &&
            !is_visited(walk, &(struct router_target){NULL, walk->target.group, member}))
            walk->tried[walk->tried_count++] = (uint32_t)member;
    }
    if (pick_one(walk, ROUTER_NONE, now_ms).reason != PICK_FOUND) {
        walk->tried_count = before;
        return false;
    }
    walk->retries = 0;
    return true;
}

static bool tries_again(struct router_walk *walk, size_t deployment,
                        const struct router_failure *failure, int64_t most, int64_t now_ms)
{
    enum router_class class = router_failure_policy_class(failure);
    bool asked_for = class < ROUTER_CLASSES && walk->plan->retries[class] > 0;
    if (walk->retries >= most || (!asked_for && !router_failure_retry_helps(failure)))
        return false;
    int64_t at =
        now_ms + router_backoff_ms(walk->retries, failure, walk->plan->retry_after_ms, &walk->dice);
    struct router_pick_view view = router_picker_view(walk->picker, deployment, now_ms);
    if (at >= walk->request.deadline_ms || (view.state == CIRCUIT_OPEN && view.until_ms > at))
        return false;
    walk->again = deployment;
    walk->not_before_ms = at;
    walk->retries++;
    return true;
}

void router_walk_failed(struct router_walk *walk, const struct router_failure *failure,
                        int64_t now_ms)
{
    size_t deployment = walk->tried_count ? walk->tried[walk->tried_count - 1] : ROUTER_NONE;
    if (walk->again != ROUTER_NONE)
        deployment = walk->again;
    walk->again = ROUTER_NONE;
    note_failure(walk, failure);
    if (deployment == ROUTER_NONE || !router_failure_elsewhere_helps(failure)) {
        walk->over = true;
        return;
    }
    int64_t most = retries_for(walk, failure, deployment);
    walk->max_retries = most;
    if (!has_own_list(walk, failure) &&
        (goes_on(walk, deployment, most, now_ms) ||
         tries_again(walk, deployment, failure, most, now_ms) || goes_up(walk, deployment, now_ms)))
        return;
    walk->over = !leave(walk, failure);
}

static void give_up(struct router_walk *walk, struct router_step *ret_step)
{
    walk->over = true;
    *ret_step = (struct router_step){.kind = STEP_GIVE_UP, .at_ms = -1, .target = walk->target};
}

static bool attempt(struct router_walk *walk, size_t deployment, int64_t now_ms,
                    struct router_step *ret_step)
{
    bool again = walk->again != ROUTER_NONE;
    struct router_step step = {.kind = STEP_ATTEMPT, .at_ms = now_ms, .target = walk->target};
    if (walk->attempts >= ROUTER_ATTEMPTS_MAX || walk->tried_count >= ROUTER_ATTEMPTS_MAX ||
        !router_picker_take(walk->picker, deployment, model_of(walk), walk->request.tokens, now_ms,
                            &step.ticket))
        return false;
    step.attempt = ++walk->attempts;
    step.why = again                 ? ROUTER_WHY_RETRY
               : walk->entered       ? ROUTER_WHY_DEPLOYMENT
               : walk->fallbacks > 0 ? ROUTER_WHY_FALLBACK
                                     : ROUTER_WHY_FIRST;
    if (!again)
        walk->tried[walk->tried_count++] = (uint32_t)deployment;
    walk->entered = true;
    walk->waiting_since_ms = -1;
    *ret_step = step;
    return true;
}

// Why the group that was to be asked could not be.
static void nothing_there(struct router_walk *walk, struct router_pick pick, int64_t now_ms,
                          struct router_failure *ret_failure)
{
    char text[ROUTER_FAILURE_TEXT_MAX];
    BUF_AUTO words = BUF_INIT(sizeof text);
    int64_t wait = pick.at_ms >= 0 ? pick.at_ms - now_ms : ROUTER_PROBE_RETRY_MS;
    if (pick.reason == PICK_TOO_LONG) {
        router_failure_make(ROUTER_CONTEXT_WINDOW, -1,
                            "the request is larger than the context of the model's deployments",
                            ret_failure);
        return;
    }
    buf_printf(&words, "No deployments available for selected model");
    if (pick.reason == PICK_NONE)
        wait = -1;
    else
        buf_printf(&words, ", Try again in %lld seconds", (long long)((wait + 999) / 1000));
    buf_printf(&words, ". Passed model=%.100s. pre-call-checks=%s, reason=%s", walk->target.name,
               walk->plan->pre_call_checks ? "True" : "False",
               pick.reason == PICK_OPEN   ? "cooling down after failures"
               : pick.reason == PICK_BUSY ? "its limits are reached"
                                          : "no deployment can be asked");
    router_failure_make(ROUTER_NO_DEPLOYMENT, wait, buf_text(&words), ret_failure);
}

// Room for a call that has nowhere else to go; false: it does not come in time, or it is broken.
static bool waits(struct router_walk *walk, struct router_pick pick, int64_t now_ms,
                  struct router_step *ret_step)
{
    if (pick.reason != PICK_BUSY || walk->request.wait_ms <= 0)
        return false;
    int64_t since = walk->waiting_since_ms < 0 ? now_ms : walk->waiting_since_ms;
    int64_t latest = since + walk->request.wait_ms;
    if (latest > walk->request.deadline_ms)
        latest = walk->request.deadline_ms;
    if (now_ms >= latest || pick.at_ms >= latest)
        return false;
    walk->waiting_since_ms = since;
    *ret_step = (struct router_step){
        .kind = STEP_WAIT, .at_ms = pick.at_ms >= 0 ? pick.at_ms : latest, .target = walk->target};
    return true;
}

// Is there a group left that could be asked instead of waiting here? Changes nothing.
static bool has_elsewhere(const struct router_walk *walk, const struct router_failure *failure)
{
    struct router_walk look = *walk;
    return leave(&look, failure);
}

void router_walk_next(struct router_walk *walk, int64_t now_ms, struct router_step *ret_step)
{
    struct router_failure failure;
    while (!walk->over) {
        if (now_ms >= walk->request.deadline_ms) {
            router_failure_make(ROUTER_TIMEOUT, -1, "the request ran out of time", &failure);
            note_failure(walk, &failure);
            break;
        }
        if (walk->again != ROUTER_NONE && walk->not_before_ms > now_ms) {
            *ret_step = (struct router_step){
                .kind = STEP_WAIT, .at_ms = walk->not_before_ms, .target = walk->target};
            return;
        }
        struct router_pick pick = pick_next(walk, now_ms);
        if (pick.reason == PICK_FOUND && attempt(walk, pick.deployment, now_ms, ret_step))
            return;
        if (walk->again != ROUTER_NONE) { // somebody was faster; what failed already is known
            walk->again = ROUTER_NONE;
            walk->over = !leave(walk, &walk->last);
            continue;
        }
        nothing_there(walk, pick, now_ms, &failure);
        if (!has_elsewhere(walk, &failure) && waits(walk, pick, now_ms, ret_step))
            return;
        note_failure(walk, &failure);
        walk->over = !leave(walk, &failure);
    }
    give_up(walk, ret_step);
}

const struct router_failure *router_walk_failure(const struct router_walk *walk)
{
    return &walk->first;
}

static void list_available(const struct router_chain *chain, struct buf *out)
{
    if (!chain) {
        buf_append_text(out, "None");
        return;
    }
    for (size_t i = 0; i < chain->count; i++)
        buf_printf(out, "%s'%s'", i ? ", " : "[", chain->targets[i].name);
    buf_append_text(out, chain->count ? "]" : "[]");
}

void router_walk_message(const struct router_walk *walk, struct span provider, struct buf *out)
{
    router_failure_message(&walk->first, provider, out);
    if (walk->request.disable_fallbacks)
        return;
    buf_printf(out, ". Received Model Group=%s\nAvailable Model Group Fallbacks=",
               walk->request.target.name);
    list_available(walk->available, out);
    if (walk->fallbacks > 0) {
        buf_append_text(out, "\nError doing the fallback: ");
        router_failure_message(&walk->last, SPAN_ABSENT, out);
    }
}
