#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

/*
 * Memory that is shared out among claims, and the queue of those that do not fit yet: in each round
 * one claim of every flow, so that many of one flow do not hold up another's.
 */
enum memory_claim_state { CLAIM_NONE, CLAIM_WAITING, CLAIM_GRANTED, CLAIM_STUCK };

struct memory_claim {
    struct list link; // memory_budget::waiting
    enum memory_claim_state state;
    uint64_t flow, round;
    int64_t bytes;
};

struct memory_budget {
    int64_t total; // bytes
    int64_t used;
    int64_t stuck;       // bytes of it that do not come back soon
    struct list waiting; // by their rounds
    uint64_t round;      // of the last that was granted
    size_t waiting_count;
};

// What becomes of the first that waits: nothing yet, it fits, or it has to be refused, since it is
// larger than the budget, or too much of that is stuck.
enum memory_verdict { MEMORY_WAIT, MEMORY_FITS, MEMORY_TOO_SMALL, MEMORY_STUCK };

void memory_budget_init(struct memory_budget *budget, int64_t total);
void memory_budget_enqueue(struct memory_budget *budget, struct memory_claim *claim, uint64_t flow,
                           int64_t bytes);
enum memory_verdict memory_budget_judge(const struct memory_budget *budget,
                                        struct memory_claim **ret_first);
// Grants it, or refuses it with a sentence for whoever has called a file tool.
int memory_budget_take(struct memory_budget *budget, struct memory_claim *claim,
                       enum memory_verdict verdict, struct error *err);
void memory_budget_set_stuck(struct memory_budget *budget, struct memory_claim *claim);
// Whatever its state: it waits no more, or its memory is free again.
void memory_budget_release(struct memory_budget *budget, struct memory_claim *claim);
