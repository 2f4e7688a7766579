#include "router/route/standing.h"

#include <stdlib.h>

#include "base/mem.h"

/*
 * Behind a wildcard are many models of one provider. What one of them suffers (a limit, overload)
 * says nothing of the others, so it has a circuit of its own, made when it first fails; a refused
 * key, an empty account or a host that cannot be reached is the trouble of all of them.
 *
 * A provider's Retry-After is kept by everybody, whatever the circuit makes of the failure: it may
 * take more than one to open, and one call may be about to try again after so short a time. It is
 * no trouble but a limit with a known end, and so may be waited for. Only an owner who wants no
 * pauses (disable_cooldowns, cooldown_time: 0) has none.
 */
enum { MODELS_MAX = 32 }; // of one wildcard, of whose troubles is known

struct model { // behind a wildcard, that has failed
    uint64_t hash;
    struct router_circuit circuit;
    int64_t closed_until_ms;
};

struct router_standing {
    unsigned references;
    struct router_circuit circuit;
    int64_t closed_until_ms; // its provider said that nothing remains, or when to come again
    struct model *models;
    size_t model_count, model_capacity;
};

struct router_standing *router_standing_create(void)
{
    struct router_standing *standing = mem_new(struct router_standing);
    standing->references = 1;
    return standing;
}

struct router_standing *router_standing_ref(struct router_standing *standing)
{
    standing->references++;
    return standing;
}

void router_standing_unref(struct router_standing *standing)
{
    if (!standing || --standing->references > 0)
        return;
    free(standing->models);
    free(standing);
}

static struct model *find_model(const struct router_standing *standing, uint64_t hash)
{
    for (size_t i = 0; hash && i < standing->model_count; i++)
        if (standing->models[i].hash == hash)
            return &standing->models[i];
    return NULL;
}

// Of too many, the one that failed longest ago is forgotten.
static struct model *note_model(struct router_standing *standing, uint64_t hash)
{
    struct model *found = find_model(standing, hash);
    if (found)
        return found;
    if (standing->model_count < MODELS_MAX) {
        standing->models = mem_grow(standing->models, standing->model_count,
                                    &standing->model_capacity, sizeof *standing->models);
        found = &standing->models[standing->model_count++];
    } else {
        found = standing->models;
        for (size_t i = 1; i < standing->model_count; i++)
            if (standing->models[i].circuit.last_fail_ms < found->circuit.last_fail_ms)
                found = &standing->models[i];
    }
    *found = (struct model){.hash = hash};
    return found;
}

int64_t router_standing_circuit_at(const struct router_standing *standing, uint64_t model,
                                   int64_t now_ms)
{
    const struct model *found = find_model(standing, model);
    int64_t at = router_circuit_next(&standing->circuit, now_ms);
    int64_t of_model = found ? router_circuit_next(&found->circuit, now_ms) : now_ms;
    return at < 0 || of_model < 0 ? -1 : at > of_model ? at : of_model;
}

int64_t router_standing_closed_until(const struct router_standing *standing, uint64_t model)
{
    const struct model *found = find_model(standing, model);
    return found && found->closed_until_ms > standing->closed_until_ms ? found->closed_until_ms
                                                                       : standing->closed_until_ms;
}

bool router_standing_take(struct router_standing *standing, uint64_t model, int64_t now_ms,
                          struct router_standing_permit *ret_permit)
{
    struct router_standing_permit permit = {.model = model};
    struct model *found = find_model(standing, model);
    if (!router_circuit_take(&standing->circuit, now_ms, &permit.circuit))
        return false;
    if (found && !router_circuit_take(&found->circuit, now_ms, &permit.of_model)) {
        router_circuit_cancelled(&standing->circuit, &permit.circuit);
        return false;
    }
    *ret_permit = permit;
    return true;
}

void router_standing_succeeded(struct router_standing *standing,
                               const struct router_standing_permit *permit)
{
    struct model *model = find_model(standing, permit->model);
    router_circuit_succeeded(&standing->circuit, &permit->circuit);
    if (model)
        router_circuit_succeeded(&model->circuit, &permit->of_model);
}

void router_standing_cancelled(struct router_standing *standing,
                               const struct router_standing_permit *permit)
{
    struct model *model = find_model(standing, permit->model);
    router_circuit_cancelled(&standing->circuit, &permit->circuit);
    if (model)
        router_circuit_cancelled(&model->circuit, &permit->of_model);
}

void router_standing_close(struct router_standing *standing,
                           const struct router_standing_permit *permit, int64_t until_ms)
{
    int64_t *until = permit->model ? &note_model(standing, permit->model)->closed_until_ms
                                   : &standing->closed_until_ms;
    if (*until < until_ms)
        *until = until_ms;
}

bool router_standing_failed(struct router_standing *standing,
                            const struct router_circuit_policy *policy,
                            const struct router_standing_permit *permit,
                            const struct router_failure *failure, int64_t now_ms)
{
    // Is it a trouble of this model, or of all that the provider has behind the wildcard?
    bool models_own = permit->model && failure->error != ROUTER_AUTHENTICATION &&
                      failure->error != ROUTER_PAYMENT && failure->error != ROUTER_API_CONNECTION;
    bool may_pause = !policy->disabled && policy->own_cooldown_ms != 0;
    bool counts = router_failure_counts(failure);
    struct router_standing_permit of_all = *permit;
    of_all.model = 0;
    if (failure->retry_after_ms > 0 && counts && may_pause)
        router_standing_close(standing, models_own ? permit : &of_all,
                              now_ms + failure->retry_after_ms);
    struct model *model = models_own && counts ? note_model(standing, permit->model)
                                               : find_model(standing, permit->model);
    if (!models_own) {
        if (model)
            router_circuit_cancelled(&model->circuit, &permit->of_model);
        return router_circuit_failed(&standing->circuit, policy, failure, &permit->circuit, now_ms);
    }
    if (failure->upstream_status) // the provider itself is there
        router_circuit_succeeded(&standing->circuit, &permit->circuit);
    else
        router_circuit_cancelled(&standing->circuit, &permit->circuit);
    return model &&
           router_circuit_failed(&model->circuit, policy, failure, &permit->of_model, now_ms);
}

const struct router_circuit *router_standing_circuit(const struct router_standing *standing)
{
    return &standing->circuit;
}
