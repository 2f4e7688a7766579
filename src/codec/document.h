#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/json.h"

/*
 * A JSON document as a tree, which cJSON holds: for documents that this program builds, or takes
 * apart as a whole. codec/json.h says which of the two readers to use when; the essay in document.c
 * says what cJSON cannot hold, and what becomes of that.
 *
 * A node is passed around by copy and lives as its document does. "Absent" is a node as well, so
 * look-ups chain, and what is added to an absent node is not added. A failure is kept in the
 * document until it is printed: a builder adds many nodes and asks once at the end.
 */

enum {
    DOCUMENT_VALUES_MAX = 1 << 16, // values and keys of a document that is read
    DOCUMENT_SMALL = 64 * 1024,    // bytes of memory for some members that are known
};

struct cJSON;

struct document {
    struct cJSON *root; // owned; NULL while nothing was built or read
    size_t memory_max;  // bytes that all nodes together may take
    size_t memory;      // bytes that they take
    struct error err;   // the first failure; code 0: none
};

struct node {
    struct document *doc; // NULL: absent
    struct cJSON *item;
};

#define NODE_ABSENT ((struct node){NULL, NULL})

#define DOCUMENT_INIT(maximum)  \
    {                           \
        .memory_max = (maximum) \
    }

void document_finish(struct document *doc); // accepts NULL and zeroed
#define DOCUMENT_AUTO CLEANUP(document_finish) struct document

// The root of a new document; once for each document.
struct node document_object(struct document *doc);
struct node document_array(struct document *doc);

/*
 * Adds a value to an object, or to an array with a NULL key. Keys and strings come out as valid
 * UTF-8, whatever went in. Integers and fixed decimals are printed exactly, however large.
 */
struct node node_add_object(struct node parent, const char *key);
struct node node_add_array(struct node parent, const char *key);
void node_add_string(struct node parent, const char *key, struct span text);
void node_add_text(struct node parent, const char *key, const char *text); // NULL adds null
void node_add_int(struct node parent, const char *key, int64_t value);
void node_add_bool(struct node parent, const char *key, bool value);
void node_add_null(struct node parent, const char *key);

// `units` of 10^-digits as a plain decimal without trailing zeros: (1500, 6) is 0.0015.
void node_add_fixed(struct node parent, const char *key, int64_t units, unsigned digits);

// Bytes that are one JSON value already, e.g. of json_raw(), and stay as they are: a schema, an id,
// somebody else's member. Empty ones are null.
void node_add_raw(struct node parent, const char *key, struct span json);

// Appends the document, compact. When that fails, by whatever failed before or because it does not
// fit, `out` is marked full and nothing is appended.
int document_print(const struct document *doc, struct buf *out, struct error *err);

/*
 * Reads one value with nothing but white space around it. -EBADMSG: not JSON; -EMSGSIZE: too large,
 * too deep or too many values; -ERANGE: an integer beyond 2^53; -EILSEQ: U+0000 in a string or key.
 * Numbers that are not plain integers keep their bytes.
 */
int document_read(struct document *doc, struct span text, struct error *err);
struct node document_root(struct document *doc); // absent after a failure

enum json_type node_type(struct node node); // JSON_ABSENT for an absent one

// The last of several members of that name; absent when there is none, or `object` is none.
struct node node_get(struct node object, const char *key);

struct node node_first(struct node parent); // member or element; absent when there is none
struct node node_next(struct node child);

const char *node_text(struct node node); // a string's, UTF-8; NULL when it is none
bool node_is(struct node node, const char *text);
bool node_bool(struct node node, bool *ret_value);
bool node_int(struct node node, int64_t *ret_value);                    // as json_int64()
bool node_fixed(struct node node, unsigned digits, int64_t *ret_value); // as json_fixed()
