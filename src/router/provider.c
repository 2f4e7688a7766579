#include "router/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "llm/endpoint.h"
#include "llm/offline.h"
#include "llm/wire_format.h"
#include "loop/loop.h"
#include "router/money/notices.h"
#include "router/money/price_notice.h"
#include "router/price_fetch.h"
#include "router/router_internal.h"

// A call's id is its number with one bit below, which says whose: the router's or the offline
// model's.
enum { OFFLINE_BIT = 1, ID_SHIFT = 1 };

enum {
    PRICE_NOTICE_MAX = 1024, // bytes
    WAIT_TOLD_MS = 3000,     // for its turn, before anybody need hear of it
};

struct router_provider {
    struct chat_provider provider;
    struct router *router;
    struct loop *loop;
    struct llm_config config;      // of which the texts are borrowed
    struct chat_provider *offline; // NULL: not asked yet
    struct list calls;             // struct call::link
    uint64_t last_id;
};

struct call {
    struct list link; // router_provider::calls
    struct router_provider *owner;
    uint64_t id;
    router_call_id router_call;
    const struct chat_sink *sink;
    void *context;
    char *asked;              // the model's name
    char *work;               // of chat_origin
    char *paid, *sentence;    // router_price_notice_write(); NULL: nobody stands in for anybody
    struct wire_reply *reply; // NULL: not begun
    loop_id ending;           // after the reply could not be read
    size_t place;             // in the queue
    loop_id waiting;
};

static void call_destroy(struct call *call)
{
    router_call_cancel(call->owner->router, call->router_call);
    loop_cancel(call->owner->loop, call->ending);
    loop_cancel(call->owner->loop, call->waiting);
    list_remove(&call->link);
    wire_reply_destroy(call->reply);
    free(call->asked);
    free(call->work);
    free(call->paid);
    free(call->sentence);
    free(call);
}

// The call is gone before its owner hears of it, so the owner may do anything.
static void end(struct call *call, struct chat_failure failure)
{
    const struct chat_sink *sink = call->sink;
    void *context = call->context;
    if (failure.kind == CHAT_RATE_LIMITED && failure.retry_after_ms >= 0) {
        size_t used = strlen(failure.text);
        snprintf(failure.text + used, sizeof failure.text - used, " (try again in %lld s)",
                 (long long)(failure.retry_after_ms + 999) / 1000);
    }
    call_destroy(call);
    sink->on_failure(context, &failure);
}

static void on_unreadable(void *context)
{
    struct call *call = context;
    call->ending = 0;
    end(call, call->reply->failure);
}

struct answered {
    struct router *router;
    const struct router_answer *answer;
};

static struct router_price price_of(void *context, const struct router_deployment *d)
{
    const struct answered *answered = context;
    // A wildcard of another provider would have been asked for the same.
    bool is_same = strcmp(d->model, answered->answer->deployment->model) == 0;
    return router_price_of(answered->router, d,
                           is_same ? answered->answer->model : span_of(d->model), NULL);
}

// Where there is no list, nobody stands in for anybody.
static void keep_price_notice(struct call *call, const struct router_answer *answer)
{
    BUF_AUTO paid = BUF_INIT(PRICE_NOTICE_MAX);
    BUF_AUTO sentence = BUF_INIT(PRICE_NOTICE_MAX);
    struct answered answered = {call->owner->router, answer};
    const struct router_price_notice notice = {
        answer->plan,   call->asked, answer->asked, answer->deployment,
        answer->failed, price_of,    &answered,
    };
    if (!answer->plan->listed)
        return;
    router_price_notice_write(&notice, &paid, &sentence);
    call->paid = buf_take_text(&paid);
    call->sentence = buf_take_text(&sentence);
}

static void on_begin(void *context, const struct router_answer *answer)
{
    struct call *call = context;
    keep_price_notice(call, answer);
    call->reply = wire_reply_create(&wire_openai_chat, span_of(answer->content_type), call->sink,
                                    call->context);
}

static bool on_pieces(void *context, const struct pieces *pieces)
{
    struct call *call = context;
    for (size_t i = 0; i < pieces->count && !call->reply->failed; i++)
        call->reply->format->reply_feed(call->reply, pieces->spans[i]);
    if (call->reply->failed && !call->ending)
        call->ending = loop_defer(call->owner->loop, on_unreadable, call);
    return false;
}

static void on_waiting(void *context)
{
    struct call *call = context;
    call->waiting = 0;
    if (call->sink->on_wait)
        call->sink->on_wait(call->context, call->place);
}

static void on_wait(void *context, size_t place)
{
    struct call *call = context;
    loop_cancel(call->owner->loop, call->waiting);
    call->place = place;
    call->waiting = place ? loop_timer_after(call->owner->loop, WAIT_TOLD_MS, on_waiting, call) : 0;
}

static void on_end(void *context, const struct router_result *result)
{
    struct call *call = context;
    struct chat_reply reply;
    call->router_call = 0;
    if (call->ending)
        return; // it could not be read, and that is on its way
    if (result->failure) {
        const struct router_failure *failure = result->failure;
        struct chat_failure told = {failure->kind, failure->upstream_status,
                                    failure->retry_after_ms, ""};
        snprintf(told.text, sizeof told.text, "%s", failure->text);
        end(call, told);
        return;
    }
    if (call->reply->format->reply_end(call->reply, &reply) < 0) {
        end(call, call->reply->failure);
        return;
    }
    const struct chat_sink *sink = call->sink;
    void *sink_context = call->context;
    reply.usage.cost_pico = result->cost_pico; // what the ledger has, be it by configured prices
    if (call->sentence && router_notices_is_news(call->owner->router->notices, call->asked,
                                                 call->paid, span_of(call->work)))
        reply.notice = STEAL(call->sentence);
    call_destroy(call);
    sink->on_reply(sink_context, &reply);
    chat_reply_finish(&reply);
}

static int start_offline(struct router_provider *owner, const struct chat_request *request,
                         const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                         struct error *err)
{
    int r = owner->offline ? 0 : offline_provider_create(owner->loop, &owner->offline);
    if (r == 0)
        r = chat_provider_start(owner->offline, request, sink, context, ret_id, err);
    if (r == 0)
        *ret_id = *ret_id << ID_SHIFT | OFFLINE_BIT;
    return r;
}

// Sound has prices of its own, of which no budget knows.
// Of the group, what each of its deployments takes.
static unsigned media_of_model(const struct router_plan *plan, struct span model)
{
    struct router_match match;
    if (!router_plan_find_own(plan, model, &match))
        return 0;
    if (match.deployment != ROUTER_NONE)
        return plan->deployments[match.deployment].media;
    const struct router_group *group = &plan->groups[match.group];
    unsigned all = group->count ? ~0u : 0;
    for (size_t i = 0; i < group->count; i++)
        all &= plan->deployments[group->members[i]].media;
    return all;
}

static unsigned media(const struct chat_provider *provider, const char *model)
{
    const struct router_plan *plan =
        router_plan(CONTAINER_OF(provider, struct router_provider, provider)->router);
    unsigned any = 0;
    if (model)
        return media_of_model(plan, span_of(model));
    for (size_t i = 0; i < plan->deployment_count; i++)
        any |= plan->deployments[i].media;
    return any & ~(plan->budget_count ? CHAT_SOUND : 0u);
}

// Does one deployment take all of it?
static bool is_taken(const struct router_plan *plan, unsigned media)
{
    for (size_t i = 0; i < plan->deployment_count; i++)
        if ((media & ~plan->deployments[i].media) == 0)
            return true;
    return false;
}

// Of those that are sent, their bytes, and their kinds.
static size_t measure(const struct chat_request *request, unsigned media, unsigned *ret_kinds)
{
    size_t bytes = 0;
    *ret_kinds = 0;
    for (size_t i = 0; i < request->message_count; i++)
        for (size_t j = 0; j < request->messages[i].parts.count; j++) {
            const struct chat_part *part = &request->messages[i].parts.items[j];
            if (!part->data || !(chat_part_media(part) & media))
                continue;
            bytes += strlen(part->data);
            *ret_kinds |= chat_part_media(part);
        }
    return bytes;
}

static int write_bodies(struct router_provider *owner, struct chat_request *request,
                        struct buf *body, struct buf *plain, struct router_request *asked,
                        struct error *err)
{
    unsigned sure = request->media_sure, kinds;
    measure(request, request->media | sure, &kinds);
    if (!is_taken(router_plan(owner->router), kinds & ~sure)) // images are more than sound
        request->media &= ~(unsigned)CHAT_SOUND;
    asked->media_bytes = measure(request, request->media | sure, &kinds);
    asked->media = kinds & ~sure;
    int r = wire_openai_chat.write_request(request, body, err);
    if (r < 0 || !asked->media)
        return r;
    request->media = 0;
    asked->plain = plain;
    asked->plain_media_bytes = measure(request, sure, &kinds);
    return wire_openai_chat.write_request(request, plain, err);
}

static int start_call(struct router_provider *owner, struct chat_request *request,
                      const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                      struct error *err)
{
    static const struct router_sink own_sink = {on_begin, on_pieces, on_end, on_wait};
    BUF_AUTO body = BUF_INIT(WIRE_REQUEST_MAX);
    BUF_AUTO plain = BUF_INIT(WIRE_REQUEST_MAX);
    struct router_request asked = {
        .operation = UPSTREAM_CHAT,
        .body = &body,
        .origin =
            {
                .slot = span_of(request->origin.slot),
                .session = span_of(request->origin.session),
                .job = span_of(request->origin.job),
                .priority = request->origin.priority,
            },
        .route = "/v1/chat/completions",
        .own = true,
    };
    int r = write_bodies(owner, request, &body, &plain, &asked, err);
    if (r < 0)
        return r;
    struct call *call = mem_new(struct call);
    r = router_call_start(owner->router, &asked, &own_sink, call, &call->router_call, err);
    if (r < 0) {
        free(call);
        return r;
    }
    call->owner = owner;
    call->asked = mem_strdup(request->model);
    call->work = mem_strdup(request->origin.work ? request->origin.work : "");
    call->id = ++owner->last_id;
    call->sink = sink;
    call->context = context;
    list_append(&owner->calls, &call->link);
    *ret_id = call->id << ID_SHIFT;
    return 0;
}

// Which of the two. What is wrong with a name is said better here than by a call that is refused.
static int is_offline(const struct router_provider *owner, const char *model, bool *ret_offline,
                      struct error *err)
{
    const struct router_plan *plan = router_plan(owner->router);
    struct router_match match;
    struct endpoint endpoint;
    if (plan->listed && model && router_plan_find(plan, span_of(model), &match)) {
        const struct router_group *group = &plan->groups[match.group];
        const struct router_deployment *first = &plan->deployments[group->members[0]];
        if (!group->usable)
            return error_set(err, -ENOKEY, "%s", first->trouble);
        *ret_offline = !first->format;
        return 0;
    }
    int r = endpoint_choose_model(&owner->config, model, &endpoint, err);
    if (r == 0)
        *ret_offline = !endpoint.format;
    return r;
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    struct router_provider *owner = CONTAINER_OF(provider, struct router_provider, provider);
    struct chat_request named = *request;
    bool offline = false;
    if (!named.model)
        named.model = router_plan_slot(router_plan(owner->router), span_of(request->origin.slot));
    int r = is_offline(owner, named.model, &offline, err);
    if (r < 0)
        return r;
    return offline ? start_offline(owner, &named, sink, context, ret_id, err)
                   : start_call(owner, &named, sink, context, ret_id, err);
}

// The least of those that may be asked.
static int64_t window(const struct chat_provider *provider, const char *model, const char *slot)
{
    const struct router_provider *owner = CONTAINER_OF(provider, struct router_provider, provider);
    const struct router_plan *plan = router_plan(owner->router);
    const char *name = model ? model : router_plan_slot(plan, span_of(slot));
    struct router_match match;
    int64_t least = 0;
    if (!name || !router_plan_find_own(plan, span_of(name), &match))
        return 0;
    const struct router_group *group = &plan->groups[match.group];
    for (size_t i = 0; i < group->count; i++) {
        int64_t most = plan->deployments[group->members[i]].max_input_tokens;
        if (most > 0 && (least == 0 || most < least))
            least = most;
    }
    return least;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct router_provider *owner = CONTAINER_OF(provider, struct router_provider, provider);
    if (id & OFFLINE_BIT) {
        if (owner->offline)
            chat_provider_cancel(owner->offline, id >> ID_SHIFT);
        return;
    }
    list_for_each(link, &owner->calls) {
        struct call *call = list_entry(link, struct call, link);
        if (call->id == id >> ID_SHIFT) {
            call_destroy(call);
            return;
        }
    }
}

static void end_work(struct chat_provider *provider, const char *work, bool told)
{
    struct router_provider *owner = CONTAINER_OF(provider, struct router_provider, provider);
    router_notices_end(owner->router->notices, work, told);
}

static void destroy(struct chat_provider *provider)
{
    struct router_provider *owner = CONTAINER_OF(provider, struct router_provider, provider);
    while (!list_empty(&owner->calls))
        call_destroy(list_entry(owner->calls.next, struct call, link));
    chat_provider_destroy(owner->offline);
    free(owner);
}

void router_provider_create(struct router *router, const struct llm_config *config,
                            struct loop *loop, struct chat_provider **ret_provider)
{
    static const struct chat_provider_ops ops = {"router", start, cancel, end_work,
                                                 destroy,  media, window};
    struct router_provider *owner = mem_new(struct router_provider);
    owner->provider.ops = &ops;
    owner->router = router;
    owner->loop = loop;
    owner->config = *config;
    list_init(&owner->calls);
    *ret_provider = &owner->provider;
}
