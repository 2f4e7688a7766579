#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * One attempt to have a model answer, as the ledger keeps it. Money is in picodollars (10^-12 USD);
 * what is not known is -1, and an absent text is "".
 */

enum {
    LEDGER_TEXT_MAX = 256,     // bytes of one text of a row; what is longer is cut
    LEDGER_CHARGES_MAX = 32,   // accounts that one call is charged to
    LEDGER_RECORD_MAX = 32768, // bytes of a record
};

enum store_cost_source {
    STORE_COST_NONE,     // nothing was spent: the provider never took the call
    STORE_COST_PROVIDER, // the answer said so itself
    STORE_COST_PRICE,    // tokens of the answer times the price
    STORE_COST_BOUND,    // no usage came: what it can have cost at most
    STORE_COST_UNKNOWN,  // nobody knows: what was reserved, or nothing where nothing was
    STORE_COST_SOURCES,  // how many there are
};

// What one account pays for a row, or holds for a call.
struct store_charge {
    struct span account; // the budget's name, with whose it is: "slot:cron"
    int64_t period_ms;   // wall: when the account's period began; 0: it has none
    int64_t resets_ms;   // wall: when it ends; -1 never
    int64_t amount_pico; // may be negative in a correction
    // By how much it exceeds what could have been, which closes the account (mostly 0), and the cap
    // at that time: the same cap keeps it closed. Of no matter (0) where nothing can be exceeded.
    int64_t overshoot_pico, cap_pico;
};

struct store_attempt {
    struct span call; // the call's id; attempts of it are numbered from 1
    int64_t attempt;
    int64_t wall_ms; // when the attempt began
    int64_t day;     // of wall_ms, counted from 1970-01-01 in the owner's zone
    int64_t duration_ms, first_byte_ms;

    struct span operation; // "chat", "completion", "embedding"
    struct span slot, session, job, key, user;
    struct span group; // the model that was asked for
    struct span deployment, provider;
    struct span model;    // the one that answered, or was to
    struct span error;    // class of the failure; "" when there was none
    struct span reason;   // why this attempt: "" the first, else "retry", "fallback"
    struct span from;     // what it is a retry of, or falls back from
    struct span reply_id; // the provider's name of the answer, for a later correction
    int64_t status;       // HTTP's, as the provider gave it; 0: none came
    bool streamed, cancelled;

    int64_t prompt_tokens, completion_tokens;
    int64_t cached_tokens, cache_write_tokens; // both part of the prompt's
    int64_t reasoning_tokens;                  // part of the completion's
    int64_t bytes_in, bytes_out;               // of the request's body and the answer's

    int64_t tools_bytes, messages_bytes; // what the prompt was made of

    int64_t cost_pico;
    enum store_cost_source source;
    int64_t reserved_pico;
    const struct store_charge *charges;
    size_t charge_count;
};

// All fields that may be unknown, unknown.
#define STORE_ATTEMPT_INIT                                                                     \
    {                                                                                          \
        .duration_ms = -1, .first_byte_ms = -1, .prompt_tokens = -1, .completion_tokens = -1,  \
        .cached_tokens = -1, .cache_write_tokens = -1, .reasoning_tokens = -1, .bytes_in = -1, \
        .bytes_out = -1, .tools_bytes = -1, .messages_bytes = -1, .cost_pico = -1              \
    }

/*
 * As records of the journal. A reservation is an attempt as far as it is known, with what each
 * account holds as its charge; the next one of the same call takes its place. A release ends it
 * without a row. False when `out` is full; then nothing was appended.
 */
bool store_ledger_encode_reservation(const struct store_attempt *call, struct buf *out);
bool store_ledger_encode_row(const struct store_attempt *row, struct buf *out);
bool store_ledger_encode_release(struct span call, struct buf *out);

// What a record is; the spans point into it.
enum ledger_record { LEDGER_RESERVATION, LEDGER_ROW, LEDGER_RELEASE };

// False for bytes that are no record of this program. `charges` has room for LEDGER_CHARGES_MAX,
// and is what *ret_attempt then points to.
bool store_ledger_decode(struct span record, struct store_charge *charges,
                         enum ledger_record *ret_kind, struct store_attempt *ret_attempt);
