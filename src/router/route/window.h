#pragma once

#include <stdint.h>

/*
 * How much in the last 60 s, at any instant: a sliding log of seconds. What was added
 * is counted until the end of its second and 60 s more, so never too short, at most 1 s too long,
 * in 0.5 KB however many there are. A clock that stands or steps back forgets nothing.
 */
enum {
    ROUTER_WINDOW_SECOND_MS = 1000,
    ROUTER_WINDOW_SECONDS = 61, // those of 60 s and the one that has begun
};

struct router_window {
    int64_t newest; // number of the youngest second
    int64_t sum;
    int64_t seconds[ROUTER_WINDOW_SECONDS];
};

int64_t router_window_sum(struct router_window *window, int64_t now_ms);
void router_window_add(struct router_window *window, int64_t amount, int64_t now_ms);

// Takes back what was added at `at_ms`; what is forgotten by now stays forgotten.
void router_window_give_back(struct router_window *window, int64_t amount, int64_t at_ms,
                             int64_t now_ms);

// What was counted as `amount` at `at_ms` came to `actual`: less makes room at once, more counts
// from now on. -1: not known, stays.
void router_window_correct(struct router_window *window, int64_t amount, int64_t actual,
                           int64_t at_ms, int64_t now_ms);

// How full it may be for `amount` more within `limit` (-1: none); what is larger than that: empty.
int64_t router_window_bound(int64_t limit, int64_t amount);

// The first instant at which the sum is at most `bound`, if nothing is added: now or later.
int64_t router_window_when(struct router_window *window, int64_t bound, int64_t now_ms);
