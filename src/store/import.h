#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "store/store.h"

/*
 * Conversations out of the state.db of a hermes-agent, which is another program's and is never
 * opened: it is copied, with its log, and the copy is read. For command-line programs, which may
 * wait for a disk.
 */
struct store_import_counts {
    int64_t sessions, messages; // that were taken over, or would be
    int64_t known;              // messages of an earlier import
    // What is not taken over: messages that their user took back, that are no user's, assistant's
    // or tool's, that belong to no session; texts and calls that are too long or cannot be read.
    int64_t taken_back, other_roles, stray, unreadable;
};

struct store_import {
    const char *from;    // the home of the hermes-agent
    const char *scratch; // a directory for the copy, which is removed before and afterwards
    bool dry_run;        // only counts
    // Calls of tools as OpenAI has them, into this program's form; false: there is nothing to be
    // made of them.
    bool (*convert_calls)(struct span calls, struct buf *out);
    void (*on_progress)(void *context, const struct store_import_counts *counts); // now and then
    void *context;
};

/*
 * Each session once, and of each only what is newer than the last message that was taken over. The
 * store is ready. Another program may have the database open, but not change it meanwhile: -EBUSY.
 * -ENOENT: there is none; -EUCLEAN, -ENOTSUP: it is damaged or not a hermes-agent's. After a
 * failure what was taken over so far stays, and the next import goes on there.
 */
int store_import_run(struct store *store, const struct store_import *import,
                     struct store_import_counts *ret_counts, struct error *err);
