#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/zone.h"
#include "router/plan/deployment.h"
#include "router/plan/options.h"
#include "router/plan/policy.h"
#include "router/wire/unbounded_cost.h"

/*
 * What the router runs by, made once from the configuration and never changed: a reload makes
 * another one. It owns all its memory, so calls in flight keep theirs by a reference. Texts are
 * never NULL but where it is said, numbers that are not said are -1.
 */
enum {
    ROUTER_NAME_MAX = 200,     // bytes of a group's name
    ROUTER_TARGETS_MAX = 32,   // entries of one fallback list
    ROUTER_CHAINS_MAX = 400,   // fallback lists of one kind
    ROUTER_ALIASES_MAX = 400,  //
    ROUTER_SLOTS_MAX = 64,     //
    ROUTER_BUDGETS_MAX = 64,   //
    ROUTER_RPM_MAX = 10000000, // requests per minute; tokens: a thousand times that
};

struct router_plan {
    const struct router_deployment *deployments;
    size_t deployment_count;
    const struct router_group *groups; // in the order in which they first stand in the file
    size_t group_count;
    const struct router_chain *chains[ROUTER_CHAIN_KINDS]; // see router_plan_chain()
    size_t chain_counts[ROUTER_CHAIN_KINDS];
    bool chains_set[ROUTER_CHAIN_KINDS]; // the setting is there, be it empty
    const struct router_alias *aliases;
    size_t alias_count;
    const struct router_slot *slots;
    size_t slot_count;
    const struct router_budget_rule *budgets; // litellm_settings.max_budget is one of them
    size_t budget_count;

    enum router_strategy strategy;
    int64_t num_retries, max_fallbacks;
    int64_t retries[ROUTER_CLASSES]; // retry_policy; -1: num_retries
    int64_t allowed_fails;           // -1: not said
    int64_t fails[ROUTER_CLASSES];   // allowed_fails_policy; -1: allowed_fails
    int64_t retry_after_ms;          // at least so long before a retry
    int64_t cooldown_ms;             // 0: none
    bool disable_cooldowns;
    bool pre_call_checks;                  // leave out a context that is too small
    bool always_include_usage;             // general_settings.always_include_stream_usage
    int64_t timeout_ms, stream_timeout_ms; // the second -1: not said
    int64_t max_parallel;                  // global_max_parallel_requests; -1: none

    const char *master_key; // NULL: none
    const char *key_header; // litellm_key_header_name; NULL: the usual ones
    int metrics_key;        // require_auth_for_metrics_endpoint: 0, 1, -1 not said
    const char *timezone;   // "UTC" where it is not said
    struct zone zone;       // that it names

    bool refuse_unpriced;       // under a money cap; else it passes uncounted
    struct request_terms terms; // what of a request costs tokens alone, where a cap must hold
    bool refuse_oversized;      // larger than the bucket; else it runs alone on a full one
    int64_t max_body, buffers;  // bytes
    int64_t connect_timeout_ms, idle_timeout_ms; // of model.connect_timeout, model.idle_timeout
    int64_t queue_timeout_ms, first_content_timeout_ms;
    int64_t keep_alive_ms; // between signs of life on a silent stream; 0: none
    int64_t ledger_days;
    bool listed;       // made of a model_list; false: one wildcard of what the settings come to
    const char *notes; // lines for hermes config check, as config_render_findings() writes them
};

// Where the settings are, borrowed for the call of router_plan_create().
struct router_plan_source {
    const char *path; // of config.yaml, for the sentences; NULL: none
    const struct llm_config *llm;
    const struct router_config *router;
};

/*
 * 0, or -EINVAL: then `err` has the first mistake with its place and how many more there are, and
 * `ret_errors` (or NULL), one line for each, as config_render_findings() writes them. A deployment
 * that cannot be asked (no key, a protocol that is not spoken) is no mistake: see its `trouble`.
 */
int router_plan_create(const struct router_plan_source *source, struct router_plan **ret_plan,
                       struct buf *ret_errors, struct error *err);

// A plan has one reference when it is created. Not for several threads.
struct router_plan *router_plan_ref(const struct router_plan *plan);
void router_plan_unref(struct router_plan *plan); // wipes the keys with the last; accepts NULL

// A name that a client asked for, and what it means. All borrowed from the plan and `asked`.
struct router_match {
    size_t group;
    size_t deployment; // not ROUTER_NONE: the name is a deployment's id
    struct span name;  // behind aliases
    struct span star;  // of a wildcard: what its "*" stood for; else absent
    bool alias;
};

/*
 * An alias, else the group of exactly that name, else the wildcard with the longest literal part.
 * False: it does not exist. A deployment's id is no name here; see router_plan_find_id().
 */
bool router_plan_find(const struct router_plan *plan, struct span asked,
                      struct router_match *ret_match);
// The same for the agent, for which there are groups that no client can ask (`internal`).
bool router_plan_find_own(const struct router_plan *plan, struct span asked,
                          struct router_match *ret_match);
bool router_plan_find_id(const struct router_plan *plan, struct span id,
                         struct router_match *ret_match);

// A target of a chain as if a client had asked for it.
struct router_match router_target_match(const struct router_plan *plan,
                                        const struct router_target *target);

// The upstream's name for the model: the deployment's own, or one made in `scratch` where a
// wildcard's "*" goes into it.
struct span router_plan_model(const struct router_deployment *deployment,
                              const struct router_match *match, struct buf *scratch);

/*
 * What is asked after a group (`name` of its match) failed: its own list; else that of the name
 * without its provider ("openai/x": "x"); else that of the group which an alias or a wildcard
 * means; else default_fallbacks. Where a setting for the context window or for content policy is
 * there, it alone counts for these (LiteLLM). NULL: nothing.
 */
const struct router_chain *router_plan_chain(const struct router_plan *plan, struct span name,
                                             enum router_chain_kind kind);

// The model that a slot has of its own, for router_plan_find_own(); NULL: none.
const char *router_plan_own_slot(const struct router_plan *plan, struct span slot);

// Work that has a name here, or that the configuration names: a model's, or a budget's.
bool router_plan_knows_slot(const struct router_plan *plan, struct span slot);

// The model of a slot; where it has none, that of "main", which is source->llm->model, or, as long
// as nothing is said there, what the slots say. NULL: none at all.
const char *router_plan_slot(const struct router_plan *plan, struct span slot);

const char *router_scope_name(enum router_scope scope);
