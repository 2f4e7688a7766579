#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "base/decimal.h"
#include "codec/document.h"

// In magnitude, the largest that a double tells from its neighbours.
#define EXACT_INTEGER_MAX (INT64_C(1) << 53)

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

static struct node beside(struct node node, cJSON *item)
{
    return item ? (struct node){node.doc, item} : NODE_ABSENT;
}

struct node node_first(struct node parent)
{
    bool holds = cJSON_IsObject(parent.item) || cJSON_IsArray(parent.item);
    return beside(parent, holds ? parent.item->child : NULL);
}

struct node node_next(struct node child)
{
    return beside(child, child.item ? child.item->next : NULL);
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
