#pragma once

#include "router/router_internal.h"

/*
 * Private to the router: where calls wait for requests and tokens of their group.
 */

// Of one group; shared by the courses that know it.
struct router_lane {
    struct list link; // router::lanes
    char *name;       // the group's
    struct router_bucket *bucket;
    struct router *router;
    loop_id timer;
};

// router_call_go() follows, now or when it is its turn, or its end.
void router_queue_enter(struct router_call *call);
void router_queue_leave(struct router_call *call); // what it holds there is for others

void router_lane_wake(struct router_lane *lane); // there may be room
void router_lanes_wake(struct router *router);
void router_lanes_configure(struct router *router); // by the course in force
void router_lanes_destroy(struct router *router);
