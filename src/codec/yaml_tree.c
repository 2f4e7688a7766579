/*
 * Nodes are taken from blocks that are freed together, so there is no ownership inside the tree and
 * sharing a node is free. Every node knows how many nodes it stands for when aliases are followed;
 * that number is what bounds all work on the tree, this file's included.
 */
#include "codec/yaml_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

struct yaml_block {
    struct yaml_block *next;
    size_t used, size; // bytes of data
    _Alignas(max_align_t) char data[];
};

void *yaml_tree_alloc(struct yaml_document *doc, size_t size)
{
    enum { BLOCK_BYTES = 4000 };
    size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct yaml_block *block = doc->blocks;
    if (!block || block->size - block->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = mem_zalloc(sizeof *block + room);
        block->size = room;
        block->next = doc->blocks;
        doc->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += size;
    return memory;
}

char *yaml_tree_copy(struct yaml_document *doc, const char *text, size_t len)
{
    char *copy = yaml_tree_alloc(doc, len + 1);
    memcpy(copy, text, len);
    return copy;
}

void yaml_finish(struct yaml_document *doc)
{
    if (!doc)
        return;
    for (struct yaml_block *block = doc->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *doc = (struct yaml_document)YAML_DOCUMENT_INIT;
}

static int count_in(struct yaml_node *parent, const struct yaml_node *child, struct error *err)
{
    parent->nodes += child->nodes; // both are at most YAML_NODES_MAX
    if (parent->depth < child->depth + 1)
        parent->depth = child->depth + 1;
    if (parent->nodes <= YAML_NODES_MAX)
        return 0;
    return error_set(err, -EMSGSIZE,
                     "%u:%u: with its aliases followed this holds more than %d values",
                     parent->line, parent->column, YAML_NODES_MAX);
}

int yaml_tree_fill_sequence(struct yaml_document *doc, struct yaml_node *node,
                            struct yaml_node *const *children, size_t count, struct error *err)
{
    node->items = yaml_tree_alloc(doc, count * sizeof *node->items);
    node->count = count;
    for (size_t i = 0; i < count; i++) {
        node->items[i] = children[i];
        int r = count_in(node, children[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Mappings: duplicates and merges are found by sorting, as a file may hold 50,000 keys. */

struct member {
    struct yaml_pair pair;
    size_t order; // in the text; merged ones follow
    bool merged, dropped;
};

struct members {
    struct member *list;
    size_t count, capacity;
};

static void members_finish(struct members *members)
{
    free(members->list);
}

static void add(struct members *members, struct yaml_pair pair, bool merged)
{
    members->list =
        mem_grow(members->list, members->count, &members->capacity, sizeof *members->list);
    members->list[members->count] = (struct member){pair, members->count, merged, false};
    members->count++;
}

static bool is_merge_key(const struct yaml_node *key)
{
    return key->kind == YAML_SCALAR && !key->quoted && span_is(key->value, "<<");
}

static int add_mapping(struct yaml_document *doc, struct members *members,
                       const struct yaml_node *from, struct error *err)
{
    if (from->kind != YAML_MAPPING)
        return error_set(err, -EBADMSG, "%u:%u: << takes a mapping or a list of mappings",
                         from->line, from->column);
    doc->merged += from->count;
    if (doc->merged > YAML_NODES_MAX)
        return error_set(err, -EMSGSIZE, "%u:%u: << copies more than %d members", from->line,
                         from->column, YAML_NODES_MAX);
    for (size_t i = 0; i < from->count; i++)
        add(members, from->pairs[i], true);
    return 0;
}

// The merge key of YAML 1.1's type repository: a mapping, or a list of which earlier ones win.
static int add_merge(struct yaml_document *doc, struct members *members,
                     const struct yaml_node *from, struct error *err)
{
    if (from->kind != YAML_SEQUENCE)
        return add_mapping(doc, members, from, err);
    int r = 0;
    for (size_t i = 0; r == 0 && i < from->count; i++)
        r = add_mapping(doc, members, from->items[i], err);
    return r;
}

static int collect(struct yaml_document *doc, struct members *members,
                   struct yaml_node *const *children, size_t count, struct error *err)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        const struct yaml_node *key = children[i];
        if (key->kind != YAML_SCALAR && key->kind != YAML_NULL)
            return error_set(err, -EBADMSG, "%u:%u: a key must be text, not a list or a mapping",
                             key->line, key->column);
        if (!is_merge_key(key))
            add(members, (struct yaml_pair){key, children[i + 1]}, false);
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < count; i += 2)
        if (is_merge_key(children[i]))
            r = add_merge(doc, members, children[i + 1], err);
    return r;
}

static int compare_keys(const struct member *a, const struct member *b)
{
    struct span x = a->pair.key->value, y = b->pair.key->value;
    int r = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return r ? r : (x.len > y.len) - (x.len < y.len);
}

static int by_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static int by_key(const void *a, const void *b)
{
    int r = compare_keys(a, b);
    return r ? r : by_order(a, b);
}

static int drop_duplicates(struct members *members, struct error *err)
{
    if (members->count > 1)
        qsort(members->list, members->count, sizeof *members->list, by_key);
    for (size_t i = 1, first = 0; i < members->count; i++) {
        struct member *a = &members->list[first], *b = &members->list[i];
        if (compare_keys(a, b) != 0)
            first = i;
        else if (!b->merged) {
            enum { SHOWN_BYTES = 60 };
            int shown =
                b->pair.key->value.len < SHOWN_BYTES ? (int)b->pair.key->value.len : SHOWN_BYTES;
            return error_set(err, -EBADMSG, "%u:%u: the key \"%.*s\" is already given on line %u",
                             b->pair.key->line, b->pair.key->column, shown, b->pair.key->value.data,
                             a->pair.key->line);
        } else
            b->dropped = true; // what the mapping says itself, or an earlier merge, wins
    }
    if (members->count > 1)
        qsort(members->list, members->count, sizeof *members->list, by_order);
    return 0;
}

int yaml_tree_fill_mapping(struct yaml_document *doc, struct yaml_node *node,
                           struct yaml_node *const *children, size_t count, struct error *err)
{
    CLEANUP(members_finish) struct members members = {0};
    int r = collect(doc, &members, children, count, err);
    if (r == 0)
        r = drop_duplicates(&members, err);
    if (r < 0)
        return r;
    node->pairs = yaml_tree_alloc(doc, members.count * sizeof *node->pairs);
    for (size_t i = 0; r == 0 && i < members.count; i++) {
        if (members.list[i].dropped)
            continue;
        struct yaml_pair pair = members.list[i].pair;
        node->pairs[node->count++] = pair;
        r = count_in(node, pair.key, err);
        if (r == 0)
            r = count_in(node, pair.value, err);
    }
    return r;
}

/* Looking things up */

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (span_is(mapping->pairs[i].key->value, key))
            return mapping->pairs[i].value;
    return NULL;
}
