#include "router/route/circuit.h"

/*
 * What opens a circuit. A failure that a retry cannot help opens it at once: nothing is gained by
 * showing the next hundred requests the same refused key. Others are counted in a row, and more
 * than `allowed_fails` open it; an answer in between says that it works, however often it fails.
 * A figure of allowed_fails_policy for the class is the owner's word and counts for both kinds. A
 * failure that is the request's own fault is no sign at all, neither of health nor of illness.
 *
 * For how long (LiteLLM's order): the deployment's cooldown_time, else what the provider asked for,
 * else the router's. Each probe that fails doubles it, up to ROUTER_COOLDOWN_MAX_MS or the first
 * figure, whichever is more. What the provider asked for was bounded when it was read.
 *
 * Attempts that began before the circuit opened end while it is open. Their permits are of an older
 * generation: an answer does not close it (a stream that was already flowing knows nothing of
 * today), and a failure does not count as one more probe, but may ask for more time.
 */

enum router_circuit_state router_circuit_state(const struct router_circuit *circuit, int64_t now_ms)
{
    if (!circuit->tripped)
        return CIRCUIT_CLOSED;
    return now_ms < circuit->until_ms ? CIRCUIT_OPEN : CIRCUIT_HALF_OPEN;
}

int64_t router_circuit_next(const struct router_circuit *circuit, int64_t now_ms)
{
    enum router_circuit_state state = router_circuit_state(circuit, now_ms);
    if (state == CIRCUIT_OPEN)
        return circuit->until_ms;
    return state == CIRCUIT_HALF_OPEN && circuit->probing ? -1 : now_ms;
}

bool router_circuit_take(struct router_circuit *circuit, int64_t now_ms,
                         struct router_circuit_permit *ret_permit)
{
    enum router_circuit_state state = router_circuit_state(circuit, now_ms);
    if (state == CIRCUIT_OPEN || (state == CIRCUIT_HALF_OPEN && circuit->probing))
        return false;
    if (state == CIRCUIT_HALF_OPEN)
        circuit->probing = true;
    *ret_permit = (struct router_circuit_permit){circuit->generation, circuit->probing};
    return true;
}

void router_circuit_succeeded(struct router_circuit *circuit,
                              const struct router_circuit_permit *permit)
{
    if (permit->generation != circuit->generation || (circuit->tripped && !permit->probe))
        return;
    circuit->tripped = circuit->probing = false;
    circuit->fails = circuit->trips = 0;
}

static int64_t base_cooldown(const struct router_circuit_policy *policy,
                             const struct router_failure *failure)
{
    if (policy->disabled)
        return 0;
    if (policy->own_cooldown_ms >= 0)
        return policy->own_cooldown_ms;
    if (failure->retry_after_ms > 0)
        return failure->retry_after_ms;
    return policy->cooldown_ms;
}

static int64_t doubled(int64_t base_ms, uint32_t times)
{
    int64_t most = base_ms > ROUTER_COOLDOWN_MAX_MS ? base_ms : ROUTER_COOLDOWN_MAX_MS;
    while (times-- > 0 && base_ms < most)
        base_ms = base_ms <= most / 2 ? 2 * base_ms : most;
    return base_ms;
}

static bool is_enough(const struct router_circuit *circuit,
                      const struct router_circuit_policy *policy,
                      const struct router_failure *failure)
{
    enum router_class class = router_failure_policy_class(failure);
    int64_t of_class = class < ROUTER_CLASSES ? policy->fails[class] : -1;
    if (of_class >= 0)
        return circuit->fails > of_class;
    if (!router_failure_retry_helps(failure))
        return true;
    return circuit->fails >
           (policy->allowed_fails >= 0 ? policy->allowed_fails : ROUTER_ALLOWED_FAILS);
}

bool router_circuit_failed(struct router_circuit *circuit,
                           const struct router_circuit_policy *policy,
                           const struct router_failure *failure,
                           const struct router_circuit_permit *permit, int64_t now_ms)
{
    int64_t cooldown_ms = base_cooldown(policy, failure);
    if (!router_failure_counts(failure)) {
        router_circuit_cancelled(circuit, permit);
        return false;
    }
    if (permit->generation != circuit->generation || (circuit->tripped && !permit->probe)) {
        bool asks = policy->own_cooldown_ms < 0 && failure->retry_after_ms > 0;
        if (circuit->tripped && !circuit->probing && asks && cooldown_ms > 0 &&
            circuit->until_ms < now_ms + cooldown_ms)
            circuit->until_ms = now_ms + cooldown_ms;
        return false;
    }
    if (now_ms - circuit->last_fail_ms > ROUTER_FAIL_WINDOW_MS)
        circuit->fails = 0;
    circuit->last_fail_ms = now_ms;
    circuit->fails++;
    if (cooldown_ms <= 0) { // it never opens; a probe of what was open closes it
        circuit->tripped = circuit->probing = false;
        return false;
    }
    bool probe = circuit->tripped && permit->probe; // not one that has answered since
    if (!probe && !is_enough(circuit, policy, failure))
        return false;
    circuit->until_ms = now_ms + doubled(cooldown_ms, circuit->trips);
    circuit->trips += circuit->trips < 64;
    circuit->generation++;
    circuit->tripped = true;
    circuit->probing = false;
    circuit->fails = 0;
    circuit->error = failure->error;
    circuit->status = failure->status;
    return true;
}

void router_circuit_cancelled(struct router_circuit *circuit,
                              const struct router_circuit_permit *permit)
{
    if (permit->probe && permit->generation == circuit->generation)
        circuit->probing = false;
}
