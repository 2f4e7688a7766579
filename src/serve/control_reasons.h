#pragma once

#include <stdint.h>

#include "codec/document.h"
#include "store/ledger_read.h"

struct router;

int64_t control_call_cost(const struct store_call *call); // of all attempts whose cost is known

// Why a call was dear: sentences, added to an array. Prices are
// those of the router's plan; NULL: they are not known.
void control_write_reasons(const struct store_call *call, struct router *router,
                           struct node reasons);
