#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct router_plan;

/*
 * A question of serve/control.h, whoever can answer it: the hermes that owns the home, or this
 * process, which then takes the lock for as long as that takes. A home that is not there is not
 * made for a question: that is -ENOENT. 0 and the answer, or negative with a sentence.
 */
int owner_ask(const char *home, const char *method, const char *path, struct buf *ret_body,
              struct error *err);

// The same for what was spent. Without an owner days and budgets are those of `plan` (NULL: UTC,
// and only the budgets that an overshoot has closed), and what the last one left is taken up
// before: its journal, and the calls that nobody can settle.
int owner_ask_cost(const char *home, const char *path, const struct router_plan *plan,
                   struct buf *ret_body, struct error *err);
