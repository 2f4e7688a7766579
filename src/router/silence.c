/*
 * Streams that have nothing to say yet. What is held, or waits in the queue, is told to nobody, so
 * that it can still be mended elsewhere and fail with a status of its own. But whoever stands in
 * between takes a silent connection for a dead one, mostly after a minute. So after a while the
 * client gets a sign of life, and with it the head of the answer; what fails from then on fails
 * within the stream.
 *
 * All calls of a plan wait equally long, so one timer is enough for all of them, and a call costs
 * nothing but the look whether it is set, and for late enough. After a reload there are two plans.
 */
#include "router/call.h"
#include "router/router_internal.h"

static bool may_be_silent(const struct router_call *call)
{
    return !call->begun && !call->silence_told && call->body.stream && call->sink->on_silence &&
           call->operation != UPSTREAM_EMBEDDINGS && call->runtime->plan->keep_alive_ms > 0;
}

static int64_t due_of(const struct router_call *call)
{
    return call->came_ms + call->runtime->plan->keep_alive_ms;
}

static void on_timer(void *context);

static void wake_at(struct router *router, int64_t at_ms)
{
    if (router->silence && router->silence_at_ms <= at_ms)
        return;
    loop_cancel(router->env.loop, router->silence);
    router->silence = loop_timer_at(router->env.loop, at_ms, on_timer, router);
    router->silence_at_ms = at_ms;
}

static void on_timer(void *context)
{
    struct router *router = context;
    int64_t now_ms = loop_now(router->env.loop);
    router->silence = 0;
    list_for_each(link, &router->calls) {
        struct router_call *call = list_entry(link, struct router_call, link);
        if (!may_be_silent(call))
            continue;
        if (due_of(call) > now_ms) {
            wake_at(router, due_of(call));
            continue;
        }
        call->silence_told = true; // and must not be cancelled now
        call->sink->on_silence(call->context, call->id);
    }
}

void router_silence_watch(struct router_call *call)
{
    if (may_be_silent(call))
        wake_at(call->router, due_of(call));
}
