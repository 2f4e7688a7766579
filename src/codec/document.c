/*
 * cJSON keeps numbers as doubles and strings up to a NUL. So what it holds is chosen here:
 *
 *   integers below 10^15     a cJSON number, which it prints digit by digit; larger ones would
 *                            come out as 1e+15, and from 2^53 on changed
 *   all other numbers        a cJSON raw value: their digits as they were written
 *   strings with U+0000      a cJSON raw value: the string with its quotes and escapes
 *   somebody else's values   a cJSON raw value: their bytes
 *
 * Documents are read without cJSON's parser. Two parsers of one input must agree, or the difference
 * is what an attacker uses; so codec/json.c alone parses, within the limits of a document, and the
 * tree is made of its values. It refuses what the tree cannot hold as a value to work with.
 *
 * cJSON's allocator is a pair of global functions. Before each call that may allocate, the document
 * says that it is the one that pays (`payer`), so that none takes more than it was given. Nothing
 * is given back before the end, since nothing is removed from a tree.
 */
#include "codec/document.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "codec/json_write.h"
#include "codec/utf8.h"

enum {
    ALLOCATION_OVERHEAD = 16, // bytes that an allocator keeps beside each of ours
    PRINT_LEAST = 256,        // bytes; cJSON wants some more than it writes
};

#define PLAIN_INTEGER_MAX INT64_C(999999999999999) // that "%1.15g" prints without an exponent

/* Memory */

static _Thread_local struct document *payer;

static void *allocate(size_t size)
{
    struct document *doc = payer;
    void *memory = NULL;
    if (size > doc->memory_max || doc->memory + ALLOCATION_OVERHEAD > doc->memory_max - size)
        error_set(&doc->err, -EMSGSIZE, "the JSON document needs more than %zu KiB of memory",
                  doc->memory_max >> 10);
    else if (!(memory = malloc(size))) // sized by the outside, so it is refused rather than fatal
        error_set(&doc->err, -ENOMEM, "out of memory for a JSON document");
    else
        doc->memory += size + ALLOCATION_OVERHEAD;
    return memory;
}

void document_finish(struct document *doc)
{
    if (!doc)
        return;
    cJSON_Delete(doc->root);
    *doc = (struct document)DOCUMENT_INIT(doc->memory_max);
}

/* Building */

static struct node node_of(struct document *doc, cJSON *item)
{
    return item ? (struct node){doc, item} : NODE_ABSENT;
}

// False: nothing is to be added any more.
static bool pay(struct document *doc)
{
    payer = doc;
    return doc && doc->err.code == 0;
}

static cJSON *create_text(struct document *doc, int type, struct span text)
{
    cJSON *item = pay(doc) ? cJSON_CreateNull() : NULL;
    char *copy = item ? cJSON_malloc(text.len + 1) : NULL;
    if (!copy) {
        cJSON_Delete(item);
        return NULL;
    }
    if (text.len)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    item->type = type;
    item->valuestring = copy;
    return item;
}

static bool join(struct node parent, const char *key, cJSON *item)
{
    BUF_AUTO clean = BUF_INIT(key ? 3 * strlen(key) : 0);
    if (cJSON_IsArray(parent.item))
        return !key && cJSON_AddItemToArray(parent.item, item);
    if (!key || !cJSON_IsObject(parent.item))
        return false;
    if (!utf8_valid(span_of(key))) {
        utf8_sanitize(span_of(key), &clean);
        key = buf_text(&clean);
    }
    return cJSON_AddItemToObject(parent.item, key, item);
}

// Takes over the item; NULL when there was no memory for it.
static struct node add(struct node parent, const char *key, cJSON *item)
{
    if (!item)
        return NODE_ABSENT;
    if (join(parent, key, item))
        return node_of(parent.doc, item);
    cJSON_Delete(item);
    if (parent.doc->err.code == 0)
        error_set(&parent.doc->err, -EINVAL, "a JSON value where none may stand");
    return NODE_ABSENT;
}

static struct node begin(struct document *doc, cJSON *create(void))
{
    cJSON_InitHooks(&(cJSON_Hooks){allocate, free}); // always the same ones
    doc->root = pay(doc) ? create() : NULL;
    return node_of(doc, doc->root);
}

struct node document_object(struct document *doc)
{
    return begin(doc, cJSON_CreateObject);
}

struct node document_array(struct document *doc)
{
    return begin(doc, cJSON_CreateArray);
}

struct node node_add_object(struct node parent, const char *key)
{
    return add(parent, key, pay(parent.doc) ? cJSON_CreateObject() : NULL);
}

struct node node_add_array(struct node parent, const char *key)
{
    return add(parent, key, pay(parent.doc) ? cJSON_CreateArray() : NULL);
}

void node_add_raw(struct node parent, const char *key, struct span json)
{
    add(parent, key, create_text(parent.doc, cJSON_Raw, json.len ? json : SPAN_LITERAL("null")));
}

void node_add_string(struct node parent, const char *key, struct span text)
{
    if (utf8_valid(text) && !(text.len && memchr(text.data, '\0', text.len))) {
        add(parent, key, create_text(parent.doc, cJSON_String, text));
        return;
    }
    // U+0000 and invalid UTF-8, as the writer writes them.
    BUF_AUTO quoted = BUF_INIT(pay(parent.doc) ? parent.doc->memory_max : 0);
    struct json_writer w;
    json_writer_init(&w, &quoted);
    json_write_string(&w, text);
    if (json_write_done(&w))
        node_add_raw(parent, key, buf_span(&quoted));
    else if (pay(parent.doc))
        error_set(&parent.doc->err, -EMSGSIZE, "a string of %zu bytes is too large", text.len);
}

void node_add_text(struct node parent, const char *key, const char *text)
{
    if (text)
        node_add_string(parent, key, span_of(text));
    else
        node_add_null(parent, key);
}

void node_add_int(struct node parent, const char *key, int64_t value)
{
    char digits[DECIMAL_SIZE];
    if (value >= -PLAIN_INTEGER_MAX && value <= PLAIN_INTEGER_MAX)
        add(parent, key, pay(parent.doc) ? cJSON_CreateNumber((double)value) : NULL);
    else
        node_add_raw(parent, key, span_of(decimal_of_int(value, digits)));
}

void node_add_bool(struct node parent, const char *key, bool value)
{
    add(parent, key, pay(parent.doc) ? cJSON_CreateBool(value) : NULL);
}

void node_add_null(struct node parent, const char *key)
{
    add(parent, key, pay(parent.doc) ? cJSON_CreateNull() : NULL);
}

void node_add_fixed(struct node parent, const char *key, int64_t units, unsigned digits)
{
    char room[DECIMAL_FIXED_SIZE];
    node_add_raw(parent, key, span_of(decimal_of_fixed(units, digits, 0, room)));
}

/* Printing */

// The nodes take more memory than their text does, but for text that is all escapes.
static int print(const struct document *doc, struct buf *out)
{
    size_t room = out->max - out->len;
    size_t size = doc->memory + PRINT_LEAST;
    for (;; size *= 2) {
        size = size < room ? size : room;
        char *at = buf_reserve(out, size);
        if (!at)
            return -EMSGSIZE;
        if (cJSON_PrintPreallocated(doc->root, at, (int)size, false)) {
            buf_grow_by(out, strlen(at));
            return 0;
        }
        *at = '\0'; // a part of the document does not count
        if (size == room)
            return -EMSGSIZE;
    }
}

int document_print(const struct document *doc, struct buf *out, struct error *err)
{
    int r = doc->err.code ? doc->err.code : buf_is_full(out) ? -EMSGSIZE : print(doc, out);
    if (r == 0)
        return 0;
    out->full = true;
    if (doc->err.code)
        return error_set(err, r, "%s", doc->err.text);
    return error_set(err, r, "the JSON document is larger than %zu KiB", out->max >> 10);
}
