#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "codec/json.h"

/*
 * The syntax of JSON (RFC 8259), once for all readers of ours, which differ in what they keep:
 * json_parse() a token of each value, a reader that knows beforehand what it wants of a text that
 * may be large just that (router/wire/member_scan.c). Nothing is decoded here, nothing allocated;
 * invalid UTF-8 inside strings is let through.
 */
enum json_event {
    JSON_EVENT_VALUE, // a string, a number, true, false, null
    JSON_EVENT_OPEN,  // { or [
    JSON_EVENT_CLOSE, // } or ]
    JSON_EVENT_END,   // all of the text was one value
    JSON_EVENT_FAULT, // it is not JSON, or nested too deep; nothing follows
};

// The piece of syntax that has to come next; after a fault, the one that did not come.
enum json_want {
    JSON_WANT_VALUE,
    JSON_WANT_VALUE_OR_END, // right after [
    JSON_WANT_KEY,
    JSON_WANT_KEY_OR_END, // right after {
    JSON_WANT_COLON,
    JSON_WANT_COMMA_OR_END,
    JSON_WANT_NOTHING, // the root is complete
    // Only after a fault, inside a string or number:
    JSON_WANT_STRING_END,
    JSON_WANT_STRING_TEXT, // no control character
    JSON_WANT_ESCAPE_END,  // the text ends behind a backslash
    JSON_WANT_ESCAPE,      // one that JSON knows
    JSON_WANT_HEX,         // four digits behind \u
    JSON_WANT_DIGIT,
    // Only after a fault:
    JSON_WANT_DEPTH, // not more than JSON_DEPTH_MAX levels
};

struct json_scan {
    const char *begin, *end; // of the text
    // The bytes of the event, quotes included. After a fault `at` is the first byte that is wrong,
    // or the end of the text, and `from` where the value or the escape begins that it spoils.
    const char *from, *at;
    struct span key;     // of the value, of what opens, or before what is at fault; else absent
    bool key_escaped;    // the key holds a backslash
    bool escaped;        // so does the string that is the value
    enum json_type type; // of the value, or of what opens or closes; at the end, of the whole text
    enum json_want want;
    unsigned depth;                  // objects and arrays that are open, one that opens included
    bool object[JSON_DEPTH_MAX + 1]; // [1] to [depth]: else it is an array; [0] is false
};

void json_scan_init(struct json_scan *scan, struct span text); // borrows the text
enum json_event json_scan_next(struct json_scan *scan);
