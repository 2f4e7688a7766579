#include "router/inquiry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "llm/generation.h"
#include "router/money/ledger.h"
#include "router/router_internal.h"
#include "store/ledger_read.h"

/*
 * A provider counts what an answer cost some seconds after its end, later when it was cut off; so
 * it is asked after a while, a few times, ever later. Few are asked for at once, since what cut one
 * answer off often cut many, and none of it is urgent: the charge stands at the bound, and the cap
 * holds meanwhile. What is not believed (another id, a cost that no call has) is asked for again
 * like what is not there yet, and in the end the bound stays.
 *
 * Nothing is written down of an inquiry. A row says by itself that its cost is not known and by
 * what name it can be asked for, so after a start those of the last day are looked for again.
 */
enum {
    FIRST_MS = 2000, // after the answer's end, and then twice as long each time:
    TRIES_MAX = 7,   // four minutes in all
    AT_ONCE = 2,
    WAITING_MAX = 256, // what is more is found by the next start
    BACK_MS = 24 * 60 * 60 * 1000,
    CONNECT_MS = 10000,
    TOTAL_MS = 20000,
};

struct inquiry {
    struct list link; // router_inquiries::all
    struct router_inquiries *owner;
    struct router_runtime *runtime; // that it is asked by; NULL: not asked at the moment
    char *call, *reply, *deployment;
    int64_t attempt, due_ms;
    int tries;
    int status;
    http_id http;
    struct buf body;
};

struct router_inquiries {
    struct router *router;
    struct list all;
    size_t count, asked_count; // the latter are asked at the moment
    int64_t read_job;          // 0: none
    loop_id timer;             // of the next one that is due
    loop_id begins;
};

static void ask_due(void *context);

static struct loop *loop_of(const struct router_inquiries *inquiries)
{
    return inquiries->router->env.loop;
}

static void destroy(struct inquiry *inquiry)
{
    struct router_inquiries *owner = inquiry->owner;
    if (inquiry->http)
        http_client_cancel(owner->router->env.http, inquiry->http);
    owner->asked_count -= inquiry->runtime != NULL;
    owner->count--;
    router_runtime_unref(inquiry->runtime);
    list_remove(&inquiry->link);
    buf_finish(&inquiry->body);
    free(inquiry->call);
    free(inquiry->reply);
    free(inquiry->deployment);
    free(inquiry);
}

static void ask_later(struct router_inquiries *inquiries)
{
    int64_t next_ms = INT64_MAX;
    list_for_each(link, &inquiries->all) {
        const struct inquiry *inquiry = list_entry(link, struct inquiry, link);
        if (!inquiry->runtime && inquiry->due_ms < next_ms)
            next_ms = inquiry->due_ms;
    }
    loop_cancel(loop_of(inquiries), inquiries->timer);
    inquiries->timer = 0;
    if (next_ms != INT64_MAX && inquiries->asked_count < AT_ONCE)
        inquiries->timer = loop_timer_at(loop_of(inquiries), next_ms, ask_due, inquiries);
}

static void put_off(struct inquiry *inquiry, const char *why)
{
    struct router_inquiries *owner = inquiry->owner;
    if (inquiry->tries >= TRIES_MAX) {
        LOG_EVENT(LOG_WARNING, "router.uncorrected", inquiry->call,
                  LOG_NUMBER("attempt", inquiry->attempt), LOG_TEXT("why", why));
        destroy(inquiry);
        return;
    }
    owner->asked_count -= inquiry->runtime != NULL;
    router_runtime_unref(STEAL(inquiry->runtime));
    inquiry->due_ms = loop_now(loop_of(owner)) + ((int64_t)FIRST_MS << inquiry->tries);
}

static void on_head(void *context, const struct http_head *head)
{
    ((struct inquiry *)context)->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    return buf_append_span(&((struct inquiry *)context)->body, chunk) ? 0 : -EMSGSIZE;
}

static void on_done(void *context, enum http_failure how, const struct error *err)
{
    struct inquiry *inquiry = context;
    struct router_inquiries *owner = inquiry->owner;
    struct error why = ERROR_INIT;
    int64_t cost_pico;
    inquiry->http = 0;
    int r = how == HTTP_OK ? 0 : error_set(&why, -EIO, "%s", err->text);
    if (r == 0 && inquiry->status != 200)
        r = error_set(&why, -ENOENT, "the provider replied with HTTP %d", inquiry->status);
    if (r == 0)
        r = generation_read_cost(buf_span(&inquiry->body), span_of(inquiry->reply), &cost_pico,
                                 &why);
    if (r == 0)
        r = router_ledger_correct(owner->router->ledger, span_of(inquiry->call), inquiry->attempt,
                                  cost_pico, &why);
    if (r < 0) {
        put_off(inquiry, why.text);
    } else {
        LOG_EVENT(LOG_INFO, "router.corrected", inquiry->call,
                  LOG_NUMBER("attempt", inquiry->attempt), LOG_NUMBER("cost_pico", cost_pico));
        destroy(inquiry);
    }
    ask_later(owner);
}

// By the deployment of that name as it is now: the configuration may have changed since.
static int upstream_of(const struct router_inquiries *inquiries, struct span deployment,
                       const struct upstream **ret_upstream, struct error *err)
{
    struct router *router = inquiries->router;
    struct router_match match;
    if (!router_plan_find_id(router->runtime->plan, deployment, &match))
        return error_set(err, -ENOENT, "there is no longer such a deployment");
    return router_runtime_upstream(router->runtime, router->env.http, match.deployment,
                                   ret_upstream, err);
}

static void ask(struct inquiry *inquiry)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    static const struct http_timeouts timeouts = {.connect = CONNECT_MS, .total = TOTAL_MS};
    const struct upstream *upstream;
    struct error err = ERROR_INIT;
    inquiry->tries++;
    inquiry->status = 0;
    buf_clear(&inquiry->body);
    int r = upstream_of(inquiry->owner, span_of(inquiry->deployment), &upstream, &err);
    if (r == 0)
        r = upstream_ask_cost(upstream, span_of(inquiry->reply), &timeouts, &handler, inquiry,
                              &inquiry->http, &err);
    if (r < 0) {
        put_off(inquiry, err.text);
        return;
    }
    inquiry->runtime = router_runtime_ref(inquiry->owner->router->runtime);
    inquiry->owner->asked_count++;
}

static void ask_due(void *context)
{
    struct router_inquiries *inquiries = context;
    int64_t now_ms = loop_now(loop_of(inquiries));
    inquiries->timer = 0;
    list_for_each(link, &inquiries->all) {
        struct inquiry *inquiry = list_entry(link, struct inquiry, link);
        if (!inquiry->runtime && inquiry->due_ms <= now_ms && inquiries->asked_count < AT_ONCE)
            ask(inquiry);
    }
    ask_later(inquiries);
}

static bool is_known(const struct router_inquiries *inquiries, struct span call, int64_t attempt)
{
    list_for_each(link, &inquiries->all) {
        const struct inquiry *inquiry = list_entry(link, struct inquiry, link);
        if (inquiry->attempt == attempt && span_is(call, inquiry->call))
            return true;
    }
    return false;
}

void router_inquiries_add(struct router_inquiries *inquiries, struct span deployment,
                          struct span call, int64_t attempt, struct span reply)
{
    const struct upstream *upstream;
    if (!reply.len || inquiries->count >= WAITING_MAX || is_known(inquiries, call, attempt) ||
        upstream_of(inquiries, deployment, &upstream, NULL) < 0 || !upstream_tells_cost(upstream))
        return;
    struct inquiry *inquiry = mem_new(struct inquiry);
    inquiry->owner = inquiries;
    inquiry->call = mem_strndup(call.data, call.len);
    inquiry->reply = mem_strndup(reply.data, reply.len);
    inquiry->deployment = mem_strndup(deployment.data, deployment.len);
    inquiry->attempt = attempt;
    inquiry->due_ms = loop_now(loop_of(inquiries)) + FIRST_MS;
    buf_init(&inquiry->body, GENERATION_BODY_MAX);
    list_append(&inquiries->all, &inquiry->link);
    inquiries->count++;
    ask_later(inquiries);
}

static void on_unsure(void *context, int result, const struct error *err,
                      const struct store_attempt *attempts, size_t count)
{
    struct router_inquiries *inquiries = context;
    (void)err; // a disk that fails is told of by the ledger
    inquiries->read_job = 0;
    for (size_t i = 0; result == 0 && i < count; i++)
        router_inquiries_add(inquiries, attempts[i].deployment, attempts[i].call,
                             attempts[i].attempt, attempts[i].reply_id);
}

static void on_begin(void *context)
{
    struct router_inquiries *inquiries = context;
    struct router *router = inquiries->router;
    inquiries->begins = 0;
    int64_t job = store_read_unsure(router->env.store, loop_wall(router->env.loop) - BACK_MS,
                                    on_unsure, inquiries, NULL);
    inquiries->read_job = job > 0 ? job : 0;
}

// Not in the first moment of a start, which belongs to those who wait for it.
void router_inquiries_begin(struct router_inquiries *inquiries)
{
    loop_cancel(loop_of(inquiries), inquiries->begins);
    inquiries->begins = loop_timer_after(loop_of(inquiries), FIRST_MS, on_begin, inquiries);
}

struct router_inquiries *router_inquiries_create(struct router *router)
{
    struct router_inquiries *inquiries = mem_new(struct router_inquiries);
    inquiries->router = router;
    list_init(&inquiries->all);
    return inquiries;
}

void router_inquiries_destroy(struct router_inquiries *inquiries)
{
    if (!inquiries)
        return;
    while (!list_empty(&inquiries->all))
        destroy(list_entry(inquiries->all.next, struct inquiry, link));
    loop_cancel(loop_of(inquiries), inquiries->timer);
    loop_cancel(loop_of(inquiries), inquiries->begins);
    if (inquiries->read_job)
        store_forget(inquiries->router->env.store, inquiries->read_job);
    free(inquiries);
}
