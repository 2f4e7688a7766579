#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "llm/price_list.h"
#include "router/plan/price.h"

/*
 * What models cost by the word of their provider's list, as much of it as is wanted, and as the
 * text in which it is kept. Pure.
 */
enum {
    ROUTER_PRICES_MAX = 1024,             // models of one table
    ROUTER_PRICES_BYTES_MAX = 256 * 1024, // bytes of a table as text
};

// The parts of a price in the order of enum price_list_item, of which they are the first.
enum { ROUTER_PRICE_PARTS = 7 };
int64_t *router_price_part(struct router_price *price, size_t index);

struct router_price_table {
    struct router_listed_price *models; // owned
    size_t count, capacity;
    int64_t fetched_wall_ms; // -1: it is of no list
};

struct router_listed_price {
    char *model;
    struct router_price price;
    bool unfit; // one of its prices cannot be believed
    bool extra; // it has a price of a kind that is not among ours
};

#define ROUTER_PRICE_TABLE_INIT \
    {                           \
        NULL, 0, 0, -1          \
    }

void router_price_table_finish(struct router_price_table *table); // accepts zeroed

// One set of a model's prices; of several the highest of each counts. False: there is no room.
bool router_price_table_add(struct router_price_table *table, const struct price_list_entry *entry);

// NULL: not known. Until the table changes.
const struct router_price *router_price_table_find(const struct router_price_table *table,
                                                   struct span model);

// Does it say anything of any model's price, be it that it cannot be known?
bool router_price_table_tells(const struct router_price_table *table);

// Appends the text; models that do not fit are left out.
void router_price_table_write(const struct router_price_table *table, struct buf *out);

// Into an empty table. False: that is no such text, and the table is as before.
bool router_price_table_read(struct router_price_table *table, struct span text);
