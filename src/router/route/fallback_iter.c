#include "router/route/fallback_iter.h"

#include "base/hash.h"
#include "base/wait.h"
#include "router/route/prng.h"

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
 * Then the group's fallbacks, each a round of its own with its own retries and fallbacks. A group
 * that was asked before is left out wherever it stands (LiteLLM only skips the one that a list
 * belongs to, and can go round in circles until max_fallbacks ends it). max_fallbacks is, as in
 * LiteLLM, how many fallbacks may have been tried before another *list* is begun. A client's own
 * list replaces all of the plan's. Too long a request and forbidden content go straight to their
 * own lists where that setting exists, otherwise on like any failure.
 *
 * A group in which nothing may be asked now (open circuits, exhausted limits) is passed over. Only
 * when nothing else is left is there a wait, and only for room, never for an open circuit: what is
 * broken need not be back when its time is over, and the caller can be told when to come again.
 *
 * The client gets the first failure, as it is the one of what was asked for.
 */

// Every field is set: what is not named starts as 0.
void router_fallback_init(struct router_fallback_iter *iter, const struct router_plan *plan,
                          struct router_picker *picker,
                          const struct router_fallback_request *request, uint64_t seed)
{
    *iter = (struct router_fallback_iter){
        .plan = plan,
        .request = *request,
        .picker = picker,
        .prng = seed,
        .target = request->target,
        .again = ROUTER_NONE,
        .waiting_since_ms = -1,
    };
    iter->visited[iter->visited_count++] = (uint32_t)request->target.group;
}

// Milliseconds before retry number `retry` (from 0) of a deployment that failed so.
static int64_t backoff_ms(int retry, const struct router_failure *failure, int64_t floor_ms,
                          uint64_t *prng)
{
    int64_t most = ROUTER_BACKOFF_MS;
    for (int i = 0; i < retry && most < ROUTER_BACKOFF_MAX_MS; i++)
        most *= 2;
    most = most < ROUTER_BACKOFF_MAX_MS ? most : ROUTER_BACKOFF_MAX_MS;
    int64_t wait = most / 2 + (int64_t)router_prng_below(prng, (uint64_t)(most / 2 + 1));
    wait = wait_scaled(wait);
    int64_t asked = failure->retry_after_ms > floor_ms ? failure->retry_after_ms : floor_ms;
    if (wait < asked)
        wait = asked + (int64_t)router_prng_below(prng, ROUTER_BACKOFF_JITTER_MS + 1);
    return wait;
}

static const struct router_group *group_of(const struct router_fallback_iter *iter)
{
    return &iter->plan->groups[iter->target.group];
}

// Which of the models behind a wildcard is meant.
static uint64_t model_of(const struct router_fallback_iter *iter)
{
    return group_of(iter)->wildcard ? hash_of(span_of(iter->target.name)) : 0;
}

static struct router_pick_query query_of(const struct router_fallback_iter *iter, size_t only)
{
    const struct router_group *group = group_of(iter);
    bool again = only != ROUTER_NONE && only == iter->again;
    return (struct router_pick_query){
        .members = group->members,
        .count = group->count,
        .only = only,
        .tried = iter->tried,
        .tried_count = again ? 0 : iter->tried_count,
        .model = model_of(iter),
        .tokens = iter->request.tokens,
        .prompt_tokens = iter->request.prompt_tokens,
        .pre_call_checks = iter->plan->pre_call_checks,
        .strategy = iter->plan->strategy,
    };
}

static struct router_pick pick_one(struct router_fallback_iter *iter, size_t only, int64_t now_ms)
{
    struct router_pick_query query = query_of(iter, only);
    return router_picker_pick(iter->picker, &query, now_ms);
}

int64_t router_fallback_room_at(const struct router_fallback_iter *iter, int64_t now_ms)
{
    struct router_pick_query query = query_of(iter, iter->target.deployment);
    return router_picker_room_at(iter->picker, &query, now_ms);
}

static void keep_failure(struct router_fallback_iter *iter, const struct router_failure *failure)
{
    if (!iter->failed)
        iter->first = *failure;
    iter->last = *failure;
    iter->failed = true;
}

// The client's own figure, the class's, the deployment's, the plan's: the first that is said.
static int64_t retries_for(const struct router_fallback_iter *iter,
                           const struct router_failure *failure, size_t deployment)
{
    enum router_class class = router_failure_policy_class(failure);
    if (iter->request.num_retries >= 0)
        return iter->request.num_retries;
    if (class < ROUTER_CLASSES && iter->plan->retries[class] >= 0)
        return iter->plan->retries[class];
    if (iter->plan->deployments[deployment].num_retries >= 0)
        return iter->plan->deployments[deployment].num_retries;
    return iter->plan->num_retries;
}

static enum router_chain_kind kind_of(const struct router_failure *failure)
{
    if (failure->error == ROUTER_CONTEXT_WINDOW)
        return ROUTER_CHAIN_CONTEXT_WINDOW;
    if (failure->error == ROUTER_CONTENT_POLICY)
        return ROUTER_CHAIN_CONTENT_POLICY;
    return ROUTER_CHAIN_GENERAL;
}

static const struct router_chain *list_for(const struct router_fallback_iter *iter,
                                           enum router_chain_kind kind)
{
    return router_plan_chain(iter->plan, span_of(iter->target.name), kind);
}

// A moderation that answers 403 speaks for its provider only: where the group has no list for
// content policies, its general one goes on, as in LiteLLM.
static bool is_opinion(const struct router_failure *failure)
{
    return failure->error == ROUTER_CONTENT_POLICY && failure->upstream_status == 403;
}

static const struct router_chain *list_of(const struct router_fallback_iter *iter,
                                          const struct router_failure *failure)
{
    const struct router_chain *own = list_for(iter, kind_of(failure));
    return own || !is_opinion(failure) ? own : list_for(iter, ROUTER_CHAIN_GENERAL);
}

// Has its failure a list of its own, so that more of the same group would be wasted?
static bool has_own_list(const struct router_fallback_iter *iter,
                         const struct router_failure *failure)
{
    enum router_chain_kind kind = kind_of(failure);
    if (kind == ROUTER_CHAIN_GENERAL || !iter->plan->chains_set[kind] || iter->request.client ||
        iter->request.disable_fallbacks)
        return false;
    return !is_opinion(failure) || list_for(iter, kind);
}

static bool is_visited(const struct router_fallback_iter *iter, const struct router_target *target)
{
    for (size_t i = 0; target->deployment == ROUTER_NONE && i < iter->visited_count; i++)
        if (iter->visited[i] == target->group)
            return true;
    for (size_t i = 0; target->deployment != ROUTER_NONE && i < iter->tried_count; i++)
        if (iter->tried[i] == target->deployment)
            return true;
    return false;
}

// Puts the list of the group that has failed onto the levels, if there is one and it may be begun.
static void begin_list(struct router_fallback_iter *iter, const struct router_failure *failure)
{
    const struct router_chain *chain = iter->request.client;
    if (iter->request.disable_fallbacks || !router_failure_elsewhere_helps(failure))
        return;
    if (chain && iter->depth > 0) // the client's own is the whole of it
        return;
    if (!chain)
        chain = list_of(iter, failure);
    if (!iter->available && iter->fallbacks == 0)
        iter->available = chain;
    if (!chain || iter->fallbacks >= iter->plan->max_fallbacks ||
        iter->depth >= ROUTER_FALLBACK_DEPTH_MAX)
        return;
    iter->levels[iter->depth++] = (struct router_fallback_level){chain, 0};
}

// To the next group of the innermost list that has one left; false: there is none.
static bool next_group(struct router_fallback_iter *iter)
{
    while (iter->depth > 0) {
        struct router_fallback_level *level = &iter->levels[iter->depth - 1];
        while (level->next < level->chain->count) {
            const struct router_target *target = &level->chain->targets[level->next++];
            if (is_visited(iter, target) || iter->visited_count >= ROUTER_ATTEMPTS_MAX)
                continue;
            iter->target = *target;
            iter->visited[iter->visited_count++] = (uint32_t)target->group;
            iter->fallbacks++;
            iter->retries = 0;
            iter->max_retries = 0;
            iter->again = ROUTER_NONE;
            iter->not_before_ms = 0;
            iter->entered = false;
            return true;
        }
        iter->depth--;
    }
    return false;
}

// Leaves the group because of `failure`; false: there is nowhere to go.
static bool leave(struct router_fallback_iter *iter, const struct router_failure *failure)
{
    begin_list(iter, failure);
    return next_group(iter);
}

// Does another deployment of the same level come next?
static bool goes_on(struct router_fallback_iter *iter, size_t deployment, int64_t most,
                    int64_t now_ms)
{
    struct router_pick pick = pick_one(iter, iter->target.deployment, now_ms);
    if (pick.reason != PICK_FOUND || iter->retries >= most ||
        iter->plan->deployments[pick.deployment].order != iter->plan->deployments[deployment].order)
        return false;
    iter->retries++;
    return true;
}

// Is a higher level left, of which this one's retries are no limit? Then it is what comes next.
static bool goes_up(struct router_fallback_iter *iter, size_t deployment, int64_t now_ms)
{
    const struct router_group *group = group_of(iter);
    int64_t order = iter->plan->deployments[deployment].order;
    size_t before = iter->tried_count;
    if (iter->target.deployment != ROUTER_NONE)
        return false;
    for (size_t i = 0; i < group->count; i++) { // what is left of the level is out of retries
        size_t member = group->members[i];
        bool same = iter->plan->deployments[member].order <= order;
        if (same && iter->tried_count < ROUTER_ATTEMPTS_MAX &&
            !is_visited(iter, &(struct router_target){NULL, iter->target.group, member}))
            iter->tried[iter->tried_count++] = (uint32_t)member;
    }
    if (pick_one(iter, ROUTER_NONE, now_ms).reason != PICK_FOUND) {
        iter->tried_count = before;
        return false;
    }
    iter->retries = 0;
    return true;
}

static bool tries_again(struct router_fallback_iter *iter, size_t deployment,
                        const struct router_failure *failure, int64_t most, int64_t now_ms)
{
    enum router_class class = router_failure_policy_class(failure);
    bool asked_for = class < ROUTER_CLASSES && iter->plan->retries[class] > 0;
    if (iter->retries >= most || (!asked_for && !router_failure_retry_helps(failure)))
        return false;
    int64_t at =
        now_ms + backoff_ms(iter->retries, failure, iter->plan->retry_after_ms, &iter->prng);
    struct router_pick_view view = router_picker_view(iter->picker, deployment, now_ms);
    if (at >= iter->request.deadline_ms || (view.state == CIRCUIT_OPEN && view.until_ms > at))
        return false;
    iter->again = deployment;
    iter->not_before_ms = at;
    iter->retries++;
    return true;
}

void router_fallback_failed(struct router_fallback_iter *iter, const struct router_failure *failure,
                            int64_t now_ms)
{
    size_t deployment = iter->tried_count ? iter->tried[iter->tried_count - 1] : ROUTER_NONE;
    if (iter->again != ROUTER_NONE)
        deployment = iter->again;
    iter->again = ROUTER_NONE;
    keep_failure(iter, failure);
    if (deployment == ROUTER_NONE || !router_failure_elsewhere_helps(failure)) {
        iter->over = true;
        return;
    }
    int64_t most = retries_for(iter, failure, deployment);
    iter->max_retries = most;
    if (!has_own_list(iter, failure) &&
        (goes_on(iter, deployment, most, now_ms) ||
         tries_again(iter, deployment, failure, most, now_ms) || goes_up(iter, deployment, now_ms)))
        return;
    iter->over = !leave(iter, failure);
}

static bool attempt(struct router_fallback_iter *iter, size_t deployment, int64_t now_ms,
                    struct router_step *ret_step)
{
    bool again = iter->again != ROUTER_NONE;
    struct router_step step = {.kind = STEP_ATTEMPT, .at_ms = now_ms, .target = iter->target};
    if (iter->attempts >= ROUTER_ATTEMPTS_MAX || iter->tried_count >= ROUTER_ATTEMPTS_MAX ||
        !router_picker_take(iter->picker, deployment, model_of(iter), iter->request.tokens, now_ms,
                            &step.lease))
        return false;
    step.attempt = ++iter->attempts;
    step.why = again                 ? ROUTER_WHY_RETRY
               : iter->entered       ? ROUTER_WHY_DEPLOYMENT
               : iter->fallbacks > 0 ? ROUTER_WHY_FALLBACK
                                     : ROUTER_WHY_FIRST;
    if (!again)
        iter->tried[iter->tried_count++] = (uint32_t)deployment;
    iter->entered = true;
    iter->waiting_since_ms = -1;
    *ret_step = step;
    return true;
}

// Why the group that was to be asked could not be.
static void nothing_there(struct router_fallback_iter *iter, struct router_pick pick,
                          int64_t now_ms, struct router_failure *ret_failure)
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
    buf_printf(&words, ". Passed model=%.100s. pre-call-checks=%s, reason=%s", iter->target.name,
               iter->plan->pre_call_checks ? "True" : "False",
               pick.reason == PICK_OPEN   ? "cooling down after failures"
               : pick.reason == PICK_BUSY ? "its limits are reached"
                                          : "no deployment can be asked");
    router_failure_make(ROUTER_NO_DEPLOYMENT, wait, buf_text(&words), ret_failure);
}

// Room for a call that has nowhere else to go; false: it does not come in time, or it is broken.
static bool waits(struct router_fallback_iter *iter, struct router_pick pick, int64_t now_ms,
                  struct router_step *ret_step)
{
    if (pick.reason != PICK_BUSY || iter->request.wait_ms <= 0)
        return false;
    int64_t since = iter->waiting_since_ms < 0 ? now_ms : iter->waiting_since_ms;
    int64_t latest = since + iter->request.wait_ms;
    if (latest > iter->request.deadline_ms)
        latest = iter->request.deadline_ms;
    if (now_ms >= latest || pick.at_ms >= latest)
        return false;
    iter->waiting_since_ms = since;
    *ret_step = (struct router_step){
        .kind = STEP_WAIT, .at_ms = pick.at_ms >= 0 ? pick.at_ms : latest, .target = iter->target};
    return true;
}

void router_fallback_next(struct router_fallback_iter *iter, int64_t now_ms,
                          struct router_step *ret_step)
{
    struct router_failure failure;
    while (!iter->over) {
        if (now_ms >= iter->request.deadline_ms) {
            router_failure_make(ROUTER_TIMEOUT, -1, "the request ran out of time", &failure);
            keep_failure(iter, &failure);
            break;
        }
        if (iter->again != ROUTER_NONE && iter->not_before_ms > now_ms) {
            *ret_step = (struct router_step){
                .kind = STEP_WAIT, .at_ms = iter->not_before_ms, .target = iter->target};
            return;
        }
        size_t only = iter->again != ROUTER_NONE ? iter->again : iter->target.deployment;
        struct router_pick pick = pick_one(iter, only, now_ms);
        if (pick.reason == PICK_FOUND && attempt(iter, pick.deployment, now_ms, ret_step))
            return;
        if (iter->again != ROUTER_NONE) { // somebody was faster; what failed already is known
            iter->again = ROUTER_NONE;
            iter->over = !leave(iter, &iter->last);
            continue;
        }
        nothing_there(iter, pick, now_ms, &failure);
        struct router_fallback_iter look = *iter; // is there a group that could be asked instead?
        if (!leave(&look, &failure) && waits(iter, pick, now_ms, ret_step))
            return;
        keep_failure(iter, &failure);
        iter->over = !leave(iter, &failure);
    }
    iter->over = true;
    *ret_step = (struct router_step){.kind = STEP_GIVE_UP, .at_ms = -1, .target = iter->target};
}

const struct router_failure *router_fallback_failure(const struct router_fallback_iter *iter)
{
    return &iter->first;
}

void router_fallback_message(const struct router_fallback_iter *iter, struct span provider,
                             struct buf *out)
{
    router_failure_message(&iter->first, provider, out);
    if (iter->request.disable_fallbacks)
        return;
    buf_printf(out, ". Received Model Group=%s\nAvailable Model Group Fallbacks=",
               iter->request.target.name);
    for (size_t i = 0; iter->available && i < iter->available->count; i++)
        buf_printf(out, "%s'%s'", i ? ", " : "[", iter->available->targets[i].name);
    buf_append_text(out, !iter->available ? "None" : iter->available->count ? "]" : "[]");
    if (iter->fallbacks > 0) {
        buf_append_text(out, "\nError doing the fallback: ");
        router_failure_message(&iter->last, SPAN_ABSENT, out);
    }
}
