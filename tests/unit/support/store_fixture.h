#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/message.h"
#include "store/store.h"

// What every test of the store needs: a home of its own, outcomes kept, SQL on the side.

enum { FIXTURE_PATH_MAX = 256 }; // bytes

void fixture_make_home(char *home); // FIXTURE_PATH_MAX bytes
void fixture_remove_home(const char *home);
const char *fixture_path(const char *home, const char *name); // valid until the next call

// Opens and waits until it is ready or has failed.
struct store *fixture_open(const char *home, const struct store_options *opt);

struct outcome {
    bool called;
    int result;
    int64_t rowid;
    struct error err;
};

void fixture_done(void *outcome, int result, const struct error *err, int64_t rowid);

/*
 * Submits one message, in no turn unless it names one: the plainest write that the store's queue,
 * transactions and recovery can be tried with. Returns and fails as store_session_create() does;
 * -ENOENT: no such session or turn. The completion's rowid is its id.
 */
int64_t fixture_append(struct store *store, const struct store_message *message,
                       enum store_durability durability, store_done_fn *done, void *context,
                       struct error *err);

// The first column of the first row, through a connection of its own; -1 without a row or file.
int64_t fixture_number(const char *path, const char *sql);
// The same as text; valid until the next call, "" without a row.
const char *fixture_text(const char *path, const char *sql);
// Runs SQL; asserts that it succeeds.
void fixture_exec(const char *path, const char *sql);

// Number of names in the home that contain `part`.
int fixture_count_names(const char *home, const char *part);
void fixture_read(const char *path, char **ret_data, size_t *ret_len); // free() it
void fixture_overwrite(const char *path, int64_t offset, const void *data, size_t len);
