/*
 * libyaml delivers events; the tree is built from them here and not by libyaml's own loader, which
 * knows no limits, no merge keys and no duplicate keys. Everything is refused while it is read:
 * nothing is ever built that is larger than the limits in yaml.h, however an alias multiplies it.
 *
 * Nodes are freed together, so there is no ownership inside the tree and sharing a node is free.
 * Every node knows how many nodes it stands for when aliases are followed; that number is what
 * bounds all work on the tree, this file's included.
 */
#include "codec/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/mem.h"

struct anchor {
    const char *name;
    struct yaml_node *node;
};

struct builder {
    struct yaml_document *doc;
    struct span text;
    struct error *err;
    yaml_parser_t parser;
    yaml_event_t event;
    struct yaml_node **pending; // those whose parent is not finished yet; at the end, the root
    size_t pending_count, pending_capacity;
    size_t made; // nodes and aliases so far
    unsigned depth;
    unsigned anchor_count;
    struct anchor anchors[YAML_ANCHORS_MAX];
};

/* Memory */

struct yaml_block {
    struct yaml_block *next;
    _Alignas(max_align_t) char data[];
};

static void *allocate(struct yaml_document *doc, size_t size)
{
    struct yaml_block *block = mem_zalloc(sizeof *block + size);
    block->next = doc->blocks;
    doc->blocks = block;
    return block->data;
}

static char *copy(struct yaml_document *doc, const void *text, size_t len)
{
    return memcpy(allocate(doc, len + 1), text, len);
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

/* Sentences */

static int fail_at(const struct builder *b, yaml_mark_t mark, int code, const char *what)
{
    return error_set(b->err, code, "%zu:%zu: %s", mark.line + 1, mark.column + 1, what);
}

// At the present event.
static int fail(const struct builder *b, int code, const char *what)
{
    return fail_at(b, b->event.start_mark, code, what);
}

// libyaml says "cannot start any token" for what people do most: indent with a tab.
static bool is_indented_with_tab(struct span text, size_t line_number)
{
    struct span line = span_cut(&text, '\n');
    while (line_number-- > 0)
        line = span_cut(&text, '\n');
    for (size_t i = 0; i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'); i++)
        if (line.data[i] == '\t')
            return true;
    return false;
}

static yaml_mark_t mark_of_offset(struct span text, size_t offset)
{
    yaml_mark_t mark = {offset, 0, 0};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        mark.column = text.data[i] == '\n' ? 0 : mark.column + 1;
        mark.line += text.data[i] == '\n';
    }
    return mark;
}

static int fail_in_libyaml(const struct builder *b)
{
    const yaml_parser_t *parser = &b->parser;
    yaml_mark_t mark = parser->problem_mark;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR)
        return error_set(b->err, -ENOMEM, "out of memory for YAML of %zu bytes", b->text.len);
    if (parser->error == YAML_READER_ERROR)
        return fail_at(b, mark_of_offset(b->text, parser->problem_offset), -EBADMSG, problem);
    if (is_indented_with_tab(b->text, mark.line))
        return fail_at(b, mark, -EBADMSG, "YAML is indented with spaces, this line has a tab");
    if (!parser->context)
        return fail_at(b, mark, -EBADMSG, problem);
    return error_set(b->err, -EBADMSG, "%zu:%zu: %s, %s that begins on line %zu", mark.line + 1,
                     mark.column + 1, problem, parser->context, parser->context_mark.line + 1);
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

/* Mappings: duplicates and merges are found by sorting, as a file may hold 50,000 keys. */

struct member {
    struct yaml_pair pair;
    bool merged, dropped;
};

struct members {
    struct member *list; // in the order of the text; merged ones follow
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
    members->list[members->count++] = (struct member){pair, merged, false};
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

static int by_key(const void *a, const void *b)
{
    const struct member *x = *(const struct member *const *)a,
                        *y = *(const struct member *const *)b;
    int r = compare_keys(x, y);
    return r ? r : (x > y) - (x < y);
}

static int drop_duplicates(struct members *members, struct error *err)
{
    enum { SHOWN_BYTES = 60 };
    CLEANUP(mem_cleanup)
    struct member **sorted = mem_alloc(members->count * sizeof *sorted);
    for (size_t i = 0; i < members->count; i++)
        sorted[i] = &members->list[i];
    qsort(sorted, members->count, sizeof *sorted, by_key);
    for (size_t i = 1, first = 0; i < members->count; i++) {
        const struct yaml_node *key = sorted[i]->pair.key;
        sorted[i]->dropped = compare_keys(sorted[first], sorted[i]) == 0;
        if (!sorted[i]->dropped)
            first = i;
        else if (!sorted[i]->merged) // else what the mapping says itself, or an earlier merge, wins
            return error_set(err, -EBADMSG, "%u:%u: the key \"%.*s\" is already given on line %u",
                             key->line, key->column,
                             (int)(key->value.len < SHOWN_BYTES ? key->value.len : SHOWN_BYTES),
                             key->value.data, sorted[first]->pair.key->line);
    }
    return 0;
}

static int fill_mapping(struct builder *b, struct yaml_node *node,
                        struct yaml_node *const *children, size_t count)
{
    CLEANUP(members_finish) struct members members = {0};
    int r = collect(b->doc, &members, children, count, b->err);
    if (r == 0)
        r = drop_duplicates(&members, b->err);
    if (r < 0)
        return r;
    node->pairs = allocate(b->doc, members.count * sizeof *node->pairs);
    for (size_t i = 0; r == 0 && i < members.count; i++) {
        struct yaml_pair pair = members.list[i].pair;
        if (members.list[i].dropped)
            continue;
        node->pairs[node->count++] = pair;
        r = count_in(node, pair.key, b->err);
        if (r == 0)
            r = count_in(node, pair.value, b->err);
    }
    return r;
}

static int fill_sequence(struct builder *b, struct yaml_node *node,
                         struct yaml_node *const *children, size_t count)
{
    int r = 0;
    node->items = allocate(b->doc, count * sizeof *node->items);
    for (; r == 0 && node->count < count; node->count++) {
        node->items[node->count] = children[node->count];
        r = count_in(node, children[node->count], b->err);
    }
    return r;
}

/* Nodes */

static void add_pending(struct builder *b, struct yaml_node *node)
{
    b->pending = mem_grow(b->pending, b->pending_count, &b->pending_capacity, sizeof *b->pending);
    b->pending[b->pending_count++] = node;
}

// The present event's node, which is pending then.
static int make_node(struct builder *b, enum yaml_kind kind, const yaml_char_t *anchor,
                     struct yaml_node **ret_node)
{
    yaml_mark_t mark = b->event.start_mark;
    if (++b->made > YAML_NODES_MAX)
        return error_set(b->err, -EMSGSIZE, "%zu:%zu: there are more than %d values", mark.line + 1,
                         mark.column + 1, YAML_NODES_MAX);
    if (anchor && b->anchor_count == YAML_ANCHORS_MAX)
        return error_set(b->err, -EMSGSIZE, "%zu:%zu: there are more than %d anchors",
                         mark.line + 1, mark.column + 1, YAML_ANCHORS_MAX);
    struct yaml_node *node = allocate(b->doc, sizeof *node);
    node->kind = kind;
    node->line = (unsigned)mark.line + 1;
    node->column = (unsigned)mark.column + 1;
    if (anchor) {
        const char *name = copy(b->doc, anchor, strlen((const char *)anchor));
        b->anchors[b->anchor_count++] = (struct anchor){name, node};
    }
    add_pending(b, node);
    *ret_node = node;
    return 0;
}

// A later anchor of the same name takes it over (YAML 1.2.2, section 7.1): so search backwards.
static int take_alias(struct builder *b)
{
    const char *name = (const char *)b->event.data.alias.anchor;
    unsigned i = b->anchor_count;
    while (i > 0 && strcmp(b->anchors[i - 1].name, name) != 0)
        i--;
    if (i == 0)
        return fail(b, -EBADMSG, "no anchor of this name precedes the alias");
    struct yaml_node *node = b->anchors[i - 1].node;
    if (node->nodes == 0) // it is being read
        return fail(b, -EBADMSG, "this alias contains itself");
    if (b->depth + node->depth > YAML_DEPTH_MAX)
        return fail(b, -EMSGSIZE, "this alias nests too deep");
    if (++b->made > YAML_NODES_MAX)
        return fail(b, -EMSGSIZE, "there are too many aliases");
    add_pending(b, node);
    return 0;
}

static bool is_tag(const yaml_char_t *tag, const char *wanted)
{
    return strcmp((const char *)tag, wanted) == 0;
}

static bool is_null(struct span text)
{
    return text.len == 0 || span_is(text, "~") || span_is(text, "null") || span_is(text, "Null") ||
           span_is(text, "NULL");
}

// The core schema's tags for scalars; "!" alone makes text of anything (YAML 1.2.2, section 6.9.1).
static int take_scalar(struct builder *b)
{
    const yaml_char_t *tag = b->event.data.scalar.tag;
    bool quoted = b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (tag)
        quoted = is_tag(tag, YAML_STR_TAG) || is_tag(tag, "!");
    if (tag && !quoted && !is_tag(tag, YAML_INT_TAG) && !is_tag(tag, YAML_FLOAT_TAG) &&
        !is_tag(tag, YAML_BOOL_TAG) && !is_tag(tag, YAML_NULL_TAG))
        return fail(b, -EBADMSG, "this tag (!...) is not supported");
    struct yaml_node *node = NULL;
    int r = make_node(b, YAML_SCALAR, b->event.data.scalar.anchor, &node);
    if (r < 0)
        return r;
    size_t len = b->event.data.scalar.length;
    node->value = span_make(copy(b->doc, b->event.data.scalar.value, len), len);
    node->quoted = quoted;
    node->nodes = 1;
    if (!quoted && is_null(node->value))
        node->kind = YAML_NULL;
    return 0;
}

static int next_event(struct builder *b)
{
    yaml_event_delete(&b->event);
    return yaml_parser_parse(&b->parser, &b->event) ? 0 : fail_in_libyaml(b);
}

static int take_node(struct builder *b); // at most YAML_DEPTH_MAX inside each other

static int take_collection(struct builder *b, enum yaml_kind kind, const yaml_char_t *tag,
                           const yaml_char_t *anchor)
{
    if (tag && !is_tag(tag, "!") &&
        !is_tag(tag, kind == YAML_MAPPING ? YAML_MAP_TAG : YAML_SEQ_TAG))
        return fail(b, -EBADMSG, "this tag (!...) is not supported");
    if (b->depth == YAML_DEPTH_MAX)
        return fail(b, -EMSGSIZE, "this nests too deep");
    struct yaml_node *node = NULL;
    int r = make_node(b, kind, anchor, &node);
    size_t first = b->pending_count;
    yaml_event_type_t end = kind == YAML_MAPPING ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    b->depth++;
    while (r == 0 && (r = next_event(b)) == 0 && b->event.type != end)
        r = take_node(b);
    b->depth--;
    if (r < 0)
        return r;
    node->nodes = node->depth = 1;
    struct yaml_node *const *children = b->pending + first;
    size_t count = b->pending_count - first;
    b->pending_count = first;
    return kind == YAML_MAPPING ? fill_mapping(b, node, children, count)
                                : fill_sequence(b, node, children, count);
}

static int take_node(struct builder *b)
{
    const yaml_event_t *event = &b->event;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return take_alias(b);
    case YAML_SCALAR_EVENT:
        return take_scalar(b);
    case YAML_SEQUENCE_START_EVENT:
        return take_collection(b, YAML_SEQUENCE, event->data.sequence_start.tag,
                               event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return take_collection(b, YAML_MAPPING, event->data.mapping_start.tag,
                               event->data.mapping_start.anchor);
    case YAML_DOCUMENT_START_EVENT:
        if (b->pending_count)
            return fail(b, -EBADMSG, "a second document begins here, only one is allowed");
        return 0;
    default:
        return 0;
    }
}

static const struct yaml_node *empty_root(struct yaml_document *doc)
{
    struct yaml_node *node = allocate(doc, sizeof *node);
    *node =
        (struct yaml_node){.kind = YAML_NULL, .line = 1, .column = 1, .value = {"", 0}, .nodes = 1};
    return node;
}

int yaml_parse(struct yaml_document *doc, struct span text, struct error *err)
{
    yaml_finish(doc);
    if (text.len > YAML_BYTES_MAX)
        return error_set(err, -EMSGSIZE, "1:1: YAML of more than %d bytes", YAML_BYTES_MAX);
    static const char bom[] = "\xEF\xBB\xBF";
    if (span_starts_with(text, bom))
        text = span_skip(text, sizeof bom - 1);
    CLEANUP(mem_cleanup) struct builder *b = mem_new(struct builder); // large for a stack
    b->doc = doc;
    b->text = text;
    b->err = err;
    if (!yaml_parser_initialize(&b->parser))
        return error_set(err, -ENOMEM, "out of memory for a YAML parser");
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b->parser, (const yaml_char_t *)(text.data ? text.data : ""),
                                 text.len);
    int r = 0;
    while (r == 0 && (r = next_event(b)) == 0 && b->event.type != YAML_STREAM_END_EVENT)
        r = take_node(b);
    yaml_event_delete(&b->event);
    yaml_parser_delete(&b->parser);
    if (r < 0)
        yaml_finish(doc);
    else
        doc->root = b->pending_count ? b->pending[0] : empty_root(doc);
    free(b->pending);
    return r;
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (span_is(mapping->pairs[i].key->value, key))
            return mapping->pairs[i].value;
    return NULL;
}
