#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "daemon/home.h"

struct json;
struct router_plan;
struct settings;

/*
 * A question of serve/control.h, whoever can answer it: the hermes that owns the home, or this
 * process, which then takes the lock for as long as that takes. A home that is not there is not
 * made for a question: that is -ENOENT. 0 and the answer with its values, which live as its bytes
 * do, or negative with a sentence.
 */
struct owner_question {
    const char *method, *path;
    // Of what was spent. Without an owner, what the last one left is taken up before: its journal,
    // and the calls that nobody can settle.
    bool of_costs;
    // By which days and budgets are told then; NULL: UTC, and only the budgets that an overshoot
    // has closed.
    const struct router_plan *plan;
    // Whose gateway log this process writes then; NULL: nothing of it is worth a line.
    const struct settings *log;
};

// A home's lock and its database without an agent. The store is ready.
struct store_only {
    struct home home;
    struct loop *loop;
    struct store *store;
};
#define STORE_ONLY_AUTO CLEANUP(store_only_close) struct store_only
int store_only_open(const char *home, struct store_only *ret_only, struct error *err);
void store_only_close(struct store_only *only); // also after a failure; accepts one of HOME_INIT

int owner_ask(const char *home, const struct owner_question *question, struct buf *ret_body,
              struct json *ret_values, struct error *err);
