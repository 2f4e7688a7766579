#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llm/origin.h"

/*
 * Tokens and requests per minute that several share. A call says what it will use at most, waits
 * for its turn if there is no room, and says at the end what it used. In any 60 s what is reserved
 * (or, once it has ended, used) is at most the limit. See bucket.c for who goes first.
 */
enum { ROUTER_QUEUE_MAX = 512 }; // waiting calls of one priority

struct router_bucket_limits {
    int64_t tokens, requests; // in any 60 s; -1: no limit
    bool refuse_oversized;    // a call larger than `largest`; else it runs alone on a full bucket
    int64_t largest; // tokens that one of those behind it lets through in 60 s; -1: no limit
};

struct router_bucket;

struct router_bucket *router_bucket_create(const struct router_bucket_limits *limits);
void router_bucket_destroy(struct router_bucket *bucket); // accepts NULL; who waits is forgotten
// After a reload. Calls go on waiting; one that is larger than the new limit is let go alone.
void router_bucket_set_limits(struct router_bucket *bucket,
                              const struct router_bucket_limits *limits);

struct router_bucket_request {
    enum chat_priority priority;
    int64_t tokens;      // at most; below 0 counts as 0
    int64_t deadline_ms; // instant after which it does not want to wait any more
    void *context;       // handed back
    // When one of those behind the bucket has room for it; -1: there is nothing to wait for. NULL:
    // at once.
    int64_t (*room_at)(void *context, int64_t now_ms);
};

enum router_bucket_outcome {
    BUCKET_GRANTED,
    BUCKET_QUEUED,    // router_bucket_next() will tell
    BUCKET_EXPIRED,   // its deadline passed, or has passed already
    BUCKET_OVERSIZED, // larger than the limit, and that is refused
    BUCKET_FULL,      // too many wait
    BUCKET_IN_VAIN,   // room_at() says so; nothing is held
};

// What was granted; the caller keeps it until it settles. Zeroed: nothing, settling it is fine.
struct router_bucket_reservation {
    int64_t at_ms;
    int64_t tokens;
    bool granted;
};

// `ret_id` (never 0) is written when it is queued, `ret_reservation` when it is granted.
enum router_bucket_outcome router_bucket_enter(struct router_bucket *bucket,
                                               const struct router_bucket_request *request,
                                               int64_t now_ms, uint64_t *ret_id,
                                               struct router_bucket_reservation *ret_reservation);

struct router_bucket_event {
    uint64_t id;
    void *context;
    enum router_bucket_outcome outcome; // BUCKET_GRANTED, _EXPIRED or _IN_VAIN
    struct router_bucket_reservation reservation;
    int64_t waited_ms;
};

// The next of those that wait whose waiting is over; false: none. Call it until it says so, when
// router_bucket_wakeup() comes and after a settlement.
bool router_bucket_next(struct router_bucket *bucket, int64_t now_ms,
                        struct router_bucket_event *ret_event);

// When router_bucket_next() will have something, if nothing is settled before; -1: nobody waits.
int64_t router_bucket_wakeup(struct router_bucket *bucket, int64_t now_ms);

bool router_bucket_has_waiting(const struct router_bucket *bucket);
bool router_bucket_cancel(struct router_bucket *bucket, uint64_t id); // false: it does not wait
// How many went before it when the bucket was asked last, and itself: 1 is next, 0 does not wait.
size_t router_bucket_position(const struct router_bucket *bucket, uint64_t id);

// What it really used: less makes room at once, more counts from now on. -1: not known, stays.
// Empties the reservation.
void router_bucket_settle(struct router_bucket *bucket,
                          struct router_bucket_reservation *reservation, int64_t actual,
                          int64_t now_ms);
// It never went out: neither tokens nor a request. Empties the reservation.
void router_bucket_release(struct router_bucket *bucket,
                           struct router_bucket_reservation *reservation, int64_t now_ms);

struct router_bucket_view {
    size_t waiting[CHAT_PRIORITIES];
    int64_t tokens, requests; // of the last 60 s
};
struct router_bucket_view router_bucket_view(struct router_bucket *bucket, int64_t now_ms);
