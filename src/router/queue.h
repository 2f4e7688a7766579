#pragma once

#include "router/router_internal.h"

/*
 * Private to the router: where calls wait for requests and tokens of their group.
 */

// Of one group; shared by the runtimes that know it.
struct router_group_queue {
    struct list link; // router::group_queues
    char *name;       // the group's
    struct router_bucket *bucket;
    struct router *router;
    loop_id timer;
};

// events->go() follows, now or when it is its turn, or its end.
void router_queue_enter(struct router_call *call);
void router_queue_leave(struct router_call *call); // what it holds there is for others

void router_queue_step(struct router_call *call);                // events->go(), soon
void router_queue_wait(struct router_call *call, int64_t at_ms); // the same, then or when woken
void router_queue_renew(struct router_call *call);               // the time that it has
void router_wake_later(struct router *router);                   // who waits may go now

void router_group_queue_wake(struct router_group_queue *queue); // there may be room
void router_group_queues_configure(struct router *router);      // by the runtime in force
void router_group_queues_destroy(struct router *router);
