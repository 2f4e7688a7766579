#include "router/refusal.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

enum { BUCKETS = 512 }; // a power of two

struct caller {
    struct list in_table;  // of its bucket; while unused, on no list
    struct list in_recent; // refusals.recent, oldest first
    uint64_t hash;
    int64_t last_ms;
    int steps;
};

struct router_refusals {
    struct list table[BUCKETS];
    struct list recent;
    size_t count;
    struct caller callers[ROUTER_REFUSAL_CALLERS_MAX];
};

struct router_refusals *router_refusals_create(void)
{
    struct router_refusals *refusals = mem_new(struct router_refusals);
    list_init(&refusals->recent);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&refusals->table[i]);
    return refusals;
}

void router_refusals_destroy(struct router_refusals *refusals)
{
    free(refusals);
}

static struct list *bucket_of(struct router_refusals *refusals, uint64_t hash)
{
    hash *= UINT64_C(0x9e3779b97f4a7c15); // the low bits of a caller's hash need not be good
    return &refusals->table[hash >> 55];
}

// The caller's entry, moved to the young end; a new one where there is none.
static struct caller *find(struct router_refusals *refusals, uint64_t hash, int64_t now_ms)
{
    struct caller *caller = NULL;
    list_for_each(link, bucket_of(refusals, hash)) {
        struct caller *one = list_entry(link, struct caller, in_table);
        if (one->hash == hash)
            caller = one;
    }
    if (caller) {
        list_remove(&caller->in_recent);
    } else {
        if (refusals->count < ROUTER_REFUSAL_CALLERS_MAX) {
            caller = &refusals->callers[refusals->count++];
        } else {
            caller = list_entry(list_shift(&refusals->recent), struct caller, in_recent);
            list_remove(&caller->in_table);
        }
        *caller = (struct caller){.hash = hash, .last_ms = now_ms};
        list_append(bucket_of(refusals, hash), &caller->in_table);
    }
    list_append(&refusals->recent, &caller->in_recent);
    return caller;
}

// Step 0 is answered at once, step 1 after the first delay, each further one after twice that.
static int64_t delay_of(int step)
{
    int64_t delay = step > 0 ? ROUTER_REFUSAL_FIRST_MS : 0;
    for (int i = 1; i < step && delay < ROUTER_REFUSAL_MAX_MS; i++)
        delay *= 2;
    return delay < ROUTER_REFUSAL_MAX_MS ? delay : ROUTER_REFUSAL_MAX_MS;
}

int64_t router_refusals_note(struct router_refusals *refusals, uint64_t caller, int64_t now_ms)
{
    struct caller *known = find(refusals, caller, now_ms);
    int64_t back = (now_ms - known->last_ms) / ROUTER_REFUSAL_DECAY_MS;
    if (back > 0)
        known->steps = back < known->steps ? known->steps - (int)back : 0;
    int64_t delay = delay_of(known->steps);
    if (delay < ROUTER_REFUSAL_MAX_MS)
        known->steps++;
    known->last_ms = now_ms;
    return delay;
}

size_t router_refusals_count(const struct router_refusals *refusals)
{
    return refusals->count;
}
