#pragma once

#include "base/error.h"
#include "daemon/home.h"

struct loop;
struct store;

// A home's lock and its database without an agent, for a command that only reads or tidies up where
// no hermes runs. The store is ready, or has failed and says why.
struct store_only {
    struct home home;
    struct loop *loop;
    struct store *store;
};

// -EBUSY, with a sentence, when another process owns the home.
int store_only_open(const char *home, struct store_only *ret_store, struct error *err);
void store_only_close(struct store_only *store);
