#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/json.h"

/*
 * Money is int64_t in picodollars (10^-12 USD), so that the price of one token and the bill of a
 * year are whole numbers of the same unit: up to 9.2 million dollars. Sums saturate at the ends of
 * the type instead of wrapping around: a cap then refuses, where it would else be passed unseen.
 */

enum {
    MONEY_DIGITS = 12,    // decimals of a dollar
    MONEY_TEXT_SIZE = 32, // bytes that any amount takes as text, with the NUL
};

#define MONEY_DOLLAR INT64_C(1000000000000) // in pico

// Of one call. A higher cost is a mistake, and must not make sums overflow: SQLite
// answers that with a failure of the question.
#define MONEY_CALL_MAX (10000 * MONEY_DOLLAR)

// "0.5", "$3", "1e-7", "2.50E+01", ".5". A part below a pico is rounded up, so that no price but
// zero becomes zero. False: no number, negative, or too much.
bool money_parse(struct span text, int64_t *ret_pico);

// A number, or a string that holds one, by the same rules.
bool money_from_json(struct json_value v, int64_t *ret_pico);

// Each saturates at INT64_MIN and INT64_MAX.
int64_t money_add(int64_t a_pico, int64_t b_pico);
int64_t money_sub(int64_t a_pico, int64_t b_pico);
int64_t money_mul(int64_t price_pico, int64_t count);

// For people, into MONEY_TEXT_SIZE bytes; returns `text`. "$12.35", "$0.50", "$0.0123": cents from
// a dollar on, else three digits that tell something. Never scientific, and only 0 reads as zero.
const char *money_format(int64_t pico, char *text);

// Exactly, for machines: "0.0123", "12.35", "0". Into MONEY_TEXT_SIZE bytes; returns `text`.
const char *money_decimal(int64_t pico, char *text);
