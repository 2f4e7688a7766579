#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * A validating JSON reader (RFC 8259) that keeps the exact bytes of every value. The essay at the
 * top of json.c says why it is ours. A document is a flat array of tokens over text that somebody
 * else owns; a value is a small struct that is passed around by copy. "Absent" is a value as well,
 * so look-ups chain without a check in between: json_get(json_at(json_get(root, "a"), 0), "b").
 *
 * Which of the two: codec/document.h is for documents that this program builds or takes apart as a
 * whole; this reader and json_write.h are for what passes through with its bytes (the router's
 * bodies and streams, what models and tools say to each other, lines of the log).
 */

enum {
    JSON_DEPTH_MAX = 128,      // levels of arrays and objects
    JSON_TOKENS_MAX = 1 << 20, // values and keys in one document
};

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    struct span text;          // borrowed: must outlive the document
    struct json_token *tokens; // owned
    uint32_t count, capacity;  // tokens
    uint32_t count_max;        // 0: JSON_TOKENS_MAX
};

#define JSON_INIT                \
    {                            \
        {NULL, 0}, NULL, 0, 0, 0 \
    }

struct json_value {
    const struct json *doc; // NULL: absent
    uint32_t index;
};

#define JSON_VALUE_ABSENT ((struct json_value){NULL, 0})

/*
 * Parses one value with nothing but white space around it. May be called again on the same
 * document: the memory is kept, values of the earlier text are void. Invalid UTF-8 inside strings
 * is let through (it comes back as U+FFFD from json_string); everything else that RFC 8259 does not
 * allow is refused. -EBADMSG: not JSON, with the byte offset; -EMSGSIZE: too deep, too many values
 * or 4 GiB; -ENOMEM. After a failure the document is empty and json_root() is absent.
 */
int json_parse(struct json *doc, struct span text, struct error *err);
void json_finish(struct json *doc); // accepts NULL and zeroed
#define JSON_AUTO CLEANUP(json_finish) struct json

struct json_value json_root(const struct json *doc);
enum json_type json_type(struct json_value v); // JSON_ABSENT for an absent one

// The last of several members of that name, compared as decoded text; absent when `object` is none.
struct json_value json_get(struct json_value object, const char *key);
struct json_value json_at(struct json_value array, size_t index);
size_t json_count(struct json_value v); // members or elements; 0 for everything else

// The exact bytes of the value, quotes included; absent for an absent one. Lives as the text does.
struct span json_raw(struct json_value v);

// Appends the decoded text of a string; false, with nothing appended, when it is no string or does
// not fit. Invalid UTF-8 and lone surrogates become U+FFFD, so what is appended is valid UTF-8.
bool json_string(struct json_value v, struct buf *out);

// The decoded text on the heap; NULL when it is no string, longer than `max` bytes or holds U+0000.
char *json_strdup(struct json_value v, size_t max);

// Takes the first character off the raw bytes between the quotes of a checked string that has some,
// and decodes it. Invalid UTF-8 and lone surrogates become U+FFFD.
uint32_t json_next_rune(struct span *raw);

bool json_is(struct json_value v, const char *text); // a string that decodes to exactly `text`

// Integers as written: 1.0, 1e3 and what does not fit are refused, -0 is 0.
bool json_int64(struct json_value v, int64_t *ret_value);
bool json_bool(struct json_value v, bool *ret_value);

// Any number as an integer of 10^-digits, exactly, exponents included (money): (1.5e-3, 6) is 1500.
// Digits beyond are cut towards zero, or, of a checked number, away from it with `up`; false when
// the result does not fit.
bool json_fixed(struct json_value v, unsigned digits, int64_t *ret_value);
bool json_fixed_of(struct span number, unsigned digits, bool up, int64_t *ret_value);

struct json_iter {
    const struct json *doc;
    uint32_t next, end; // token indices
    bool members;
};

// Members or elements in the order of the text; nothing for any other value.
struct json_iter json_iter_init(struct json_value v);

// False at the end. The key is a string value, absent for array elements; NULL when not wanted.
bool json_iter_next(struct json_iter *it, struct json_value *ret_key, struct json_value *ret_value);
