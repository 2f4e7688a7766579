#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/json.h"

/*
 * Writes compact JSON onto a struct buf; commas and colons come by themselves. There is nothing to
 * check on the way: ask json_write_done() once at the end. Keys and strings come out as valid
 * UTF-8, whatever went in; only json_write_raw() hands bytes through as they are.
 */
struct json_writer {
    struct buf *out; // borrowed
    unsigned depth;  // open objects and arrays
    bool after_key;  // a colon was written, so no comma
    bool broken;     // misuse; nothing is written from then on
    // Of each level, up to `depth`:
    bool filled[JSON_DEPTH_MAX + 1]; // something stands before
    bool object[JSON_DEPTH_MAX + 1]; // keys are due
};

void json_writer_init(struct json_writer *w, struct buf *out);

// True when every level was closed, nothing was misused and all of it fitted.
bool json_write_done(const struct json_writer *w);

void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);

void json_write_key(struct json_writer *w, const char *key); // then exactly one value
void json_write_key_span(struct json_writer *w, struct span key);

void json_write_string(struct json_writer *w, struct span text); // invalid UTF-8 becomes U+FFFD
void json_write_text(struct json_writer *w, const char *text);   // NULL writes null
void json_write_int(struct json_writer *w, int64_t value);
void json_write_bool(struct json_writer *w, bool value);
void json_write_null(struct json_writer *w);

// `units` of 10^-digits as a plain decimal without trailing zeros: (1500, 6) is 0.0015.
void json_write_fixed(struct json_writer *w, int64_t units, unsigned digits);

// Bytes that are one JSON value already, e.g. of json_raw(); an absent or empty span writes null.
void json_write_raw(struct json_writer *w, struct span json);

// A character inside a string, for who writes strings otherwise.
static inline bool json_needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}
void json_write_escape(struct buf *out, char c); // that needs one

// A key and its value.
void json_write_member_text(struct json_writer *w, const char *key, const char *text);
void json_write_member_string(struct json_writer *w, const char *key, struct span text);
void json_write_member_int(struct json_writer *w, const char *key, int64_t value);
void json_write_member_bool(struct json_writer *w, const char *key, bool value);
void json_write_member_raw(struct json_writer *w, const char *key, struct span json);
