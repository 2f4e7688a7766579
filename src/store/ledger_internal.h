#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/attempt.h"

// Private to store/.

// The fields of an attempt in the order of its record and of its columns. New
// ones are put at the end: records of the same version may have fewer.
enum {
    ATTEMPT_TEXTS = 15,
    ATTEMPT_NUMBERS = 17,
    ATTEMPT_NAME_NUMBERS = 3, // the first ones: attempt, wall_ms, day
};

extern const size_t attempt_texts[ATTEMPT_TEXTS];
extern const size_t attempt_numbers[ATTEMPT_NUMBERS];

static inline struct span *attempt_text(const struct store_attempt *attempt, size_t index)
{
    return (struct span *)((char *)attempt + attempt_texts[index]);
}

static inline int64_t *attempt_number(const struct store_attempt *attempt, size_t index)
{
    return (int64_t *)((char *)attempt + attempt_numbers[index]);
}

// The charges alone, as a row of bound or unknown cost keeps them.
bool store_charges_encode(const struct store_attempt *attempt, struct buf *out);
bool store_charges_decode(struct span bytes, struct store_charge *charges, size_t *ret_count);

extern const char *const store_cost_words[STORE_COST_SOURCES];

/*
 * On the store's thread: rows as they are written. The sums that rows add to are
 * gathered over a transaction and written at its end; what the spans of a row point to lives until
 * then.
 */
struct ledger_writer;

// A call is looked for among so many of the newest rows: there is no index of their ids, which are
// random, and an index of what is random costs a page of the disk for each row.
enum { LEDGER_SEARCH_ROWS = 200000 };

// In the order of the fields above, and then the rest.
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
