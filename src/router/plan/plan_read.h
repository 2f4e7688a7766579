#pragma once

#include "base/mem.h"
#include "config/option.h"
#include "router/plan/plan.h"

/*
 * How a plan comes to be: what makes it, what owns it, and how settings are read on the way. Every
 * mistake is noted with its place, and reading goes on, so that a person corrects a file once.
 * Private to the plan_*.c files.
 */
struct plan_memory { // a plan and what it owns
    struct router_plan plan;
    unsigned references;
    void **blocks; // owned
    size_t block_count, block_capacity;
    const char *model; // model.default; NULL
};

static inline struct plan_memory *plan_memory_of(const struct router_plan *plan)
{
    return CONTAINER_OF((struct router_plan *)plan, struct plan_memory, plan);
}

// A part of a tree in which settings are looked up by their names.
struct plan_section {
    struct plan_maker *maker;
    const char *shown; // before the names, in sentences: "router_settings"
    struct option_map pairs;
    size_t skip; // bytes of the pairs' names
};

struct plan_maker {
    struct plan_memory *memory;
    struct router_plan *plan; // of `memory`
    const struct router_plan_source *source;
    struct plan_section router, litellm, general; // LiteLLM's
    // What `plan` shows as const.
    struct router_deployment *deployments;
    struct router_group *groups;
    struct router_slot *slots;
    int64_t default_parallel; // of deployments that do not say; -1: no limit
    struct buf *lines;        // of all mistakes, or NULL
    struct error first;       // of them
    size_t errors;
};

// Owned by the plan.
void *plan_own(struct plan_maker *maker, void *block);
void *plan_alloc(struct plan_maker *maker, size_t size); // zeroed
#define plan_printf(maker, ...) ((const char *)plan_own((maker), mem_printf(__VA_ARGS__)))
const char *plan_text(struct plan_maker *maker, struct span text);
const char *plan_copy(struct plan_maker *maker, const char *text); // NULL stays NULL

// A mistake; line 0: no place in the file.
void plan_error(struct plan_maker *maker, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Worth knowing, and no mistake: a line of plan->notes.
void plan_note(struct plan_maker *maker, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// NULL: it is not there.
const struct option_pair *plan_find_pair(const struct plan_section *section, const char *name);

void plan_pair_error(const struct plan_section *section, const struct option_pair *pair,
                     const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Each leaves *ret_value as it is where the setting is not there, or after a mistake was noted.
 * Bounds are in the field's unit. Fractions are 10^-digits.
 */
void plan_read_number(const struct plan_section *section, const char *name, unsigned digits,
                      int64_t min, int64_t max, int64_t *ret_value);
void plan_read_bool(const struct plan_section *section, const char *name, bool *ret_value);
// "30s", "5m", "12h", "7d", "2w", "1mo" (30 days), bare seconds; in ms.
void plan_read_time(const struct plan_section *section, const char *name, int64_t min, int64_t max,
                    int64_t *ret_value);
// Borrowed. A variable in it must be set.
void plan_read_text(const struct plan_section *section, const char *name, const char **ret_value);

// The parts, in this order.
void plan_read_settings(struct plan_maker *maker);
void plan_read_deployments(struct plan_maker *maker);
void plan_read_aliases(struct plan_maker *maker);
void plan_add_own(struct plan_maker *maker);
void plan_check_aliases(struct plan_maker *maker);
void plan_read_chains(struct plan_maker *maker);
void plan_read_slots(struct plan_maker *maker);
void plan_read_budgets(struct plan_maker *maker);

// Of plan_read_deployments(): what an entry says beside its address, and the lines of its headers.
void plan_read_entry(const struct plan_section *section, struct router_deployment *d);
void plan_read_headers(const struct plan_section *section, const struct endpoint *endpoint,
                       struct router_deployment *d);
bool plan_is_header_text(const char *text); // can it stand in a header?

// "there is no model X", with the nearest or some of those that there are.
void plan_no_model(const struct plan_section *section, const struct option_pair *pair,
                   struct span name);
