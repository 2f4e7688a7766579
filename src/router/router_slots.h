#pragma once

#include "router/router_families.h"
#include "router/router_metrics.h"

/*
 * The slots that an event of the router counts in.
 *
 * Counting must cost next to nothing beside a request, and a series is found by a dozen label
 * values. So all slots that an event can touch are kept together for who asked for what and which
 * deployment it went to: one look-up instead of fifteen, and a slot is only asked for once it is
 * used. What differs by failure is looked up each time: failures are rarer and dearer themselves.
 */
struct router_slots;
struct router_bundle;

struct router_slots *router_slots_create(struct metrics *metrics);
void router_slots_destroy(struct router_slots *slots); // accepts NULL

void router_slots_deployments(struct router_slots *slots,
                              const struct router_metrics_deployment *deployments, size_t count);
bool router_slots_has(const struct router_slots *slots, size_t deployment);

// What is known of one event. Its status and class may only be labels of what is not kept.
struct router_event {
    struct router_slots *slots;
    struct router_bundle *bundle; // of router_slots_begin()
    const struct router_caller *caller;
    struct span requested_model, route, fallback_model;
    size_t deployment;
    int status;
    const char *exception_class;
};

// Finds its kept slots; they are valid until the next event begins.
void router_slots_begin(struct router_event *event);

// With kept slots. Values below 0 are not known and change nothing.
void router_slots_add(const struct router_event *event, enum router_family which, int64_t value);
void router_slots_set(const struct router_event *event, enum router_family which, int64_t value);
void router_slots_observe(const struct router_event *event, enum router_family which,
                          int64_t value);
void router_slots_count_total(const struct router_event *event); // FAMILY_PROXY_TOTAL

// Without: looked up each time, and the event need not have begun.
int64_t *router_slots_find(const struct router_event *event, enum router_family which);

// Sets the level of the event's deployment, which must be there. False: it was that already.
bool router_slots_turn(const struct router_event *event, int64_t level);

void router_slots_forget(struct router_slots *slots, enum router_family which); // no kept one

// Those that no deployment, model or caller belongs to.
int64_t *router_slots_series(struct router_slots *slots, enum router_family which,
                             const struct router_labels *labels);
struct metrics_histogram *router_slots_histogram(struct router_slots *slots,
                                                 enum router_family which,
                                                 const struct router_labels *labels);
