#pragma once

#include "router/observe/families.h"
#include "router/observe/metrics.h"

/*
 * The series that an event of the router counts in.
 *
 * Counting must cost next to nothing beside a request, and a series is found by a dozen label
 * values. So all series that an event can touch are kept together, for who asked for what, which
 * deployment it went to and how it ended: one look-up instead of fifteen, and a series is only
 * asked for once it is used.
 */
struct series_cache;
struct router_bundle;

struct series_cache *series_cache_create(struct metrics_family *const families[]); // borrowed
void series_cache_destroy(struct series_cache *cache);                             // accepts NULL

void series_cache_deployments(struct series_cache *cache,
                              const struct router_metrics_deployment *deployments, size_t count);
bool series_cache_has(const struct series_cache *cache, size_t deployment);

// What is known of one event.
struct router_event {
    struct series_cache *cache;
    struct router_bundle *bundle; // of series_cache_begin()
    const struct router_caller *caller;
    struct span requested_model, route, fallback_model;
    size_t deployment;
    int status;
    const char *exception_class;
};

// Finds its kept cache; they are valid until the next event begins.
void series_cache_begin(struct router_event *event);

// Values below 0 are not known and change nothing.
void series_cache_add(const struct router_event *event, enum router_family which, int64_t value);
void series_cache_set(const struct router_event *event, enum router_family which, int64_t value);
void series_cache_observe(const struct router_event *event, enum router_family which,
                          int64_t value);

// Sets the level of the deployment of an event that has begun. False: it was that already.
bool series_cache_turn(const struct router_event *event, int64_t level);
