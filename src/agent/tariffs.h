#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/list.h"
#include "llm/chat.h"

struct store;

/*
 * By what the answers to each name are paid, as the owner was last told: so that he hears of a
 * change once. What is told is written down by whoever tells it, as a fact of the store with
 * tariffs_fact() for its name, and found there after a restart.
 */
struct tariffs {
    struct list known; // struct known, the newest last
    size_t count;
};

enum { TARIFFS_MAX = 64 }; // names in memory; others are looked up again

void tariffs_init(struct tariffs *tariffs);
void tariffs_finish(struct tariffs *tariffs);

enum tariff_news {
    TARIFF_AS_KNOWN,
    TARIFF_LEARNT, // the price of who is paid, which was not known: no news, but to be written down
    TARIFF_CHANGED, // to be told
};

// Is this another one than the owner knows? From now on he does. Without a word from the store he
// is taken to expect what the name itself costs.
enum tariff_news tariffs_note(struct tariffs *tariffs, struct store *store,
                              const struct chat_tariff *tariff);

// He was not told after all.
void tariffs_forget(struct tariffs *tariffs, const char *asked);

void tariffs_fact(const char *asked, struct buf *out);
