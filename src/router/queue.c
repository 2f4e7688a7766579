/*
 * The queue before a group whose deployments have limits per minute. All calls for such a group
 * pass its bucket (bucket.h), which says who goes first; the deployments' own limits hold in the
 * picker, also for those that come as a fallback and never stood here.
 *
 * Waiting is for room, nothing else: a call leaves the queue, for the fallbacks, when no circuit of
 * the group is closed, and gives its place back when its iterator leaves the group without having
 * asked.
 */
#include "router/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/call.h"

static void refuse(struct router_call *call, const char *reason, const char *text)
{
    struct router_failure failure;
    router_metrics_refused(call->router->metrics, reason);
    router_failure_make(ROUTER_RATE_LIMIT, -1, text, &failure);
    call->events->refused(call, &failure);
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

// What is asked anew may take as long as the settings say; a retry must begin within that.
void router_queue_renew(struct router_call *call)
{
    call->iter.request.deadline_ms = loop_now(loop_of(call)) + call->runtime->plan->timeout_ms;
}

static void on_granted(struct router_call *call, const struct router_bucket_event *event)
{
    call->queued = 0;
    call->waited_ms = event->waited_ms;
    call->bucket_reservation = event->reservation;
    router_queue_renew(call);
    if (event->outcome == BUCKET_EXPIRED)
        call->iter.request.wait_ms = 0; // it has waited as long as it may
    if (call->sink->on_wait)
        call->sink->on_wait(call->context, 0);
    call->events->go(call); // also when it waited in vain: there may be fallbacks
}

static void on_queue_timer(void *context)
{
    struct router_group_queue *queue = context;
    struct router_bucket_event event;
    struct loop *loop = queue->router->env.loop;
    int64_t now_ms = loop_now(loop);
    queue->timer = 0;
    while (router_bucket_next(queue->bucket, now_ms, &event))
        on_granted(event.context, &event);
    loop_cancel(loop, queue->timer);
    int64_t at_ms = router_bucket_wakeup(queue->bucket, now_ms);
    queue->timer = at_ms < 0 ? 0 : loop_timer_at(loop, at_ms, on_queue_timer, queue);
}

void router_group_queue_wake(struct router_group_queue *queue)
{
    struct loop *loop = queue->router->env.loop;
    if (!router_bucket_has_waiting(queue->bucket))
        return;
    loop_cancel(loop, queue->timer);
    queue->timer = loop_defer(loop, on_queue_timer, queue);
}

// NULL: nothing is limited.
static struct router_group_queue *group_queue_of(struct router *router,
                                                 const struct router_runtime *runtime, size_t group)
{
    struct router_bucket_limits limits = limits_of(runtime->plan, group);
    if (limits.tokens < 0 && limits.requests < 0)
        return NULL;
    const char *name = runtime->plan->groups[group].name;
    list_for_each(link, &router->group_queues) {
        struct router_group_queue *queue = list_entry(link, struct router_group_queue, link);
        if (strcmp(queue->name, name) == 0)
            return queue;
    }
    struct router_group_queue *queue = mem_new(struct router_group_queue);
    queue->name = mem_strdup(name);
    queue->bucket = router_bucket_create(&limits);
    queue->router = router;
    list_append(&router->group_queues, &queue->link);
    if (runtime != router->runtime) // who began before a reload: the queue is for all that follow
        router_group_queues_configure(router);
    return queue;
}

static void on_step(void *context)
{
    struct router_call *call = context;
    call->timer = 0;
    if (!list_empty(&call->waiting))
        list_remove(&call->waiting);
    call->events->go(call);
}

void router_queue_step(struct router_call *call)
{
    loop_cancel(loop_of(call), call->timer);
    call->timer = loop_defer(loop_of(call), on_step, call);
}

void router_queue_wait(struct router_call *call, int64_t at_ms)
{
    list_append(&call->router->waiting, &call->waiting);
    call->timer = loop_timer_at(loop_of(call), at_ms, on_step, call);
}

static void wake(void *context)
{
    struct router *router = context;
    router->wake = 0;
    list_for_each(link, &router->waiting)
        router_queue_step(list_entry(link, struct router_call, waiting));
    list_for_each(link, &router->group_queues)
        router_group_queue_wake(list_entry(link, struct router_group_queue, link));
}

void router_wake_later(struct router *router)
{
    if (!router->wake && !(list_empty(&router->waiting) && list_empty(&router->group_queues)))
        router->wake = loop_defer(router->env.loop, wake, router);
}

// One that began before a reload blocks nobody by limits that hold no more.
static int64_t room_at(void *context, int64_t now_ms)
{
    const struct router_call *call = context;
    return call->runtime == call->router->runtime ? router_fallback_room_at(&call->iter, now_ms)
                                                  : now_ms;
}

void router_queue_enter(struct router_call *call)
{
    const struct router_plan *plan = call->runtime->plan;
    int64_t now_ms = loop_now(loop_of(call));
    call->queue = group_queue_of(call->router, call->runtime, call->match.group);
    if (!call->queue) {
        call->events->go(call);
        return;
    }
    struct router_bucket_request request = {
        .priority = call->origin.priority,
        .tokens = call->iter.request.tokens,
        .deadline_ms = now_ms + plan->queue_timeout_ms,
        .context = call,
        .room_at = room_at,
    };
    switch (router_bucket_enter(call->queue->bucket, &request, now_ms, &call->queued,
                                &call->bucket_reservation)) {
    case BUCKET_QUEUED:
        router_group_queue_wake(call->queue);
        if (call->sink->on_wait)
            call->sink->on_wait(call->context,
                                router_bucket_position(call->queue->bucket, call->queued));
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
        call->events->go(call);
    }
}

void router_queue_leave(struct router_call *call)
{
    struct router_group_queue *queue = call->queue;
    if (!queue)
        return;
    if (call->queued)
        router_bucket_cancel(queue->bucket, call->queued);
    if (call->bucket_reservation.granted)
        router_bucket_release(queue->bucket, &call->bucket_reservation, loop_now(loop_of(call)));
    call->queued = 0;
    router_group_queue_wake(queue);
}

// Calls that wait go by the new limits, too; those of a group that is gone stay for them.
void router_group_queues_configure(struct router *router)
{
    const struct router_plan *plan = router->runtime->plan;
    list_for_each(link, &router->group_queues) {
        struct router_group_queue *queue = list_entry(link, struct router_group_queue, link);
        for (size_t i = 0; i < plan->group_count; i++) {
            if (strcmp(plan->groups[i].name, queue->name) != 0)
                continue;
            struct router_bucket_limits limits = limits_of(plan, i);
            router_bucket_set_limits(queue->bucket, &limits);
            router_group_queue_wake(queue);
        }
    }
}

void router_group_queues_destroy(struct router *router)
{
    for (struct list *link; (link = list_shift(&router->group_queues));) {
        struct router_group_queue *queue = list_entry(link, struct router_group_queue, link);
        loop_cancel(router->env.loop, queue->timer);
        router_bucket_destroy(queue->bucket);
        free(queue->name);
        free(queue);
    }
}
