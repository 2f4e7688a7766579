#pragma once

#include "base/span.h"

struct store;

/*
 * By what the answers to each name are paid, as the owner was last told, so that they hear of a
 * change once. A notice goes out with the answer of a piece of work; when that has ended, it is
 * written down as told (a key-value of the store, found there after a restart), or it was not told
 * after all and goes out with a later one. Of two works the newer notice counts, whichever of them
 * ends first. Killed in between, the program tells it again.
 */
struct router_notices;

// In memory, of what was told; others are looked up again. What is still to be told stays there.
enum { ROUTER_NOTICES_MAX = 64 };

struct router_notices *router_notices_create(struct store *store);
void router_notices_destroy(struct router_notices *notices); // accepts NULL

// `paid` is what router_price_notice_write() says. True when the owner is to be told, which they
// then are. Where none was ever told they are taken to expect what the name itself costs; while the
// store cannot say, nothing is news.
bool router_notices_is_news(struct router_notices *notices, const char *asked, const char *paid,
                            struct span work);

// The work has ended, and its notices have reached the owner (or not).
void router_notices_end(struct router_notices *notices, const char *work, bool told);
