#include "router/route/bucket.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "router/route/window.h"

/*
 * Who goes first. Each priority has a patience, and the call goes first that has waited longest in
 * terms of its own: an interactive call of one second is as urgent as a background call of two
 * minutes. So under a load that the limit cannot bear, all wait, in proportion to their patience,
 * and the interactive ones least; and nobody starves, because whoever is passed over grows more
 * urgent without end, and a newcomer is not urgent at all. (An age that is merely added to the time
 * of arrival does worse: once the backlog is older than the age, everybody waits equally long.)
 * Within a priority the first to come goes first, so of each only the head needs a look.
 *
 * Nobody passes the most urgent one: while it waits for room for much, smaller ones behind it wait
 * too. Letting them through would take the room that it needs, again and again.
 *
 * A call larger than the limit goes alone: it is granted when nothing was reserved for 60 s, and
 * what it takes keeps everybody else out until it is forgotten.
 *
 * Behind a bucket may be several, each with a limit of its own, of which a call needs one: that all
 * together have room is not enough. So who waits is asked whether one of them has; its place would
 * be lost if it went to wait there.
 */

struct waiter {
    struct list link; // bucket.queues[], oldest first
    uint64_t id;
    int64_t since_ms;
    struct router_bucket_request request;
};

struct router_bucket {
    struct router_bucket_limits limits;
    struct router_window tokens, requests;
    struct list queues[CHAT_PRIORITIES];
    size_t waiting[CHAT_PRIORITIES];
    uint64_t last_id;
    int64_t now_ms; // as it was told last
};

// In ms: a wait of so long is as urgent as one of the others' figures.
static const int64_t patience[CHAT_PRIORITIES] = {
    [CHAT_INTERACTIVE] = 1000,
    [CHAT_API] = 8000,
    [CHAT_CRON] = 30000,
    [CHAT_BACKGROUND] = 120000,
};

struct router_bucket *router_bucket_create(const struct router_bucket_limits *limits)
{
    struct router_bucket *bucket = mem_new(struct router_bucket);
    bucket->limits = *limits;
    for (size_t i = 0; i < CHAT_PRIORITIES; i++)
        list_init(&bucket->queues[i]);
    return bucket;
}

void router_bucket_destroy(struct router_bucket *bucket)
{
    struct list *link;
    for (size_t i = 0; bucket && i < CHAT_PRIORITIES; i++)
        while ((link = list_shift(&bucket->queues[i])))
            free(list_entry(link, struct waiter, link));
    free(bucket);
}

void router_bucket_set_limits(struct router_bucket *bucket,
                              const struct router_bucket_limits *limits)
{
    bucket->limits = *limits;
}

static int64_t room_at(const struct router_bucket_request *request, int64_t now_ms)
{
    return request->room_at ? request->room_at(request->context, now_ms) : now_ms;
}

// When there is room for it, if nothing is added before.
static int64_t fits_at(struct router_bucket *bucket, const struct router_bucket_request *request,
                       int64_t now_ms)
{
    int64_t tokens = router_window_when(
        &bucket->tokens, router_window_bound(bucket->limits.tokens, request->tokens), now_ms);
    int64_t requests = router_window_when(&bucket->requests,
                                          router_window_bound(bucket->limits.requests, 1), now_ms);
    int64_t room = room_at(request, now_ms), at = tokens > requests ? tokens : requests;
    return room > at ? room : at;
}

static struct router_bucket_reservation grant(struct router_bucket *bucket, int64_t tokens,
                                              int64_t now_ms)
{
    router_window_add(&bucket->tokens, tokens, now_ms);
    router_window_add(&bucket->requests, 1, now_ms);
    return (struct router_bucket_reservation){.at_ms = now_ms, .tokens = tokens, .granted = true};
}

static struct waiter *head_of(const struct router_bucket *bucket, size_t priority)
{
    const struct list *queue = &bucket->queues[priority];
    return list_empty(queue) ? NULL : list_entry(queue->next, struct waiter, link);
}

// Is `a` more urgent than `b`? Of equals the higher priority, then who came first.
static bool is_before(const struct waiter *a, const struct waiter *b, int64_t now_ms)
{
    int64_t of_a = (now_ms - a->since_ms) * patience[b->request.priority];
    int64_t of_b = (now_ms - b->since_ms) * patience[a->request.priority];
    if (of_a != of_b)
        return of_a > of_b;
    return a->request.priority != b->request.priority ? a->request.priority < b->request.priority
                                                      : a->id < b->id;
}

static struct waiter *first(const struct router_bucket *bucket, int64_t now_ms)
{
    struct waiter *best = NULL;
    for (size_t i = 0; i < CHAT_PRIORITIES; i++) {
        struct waiter *head = head_of(bucket, i);
        if (head && (!best || is_before(head, best, now_ms)))
            best = head;
    }
    return best;
}

static void dequeue(struct router_bucket *bucket, struct waiter *waiter)
{
    bucket->waiting[waiter->request.priority]--;
    list_remove(&waiter->link);
    free(waiter);
}

enum router_bucket_outcome router_bucket_enter(struct router_bucket *bucket,
                                               const struct router_bucket_request *request,
                                               int64_t now_ms, uint64_t *ret_id,
                                               struct router_bucket_reservation *ret_reservation)
{
    struct waiter new = {.id = bucket->last_id + 1, .since_ms = now_ms, .request = *request};
    struct waiter *head = first(bucket, now_ms);
    new.request.tokens = request->tokens > 0 ? request->tokens : 0;
    bucket->now_ms = now_ms;
    if (bucket->limits.refuse_oversized && bucket->limits.largest >= 0 &&
        new.request.tokens > bucket->limits.largest)
        return BUCKET_OVERSIZED;
    if (room_at(request, now_ms) < 0)
        return BUCKET_IN_VAIN;
    if ((!head || is_before(&new, head, now_ms)) &&
        fits_at(bucket, &new.request, now_ms) <= now_ms) {
        *ret_reservation = grant(bucket, new.request.tokens, now_ms);
        return BUCKET_GRANTED;
    }
    if (request->deadline_ms <= now_ms)
        return BUCKET_EXPIRED;
    if (bucket->waiting[request->priority] >= ROUTER_QUEUE_MAX)
        return BUCKET_FULL;
    struct waiter *waiter = mem_new(struct waiter);
    *waiter = new;
    list_append(&bucket->queues[request->priority], &waiter->link);
    bucket->waiting[request->priority]++;
    *ret_id = bucket->last_id = waiter->id;
    return BUCKET_QUEUED;
}

static void tell(struct router_bucket *bucket, struct waiter *waiter, int64_t now_ms,
                 enum router_bucket_outcome outcome, struct router_bucket_event *ret_event)
{
    *ret_event = (struct router_bucket_event){.id = waiter->id,
                                              .context = waiter->request.context,
                                              .outcome = outcome,
                                              .waited_ms = now_ms - waiter->since_ms};
    if (outcome == BUCKET_GRANTED)
        ret_event->reservation = grant(bucket, waiter->request.tokens, now_ms);
    dequeue(bucket, waiter);
}

bool router_bucket_next(struct router_bucket *bucket, int64_t now_ms,
                        struct router_bucket_event *ret_event)
{
    bucket->now_ms = now_ms;
    for (size_t i = 0; i < CHAT_PRIORITIES; i++)
        list_for_each(link, &bucket->queues[i]) {
            struct waiter *waiter = list_entry(link, struct waiter, link);
            if (waiter->request.deadline_ms <= now_ms) {
                tell(bucket, waiter, now_ms, BUCKET_EXPIRED, ret_event);
                return true;
            }
        }
    for (size_t i = 0; i < CHAT_PRIORITIES; i++) {
        struct waiter *next = head_of(bucket, i);
        if (next && room_at(&next->request, now_ms) < 0) {
            tell(bucket, next, now_ms, BUCKET_IN_VAIN, ret_event);
            return true;
        }
    }
    struct waiter *head = first(bucket, now_ms);
    if (!head || fits_at(bucket, &head->request, now_ms) > now_ms)
        return false;
    tell(bucket, head, now_ms, BUCKET_GRANTED, ret_event);
    return true;
}

// When `late`, which is behind `head` now, is more urgent; INT64_MAX: never before head is served.
static int64_t passes_at(const struct waiter *late, const struct waiter *head)
{
    int64_t mine = patience[late->request.priority], its = patience[head->request.priority];
    if (mine >= its)
        return INT64_MAX;
    int64_t ahead_ms = late->since_ms - head->since_ms; // of equals the impatient one is first
    return head->since_ms + (ahead_ms * its + its - mine - 1) / (its - mine);
}

int64_t router_bucket_wakeup(struct router_bucket *bucket, int64_t now_ms)
{
    struct waiter *head = first(bucket, now_ms);
    if (!head)
        return -1;
    int64_t at = fits_at(bucket, &head->request, now_ms);
    for (size_t i = 0; i < CHAT_PRIORITIES; i++) {
        struct waiter *other = head_of(bucket, i);
        if (other && other != head && passes_at(other, head) < at) {
            int64_t room = fits_at(bucket, &other->request, now_ms), pass = passes_at(other, head);
            int64_t both = room > pass ? room : pass;
            at = both < at ? both : at;
        }
        list_for_each(link, &bucket->queues[i]) {
            struct waiter *waiter = list_entry(link, struct waiter, link);
            at = waiter->request.deadline_ms < at ? waiter->request.deadline_ms : at;
        }
    }
    return at > now_ms ? at : now_ms;
}

static struct waiter *find(const struct router_bucket *bucket, uint64_t id)
{
    for (size_t i = 0; i < CHAT_PRIORITIES; i++)
        list_for_each(link, &bucket->queues[i])
            if (list_entry(link, struct waiter, link)->id == id)
                return list_entry(link, struct waiter, link);
    return NULL;
}

bool router_bucket_has_waiting(const struct router_bucket *bucket)
{
    return first(bucket, 0) != NULL;
}

bool router_bucket_cancel(struct router_bucket *bucket, uint64_t id)
{
    struct waiter *waiter = find(bucket, id);
    if (waiter)
        dequeue(bucket, waiter);
    return waiter != NULL;
}

size_t router_bucket_position(const struct router_bucket *bucket, uint64_t id)
{
    const struct waiter *mine = find(bucket, id);
    size_t position = mine != NULL;
    for (size_t i = 0; mine && i < CHAT_PRIORITIES; i++)
        list_for_each(link, &bucket->queues[i])
            position += is_before(list_entry(link, struct waiter, link), mine, bucket->now_ms);
    return position;
}

void router_bucket_settle(struct router_bucket *bucket,
                          struct router_bucket_reservation *reservation, int64_t actual,
                          int64_t now_ms)
{
    if (reservation->granted)
        router_window_correct(&bucket->tokens, reservation->tokens, actual, reservation->at_ms,
                              now_ms);
    *reservation = (struct router_bucket_reservation){0};
}

void router_bucket_release(struct router_bucket *bucket,
                           struct router_bucket_reservation *reservation, int64_t now_ms)
{
    if (reservation->granted)
        router_window_give_back(&bucket->requests, 1, reservation->at_ms, now_ms);
    router_bucket_settle(bucket, reservation, 0, now_ms);
}

struct router_bucket_view router_bucket_view(struct router_bucket *bucket, int64_t now_ms)
{
    struct router_bucket_view view = {
        .tokens = router_window_sum(&bucket->tokens, now_ms),
        .requests = router_window_sum(&bucket->requests, now_ms),
    };
    for (size_t i = 0; i < CHAT_PRIORITIES; i++)
        view.waiting[i] = bucket->waiting[i];
    return view;
}
