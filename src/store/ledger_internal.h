#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/error.h"
#include "store/attempt.h"

/*
 * Private to store/, on the store's thread: rows as they are written. The sums that rows add to are
 * gathered over a transaction and written at its end; what the spans of a row point to lives until
 * then.
 */
struct ledger_writer;

// A call is looked for among so many of the newest rows: there is no index of their ids, which are
// random, and an index of what is random costs a page of the disk for each row.
enum { LEDGER_SEARCH_ROWS = 200000 };

// In the order of attempt_fields.h, and then the rest.
#define LEDGER_COLUMNS                                                                         \
    "call, operation, slot, session, job, key, user, asked, deployment, provider, model,"      \
    " error, reason, instead_of, reply_id, attempt, wall_ms, day, duration_ms, first_byte_ms," \
    " status, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,"            \
    " reasoning_tokens, bytes_in, bytes_out, tools_bytes, messages_bytes, cost_pico,"          \
    " reserved_pico, streamed, cancelled, source"

int ledger_writer_create(sqlite3 *db, struct ledger_writer **ret_writer, struct error *err);
void ledger_writer_destroy(
    struct ledger_writer **writer); // without ledger_write_sums() all is lost

// 0, or STORE_DUPLICATE and nothing is added to any sum.
int ledger_write_row(struct ledger_writer *writer, const struct store_attempt *row,
                     struct error *err);
int ledger_write_sums(struct ledger_writer *writer, struct error *err);

// What a row's cost was and is now, of the sums: of its day, and of its accounts.
int ledger_correct_day(sqlite3 *db, const struct store_attempt *row, int64_t difference_pico,
                       struct error *err);
int ledger_add_charge(sqlite3 *db, const struct store_charge *charge, struct error *err);
