#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "router/money/ledger.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

// A router's ledger with a store, a loop and a clock of its own, and an account that calls pay.

enum { LEDGER_WORLD_DAY = 20700, LEDGER_WORLD_DAY_MS = 86400000, LEDGER_WORLD_HELD = 50 };

struct ledger_world {
    struct fake_clock clock;
    struct loop *loop;
    struct store *store;
    struct router_ledger *ledger;
    int64_t sums, spent_pico, corrected_pico;
    int ready, troubles, notes;
    char note[ERROR_TEXT_MAX];
    int synced, failed; // reservations
    int64_t lost_ms;    // when records of the journal were found lost, which closes a day; 0: never
};

void ledger_world_open(struct ledger_world *world, const char *home);
void ledger_world_open_at(struct ledger_world *world, const char *home, int64_t wall_ms);
void ledger_world_close(struct ledger_world *world);

// As far as it goes without time passing; then so much time passes.
void ledger_world_run(struct ledger_world *world, int64_t ms);

struct store_charge ledger_world_charge(int64_t amount_pico);
struct store_attempt ledger_world_attempt(const struct ledger_world *world, const char *call,
                                          int64_t cost_pico);

// A call that holds LEDGER_WORLD_HELD; its ticket, or negative.
int64_t ledger_world_reserve(struct ledger_world *world, const char *call, struct error *err);
// The completion of its ticket.
void ledger_world_reserved(void *world, int result, const struct error *err);
int ledger_world_settle(struct ledger_world *world, const char *call, int64_t cost_pico);

// A row as long as one can be: all that its texts and accounts may hold. It costs 1.
int ledger_world_settle_long(struct ledger_world *world, int number);

// No file can be made longer, as on a full disk; and again as before. For this process.
void ledger_world_fill_disk(void);
void ledger_world_free_disk(void);
