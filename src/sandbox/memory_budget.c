#include "sandbox/memory_budget.h"

#include <errno.h>

void memory_budget_init(struct memory_budget *budget, int64_t total)
{
    *budget = (struct memory_budget){.total = total};
    list_init(&budget->waiting);
}

void memory_budget_enqueue(struct memory_budget *budget, struct memory_claim *claim, uint64_t flow,
                           int64_t bytes)
{
    *claim = (struct memory_claim){
        .state = CLAIM_WAITING, .flow = flow, .round = budget->round, .bytes = bytes};
    list_for_each(link, &budget->waiting) {
        const struct memory_claim *other = list_entry(link, struct memory_claim, link);
        if (other->flow == flow)
            claim->round = other->round + 1;
    }
    struct list *next = budget->waiting.next;
    while (next != &budget->waiting &&
           list_entry(next, struct memory_claim, link)->round <= claim->round)
        next = next->next;
    list_append(next, &claim->link); // before it
    budget->waiting_count++;
}

enum memory_verdict memory_budget_judge(const struct memory_budget *budget,
                                        struct memory_claim **ret_first)
{
    if (list_empty(&budget->waiting))
        return MEMORY_WAIT;
    struct memory_claim *first = list_entry(budget->waiting.next, struct memory_claim, link);
    int64_t room = budget->total - first->bytes;
    if (room >= 0 && budget->used > room && budget->stuck <= room)
        return MEMORY_WAIT; // until one that was granted ends
    *ret_first = first;
    if (room < 0)
        return MEMORY_TOO_SMALL;
    return budget->used <= room ? MEMORY_FITS : MEMORY_STUCK;
}

static void leave_queue(struct memory_budget *budget, struct memory_claim *claim)
{
    list_remove(&claim->link);
    budget->waiting_count--;
}

int memory_budget_take(struct memory_budget *budget, struct memory_claim *claim,
                       enum memory_verdict verdict, struct error *err)
{
    long long total = budget->total >> 20;
    if (verdict == MEMORY_TOO_SMALL)
        return error_set(err, -ENOMEM,
                         "it needs %lld MiB of memory, and sandbox.memory is %lld MiB; raise that "
                         "setting, or write the file in smaller pieces",
                         (long long)(claim->bytes >> 20), total);
    if (verdict != MEMORY_FITS)
        return error_set(err, -ENOMEM,
                         "%lld of the %lld MiB of sandbox.memory are held by file tools that were "
                         "stopped and do not end, as when a disk does not answer; try again later",
                         (long long)(budget->stuck >> 20), total);
    leave_queue(budget, claim);
    claim->state = CLAIM_GRANTED;
    budget->round = claim->round;
    budget->used += claim->bytes;
    return 0;
}

void memory_budget_set_stuck(struct memory_budget *budget, struct memory_claim *claim)
{
    if (claim->state != CLAIM_GRANTED)
        return;
    claim->state = CLAIM_STUCK;
    budget->stuck += claim->bytes;
}

void memory_budget_release(struct memory_budget *budget, struct memory_claim *claim)
{
    if (claim->state == CLAIM_WAITING)
        leave_queue(budget, claim);
    if (claim->state == CLAIM_GRANTED || claim->state == CLAIM_STUCK)
        budget->used -= claim->bytes;
    if (claim->state == CLAIM_STUCK)
        budget->stuck -= claim->bytes;
    claim->state = CLAIM_NONE;
}
