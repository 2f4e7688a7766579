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

// In magnitude, the largest that a double tells from its neighbours.
#define EXACT_INTEGER_MAX (INT64_C(1) << 53)
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

/* Reading */

// A document tells of the first value that it cannot hold.
static void refuse(struct document *doc, int code, const char *sentence)
{
    if (doc->err.code == 0)
        error_set(&doc->err, code, "%s", sentence);
}

static bool is_plain_integer(struct span number)
{
    for (size_t i = number.data[0] == '-'; i < number.len; i++)
        if (number.data[i] < '0' || number.data[i] > '9')
            return false;
    return !span_is(number, "-0"); // which an integer is not told from 0
}

static void read_number(struct node parent, const char *key, struct json_value value)
{
    struct span number = json_raw(value);
    int64_t integer;
    if (!is_plain_integer(number))
        node_add_raw(parent, key, number);
    else if (json_int64(value, &integer) && integer >= -EXACT_INTEGER_MAX &&
             integer <= EXACT_INTEGER_MAX)
        node_add_int(parent, key, integer);
    else
        refuse(parent.doc, -ERANGE, "an integer of this JSON is beyond 2^53");
}

static char *read_text(struct document *doc, struct json_value value)
{
    char *text = json_strdup(value, doc->memory_max);
    if (!text)
        refuse(doc, -EILSEQ, "a string of this JSON holds U+0000");
    return text;
}

// As deep as the parser allows at most.
static void read_value(struct node parent, const char *key, struct json_value value);

static void read_inside(struct node parent, struct json_value inside)
{
    struct json_iter it = json_iter_init(inside);
    struct json_value name, value;
    while (parent.doc && parent.doc->err.code == 0 && json_iter_next(&it, &name, &value)) {
        bool member = json_type(name) != JSON_ABSENT;
        CLEANUP(mem_cleanup) char *key = member ? read_text(parent.doc, name) : NULL;
        if (key || !member)
            read_value(parent, key, value);
    }
}

static void read_value(struct node parent, const char *key, struct json_value value)
{
    enum json_type type = json_type(value);
    CLEANUP(mem_cleanup) char *text = NULL;
    switch (type) {
    case JSON_ABSENT:
    case JSON_NULL:
        node_add_null(parent, key);
        break;
    case JSON_FALSE:
    case JSON_TRUE:
        node_add_bool(parent, key, type == JSON_TRUE);
        break;
    case JSON_NUMBER:
        read_number(parent, key, value);
        break;
    case JSON_STRING:
        text = read_text(parent.doc, value);
        if (text)
            node_add_text(parent, key, text);
        break;
    case JSON_ARRAY:
        read_inside(node_add_array(parent, key), value);
        break;
    case JSON_OBJECT:
        read_inside(node_add_object(parent, key), value);
        break;
    }
}

int document_read(struct document *doc, struct span text, struct error *err)
{
    JSON_AUTO checked = {.count_max = DOCUMENT_VALUES_MAX};
    if (text.len > doc->memory_max)
        return error_set(err, -EMSGSIZE, "this JSON is larger than %zu KiB", doc->memory_max >> 10);
    int r = json_parse(&checked, text, err);
    if (r < 0)
        return r;
    // The value is the only element of an array, so that the root is read as any other value is.
    struct node all = document_array(doc);
    if (all.item)
        read_value(all, NULL, json_root(&checked));
    doc->root = cJSON_DetachItemFromArray(all.item, 0);
    cJSON_Delete(all.item);
    if (doc->err.code)
        return error_set(err, doc->err.code, "%s", doc->err.text);
    return 0;
}

/* Taking apart */

struct node document_root(struct document *doc)
{
    return doc->err.code || !doc->root ? NODE_ABSENT : (struct node){doc, doc->root};
}

enum json_type node_type(struct node node)
{
    static const enum json_type types[] = {
        [cJSON_Invalid] = JSON_ABSENT, [cJSON_NULL] = JSON_NULL,     [cJSON_False] = JSON_FALSE,
        [cJSON_True] = JSON_TRUE,      [cJSON_Number] = JSON_NUMBER, [cJSON_String] = JSON_STRING,
        [cJSON_Array] = JSON_ARRAY,    [cJSON_Object] = JSON_OBJECT,
    };
    static const enum json_type types_of_raw[UINT8_MAX + 1] = {
        ['n'] = JSON_NULL,   ['f'] = JSON_FALSE, ['t'] = JSON_TRUE,   ['-'] = JSON_NUMBER,
        ['"'] = JSON_STRING, ['['] = JSON_ARRAY, ['{'] = JSON_OBJECT, ['0' ... '9'] = JSON_NUMBER,
    };
    if (!node.item)
        return JSON_ABSENT;
    if (cJSON_IsRaw(node.item))
        return types_of_raw[(unsigned char)*node.item->valuestring];
    return types[node.item->type];
}

struct node node_first(struct node parent)
{
    bool holds = cJSON_IsObject(parent.item) || cJSON_IsArray(parent.item);
    return node_of(parent.doc, holds ? parent.item->child : NULL);
}

struct node node_next(struct node child)
{
    return node_of(child.doc, child.item ? child.item->next : NULL);
}

struct node node_get(struct node object, const char *key)
{
    struct node found = NODE_ABSENT;
    if (node_type(object) != JSON_OBJECT)
        return found;
    for (struct node member = node_first(object); member.item; member = node_next(member))
        if (strcmp(member.item->string, key) == 0)
            found = member;
    return found;
}

const char *node_text(struct node node)
{
    return cJSON_GetStringValue(node.item);
}

bool node_is(struct node node, const char *text)
{
    const char *own = node_text(node);
    return own && strcmp(own, text) == 0;
}

bool node_bool(struct node node, bool *ret_value)
{
    if (!cJSON_IsBool(node.item))
        return false;
    *ret_value = cJSON_IsTrue(node.item);
    return true;
}

// A number as it was written, or would be.
static struct span digits_of(struct node node, char *room)
{
    if (cJSON_IsNumber(node.item))
        return span_of(decimal_of_int((int64_t)node.item->valuedouble, room));
    return node_type(node) == JSON_NUMBER ? span_of(node.item->valuestring) : SPAN_ABSENT;
}

bool node_int(struct node node, int64_t *ret_value)
{
    char room[DECIMAL_SIZE];
    return span_to_i64(digits_of(node, room), ret_value);
}

bool node_fixed(struct node node, unsigned digits, int64_t *ret_value)
{
    char room[DECIMAL_SIZE];
    struct span number = digits_of(node, room);
    return number.len && json_fixed_of(number, digits, false, ret_value);
}
