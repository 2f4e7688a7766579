/*
 * The queue before a group whose deployments have limits per minute. All calls for such a group
 * pass its bucket (bucket.h), which says who goes first; the deployments' own limits hold in the
 * picker, also for those that come as a fallback and never stood here.
 *
 * Waiting is for room, nothing else: a call leaves the queue, for the fallbacks, when no circuit of
 * the group is closed, and gives its place back when its walk leaves the group without having
 * asked.
 */
#include "router/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/call.h"

static struct loop *loop_of(const struct router_call *call)
{
    return call->router->env.loop;
}

static void refuse(struct router_call *call, const char *reason, const char *text)
{
    struct router_failure failure;
    router_metrics_refused(call->router->metrics, reason);
    router_failure_make(ROUTER_RATE_LIMIT, -1, text, &failure);
    router_call_refused(call, &failure);
}

// What a group lets through is the sum of what its deployments do, where each says it; but of one
// call, what one of them does.
static struct router_bucket_limits limits_of(const struct router_plan *plan, size_t group)
{
    struct router_bucket_limits limits = {.refuse_oversized = plan->refuse_oversized};
    const struct router_group *g = &plan->groups[group];
    for (size_t i = 0; i < g->count; i++) {
        const struct router_deployment *d = &plan->deployments[g->members[i]];
        limits.tokens = limits.tokens < 0 || d->tpm < 0 ? -1 : limits.tokens + d->tpm;
        limits.requests = limits.requests < 0 || d->rpm < 0 ? -1 : limits.requests + d->rpm;
        limits.largest = limits.tokens < 0 ? -1 : d->tpm > limits.largest ? d->tpm : limits.largest;
    }
    return limits;
}

static void on_granted(struct router_call *call, const struct router_bucket_event *event)
{
    call->queued = 0;
    call->waited_ms = event->waited_ms;
    call->hold = event->hold;
    router_call_renew(call);
    if (event->outcome == BUCKET_EXPIRED)
        call->walk.request.wait_ms = 0; // it has waited as long as it may
    if (call->sink->on_wait)
        call->sink->on_wait(call->context, 0);
    router_call_go(call); // also when it waited in vain: there may be fallbacks
}

static void on_lane_timer(void *context);

static void lane_run(struct router_lane *lane)
{
    struct router_bucket_event event;
    struct loop *loop = lane->router->env.loop;
    int64_t now_ms = loop_now(loop);
    while (router_bucket_next(lane->bucket, now_ms, &event))
        on_granted(event.context, &event);
    loop_cancel(loop, lane->timer);
    int64_t at_ms = router_bucket_wakeup(lane->bucket, now_ms);
    lane->timer = at_ms < 0 ? 0 : loop_timer_at(loop, at_ms, on_lane_timer, lane);
}

static void on_lane_timer(void *context)
{
    struct router_lane *lane = context;
    lane->timer = 0;
    lane_run(lane);
}

void router_lane_wake(struct router_lane *lane)
{
    struct loop *loop = lane->router->env.loop;
    if (!router_bucket_has_waiting(lane->bucket))
        return;
    loop_cancel(loop, lane->timer);
    lane->timer = loop_defer(loop, on_lane_timer, lane);
}

// NULL: nothing is limited.
static struct router_lane *lane_of(struct router *router, const struct router_course *course,
                                   size_t group)
{
    struct router_bucket_limits limits = limits_of(course->plan, group);
    if (limits.tokens < 0 && limits.requests < 0)
        return NULL;
    const char *name = course->plan->groups[group].name;
    list_for_each(link, &router->lanes) {
        struct router_lane *lane = list_entry(link, struct router_lane, link);
        if (strcmp(lane->name, name) == 0)
            return lane;
    }
    struct router_lane *lane = mem_new(struct router_lane);
    lane->name = mem_strdup(name);
    lane->bucket = router_bucket_create(&limits);
    lane->router = router;
    list_append(&router->lanes, &lane->link);
    if (course != router->course) // who began before a reload: the lane is for all that follow
        router_lanes_configure(router);
    return lane;
}

void router_lanes_wake(struct router *router)
{
    list_for_each(link, &router->lanes)
        router_lane_wake(list_entry(link, struct router_lane, link));
}

// One that began before a reload blocks nobody by limits that hold no more.
static int64_t room_at(void *context, int64_t now_ms)
{
    const struct router_call *call = context;
    return call->course == call->router->course ? router_walk_room_at(&call->walk, now_ms) : now_ms;
}

void router_queue_enter(struct router_call *call)
{
    const struct router_plan *plan = call->course->plan;
    int64_t now_ms = loop_now(loop_of(call));
    call->lane = lane_of(call->router, call->course, call->match.group);
    if (!call->lane) {
        router_call_go(call);
        return;
    }
    struct router_bucket_ask ask = {
        .priority = call->origin.priority,
        .tokens = call->walk.request.tokens,
        .deadline_ms = now_ms + plan->queue_timeout_ms,
        .context = call,
        .room_at = room_at,
    };
    switch (router_bucket_ask(call->lane->bucket, &ask, now_ms, &call->queued, &call->hold)) {
    case BUCKET_QUEUED:
        router_lane_wake(call->lane);
        if (call->sink->on_wait)
            call->sink->on_wait(call->context,
                                router_bucket_position(call->lane->bucket, call->queued));
        return;
    case BUCKET_OVERSIZED:
        refuse(call, "tokens",
               "this request is larger than the model's limit per minute (tpm); make it smaller, "
               "raise the limit, or set router.oversized: alone");
        return;
    case BUCKET_FULL:
        refuse(call, "queue", "too many requests are waiting for this model");
        return;
    default:
        router_call_go(call);
    }
}

void router_queue_leave(struct router_call *call)
{
    struct router_lane *lane = call->lane;
    if (!lane)
        return;
    if (call->queued)
        router_bucket_cancel(lane->bucket, call->queued);
    if (call->hold.granted)
        router_bucket_release(lane->bucket, &call->hold, loop_now(loop_of(call)));
    call->queued = 0;
    router_lane_wake(lane);
}

// Who waits goes by the new limits, too; those of a group that is gone stay for who asked for it.
void router_lanes_configure(struct router *router)
{
    const struct router_plan *plan = router->course->plan;
    list_for_each(link, &router->lanes) {
        struct router_lane *lane = list_entry(link, struct router_lane, link);
        for (size_t i = 0; i < plan->group_count; i++) {
            if (strcmp(plan->groups[i].name, lane->name) != 0)
                continue;
            struct router_bucket_limits limits = limits_of(plan, i);
            router_bucket_set_limits(lane->bucket, &limits);
            router_lane_wake(lane);
        }
    }
}

void router_lanes_destroy(struct router *router)
{
    for (struct list *link; (link = list_shift(&router->lanes));) {
        struct router_lane *lane = list_entry(link, struct router_lane, link);
        loop_cancel(router->env.loop, lane->timer);
        router_bucket_destroy(lane->bucket);
        free(lane->name);
        free(lane);
    }
}
