#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "router/plan/plan.h"
#include "router/wire/failure.h"

enum { ROUTER_PRICE_NOTICE_UNKNOWN = '?' }; // its price is not known

// The deployment that answered, and the name that was asked.
struct router_price_notice {
    const struct router_plan *plan;
    const char *asked; // the name
    size_t group;      // that it means
    const struct router_deployment *answered;
    const struct router_failure *failed; // that came first; NULL: none
    // What a deployment of the plan costs; NULL: what is configured.
    struct router_price (*price)(void *context, const struct router_deployment *deployment);
    void *context;
};

/*
 * What is paid for the answer, as a text by which two can be compared (the prices, or that they are
 * not known; a blank; whose), and a sentence about it for a person. Nothing is appended to
 * `ret_paid` when it is what the name itself costs. Pure.
 */
void router_price_notice_write(const struct router_price_notice *notice, struct buf *ret_paid,
                               struct buf *ret_sentence);
