#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "router/money/ledger.h"
#include "support/fake_clock.h"
#include "support/store_fixture.h"

// A router's ledger with a store, a loop and a clock of its own, and an account that calls pay.

enum {
    LEDGER_WORLD_DAY = 20700,
    LEDGER_WORLD_DAY_MS = 86400000,
    LEDGER_WORLD_HELD = 50,
    LEDGER_WORLD_WAITS = 256, // reservations that are not synced yet
};

struct ledger_world {
    struct fake_clock clock;
    struct loop *loop;
    struct store *store;
    struct router_ledger *ledger;
    struct router_ledger_wait waits[LEDGER_WORLD_WAITS]; // taken in turn
    unsigned waits_used;
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

// The next one that nobody uses, which counts what is synced and what fails.
struct router_ledger_wait *ledger_world_wait(struct ledger_world *world);
// A call that holds LEDGER_WORLD_HELD.
int ledger_world_reserve(struct ledger_world *world, const char *call, struct error *err);
int ledger_world_settle(struct ledger_world *world, const char *call, int64_t cost_pico);

// A row as long as one can be: all that its texts and accounts may hold. It costs 1.
int ledger_world_settle_long(struct ledger_world *world, int number);

// No file can be made longer, as on a full disk; and again as before. For this process.
void ledger_world_fill_disk(void);
void ledger_world_free_disk(void);
