/*
 * Memory that is kept for the next call: calls, of which each is large, and the buffers of their
 * bodies, heads and replies. base/buf_pool.h says why.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "llm/translation.h"
#include "router/call.h"
#include "router/router_internal.h"

enum { TRIM_MS = 1000 }; // that memory is kept unused, and as long again

struct router_call *router_pool_take(struct router *router)
{
    if (!router->pool_count)
        return mem_new(struct router_call);
    struct router_call *call = router->pool[--router->pool_count];
    if (router->pool_count < router->pool_least)
        router->pool_least = router->pool_count;
    memset(call, 0, sizeof *call);
    return call;
}

static void free_calls(struct router *router, size_t count)
{
    while (count--)
        free(router->pool[--router->pool_count]);
}

static void on_trim(void *context)
{
    struct router *router = context;
    free_calls(router, router->pool_least);
    router->pool_least = router->pool_count;
    bool any = buf_pool_trim(&router->buffers) || router->pool_count > 0;
    router->trim = any ? loop_timer_after(router->env.loop, TRIM_MS, on_trim, router) : 0;
}

void router_pool_return(struct router_call *call)
{
    struct router *router = call->router;
    if (router->pool_count < ROUTER_POOL_MAX)
        router->pool[router->pool_count++] = call;
    else
        free(call);
    if (!router->trim)
        router->trim = loop_timer_after(router->env.loop, TRIM_MS, on_trim, router);
}

void router_give_back(struct router *router, struct buf *buf)
{
    if (buf->capacity <= BUF_POOL_SMALL_BYTES)
        buf_pool_take_back(&router->buffers, buf);
    else
        buf_finish(buf);
}

// Only the face asks for large ones, so only its own come back: those of an agent, each as long as
// a conversation, would lie there unused.
void router_give_back_body(struct router_call *call)
{
    struct router *router = call->router;
    if (call->own)
        buf_finish(&call->body.bytes);
    else
        buf_pool_take_back(&router->buffers, &call->body.bytes);
}

struct buf_pool *router_buffers(struct router *router)
{
    return &router->buffers;
}

void router_pool_clear(struct router *router)
{
    free_calls(router, router->pool_count);
    buf_pool_finish(&router->buffers);
    loop_cancel(router->env.loop, router->trim);
}

void router_call_count(struct router_call *call)
{
    const struct translation *translation = call->attempt.translation;
    size_t now =
        call->body.bytes.capacity + (call->plain ? call->plain->bytes.capacity : 0) +
        reply_watch_bytes(&call->attempt.watch) +
        (translation ? translation_bytes(translation) + translation_request(translation)->len : 0);
    call->router->buffered += now - call->counted;
    call->counted = now;
}
