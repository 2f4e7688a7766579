/*
 * libyaml delivers events; the tree is built from them here and not by libyaml's own loader, which
 * knows no limits, no merge keys and no duplicate keys. Everything is refused while it is read:
 * nothing is ever built that is larger than the limits in yaml.h, however an alias multiplies it.
 */
#include "codec/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/mem.h"
#include "codec/yaml_tree.h"

struct anchor {
    const char *name;
    struct yaml_node *node;
};

struct frame {
    struct yaml_node *node;
    size_t first; // index in builder.pending of its first child
};

struct builder {
    struct yaml_document *doc;
    struct span text;
    struct error *err;
    yaml_parser_t parser;
    struct yaml_node *root;
    struct yaml_node **pending; // children whose parent is not finished yet
    size_t pending_count, pending_capacity;
    size_t made; // nodes and aliases so far
    unsigned depth;
    unsigned anchor_count;
    struct frame frames[YAML_DEPTH_MAX];
    struct anchor anchors[YAML_ANCHORS_MAX];
};

/* Sentences */

static int fail_at(const struct builder *b, yaml_mark_t mark, int code, const char *what)
{
    return error_set(b->err, code, "%zu:%zu: %s", mark.line + 1, mark.column + 1, what);
}

static struct span line_at(struct span text, size_t number)
{
    struct span line = span_cut(&text, '\n');
    while (number-- > 0)
        line = span_cut(&text, '\n');
    return line;
}

// libyaml says "cannot start any token" for what people do most: indent with a tab.
static bool is_indented_with_tab(struct span line)
{
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
    if (is_indented_with_tab(line_at(b->text, mark.line)))
        return fail_at(b, mark, -EBADMSG, "YAML is indented with spaces, this line has a tab");
    if (!parser->context)
        return fail_at(b, mark, -EBADMSG, problem);
    return error_set(b->err, -EBADMSG, "%zu:%zu: %s, %s that begins on line %zu", mark.line + 1,
                     mark.column + 1, problem, parser->context, parser->context_mark.line + 1);
}

/* Nodes */

static int make_node(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
                     struct yaml_node **ret_node)
{
    if (++b->made > YAML_NODES_MAX)
        return error_set(b->err, -EMSGSIZE, "%zu:%zu: there are more than %d values",
                         event->start_mark.line + 1, event->start_mark.column + 1, YAML_NODES_MAX);
    struct yaml_node *node = yaml_tree_alloc(b->doc, sizeof *node);
    *node = (struct yaml_node){
        .kind = kind,
        .line = (unsigned)event->start_mark.line + 1,
        .column = (unsigned)event->start_mark.column + 1,
        .nodes = 1,
    };
    *ret_node = node;
    return 0;
}

static void place(struct builder *b, struct yaml_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    b->pending = mem_grow(b->pending, b->pending_count, &b->pending_capacity, sizeof *b->pending);
    b->pending[b->pending_count++] = node;
}

// A later anchor of the same name takes it over (YAML 1.2.2, section 7.1): so search backwards.
static int remember_anchor(struct builder *b, const yaml_event_t *event, const yaml_char_t *name,
                           struct yaml_node *node)
{
    if (!name)
        return 0;
    if (b->anchor_count == YAML_ANCHORS_MAX)
        return error_set(b->err, -EMSGSIZE, "%zu:%zu: there are more than %d anchors",
                         event->start_mark.line + 1, event->start_mark.column + 1,
                         YAML_ANCHORS_MAX);
    const char *text = (const char *)name;
    b->anchors[b->anchor_count++] =
        (struct anchor){yaml_tree_copy(b->doc, text, strlen(text)), node};
    return 0;
}

static bool is_open(const struct builder *b, const struct yaml_node *node)
{
    for (unsigned i = 0; i < b->depth; i++)
        if (b->frames[i].node == node)
            return true;
    return false;
}

static int take_alias(struct builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (unsigned i = b->anchor_count; i-- > 0;) {
        struct yaml_node *node = b->anchors[i].node;
        if (strcmp(b->anchors[i].name, name) != 0)
            continue;
        if (is_open(b, node))
            return fail_at(b, event->start_mark, -EBADMSG, "this alias contains itself");
        if (b->depth + node->depth > YAML_DEPTH_MAX)
            return fail_at(b, event->start_mark, -EMSGSIZE, "this alias nests too deep");
        if (++b->made > YAML_NODES_MAX)
            return fail_at(b, event->start_mark, -EMSGSIZE, "there are too many aliases");
        place(b, node);
        return 0;
    }
    return fail_at(b, event->start_mark, -EBADMSG, "no anchor of this name precedes the alias");
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
static int check_scalar_tag(const struct builder *b, const yaml_event_t *event, bool *ret_quoted)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    *ret_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!tag)
        return 0;
    *ret_quoted = is_tag(tag, YAML_STR_TAG) || is_tag(tag, "!");
    if (*ret_quoted || is_tag(tag, YAML_INT_TAG) || is_tag(tag, YAML_FLOAT_TAG) ||
        is_tag(tag, YAML_BOOL_TAG) || is_tag(tag, YAML_NULL_TAG))
        return 0;
    return fail_at(b, event->start_mark, -EBADMSG, "this tag (!...) is not supported");
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
    struct yaml_node *node = NULL;
    bool quoted = false;
    int r = check_scalar_tag(b, event, &quoted);
    if (r == 0)
        r = make_node(b, event, YAML_SCALAR, &node);
    if (r == 0)
        r = remember_anchor(b, event, event->data.scalar.anchor, node);
    if (r < 0)
        return r;
    size_t len = event->data.scalar.length;
    node->value.data = yaml_tree_copy(b->doc, (const char *)event->data.scalar.value, len);
    node->value.len = len;
    node->quoted = quoted;
    if (!quoted && is_null(node->value))
        node->kind = YAML_NULL;
    place(b, node);
    return 0;
}

static int begin(struct builder *b, const yaml_event_t *event)
{
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag =
        mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *anchor =
        mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (tag && !is_tag(tag, "!") && !is_tag(tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG))
        return fail_at(b, event->start_mark, -EBADMSG, "this tag (!...) is not supported");
    if (b->depth == YAML_DEPTH_MAX)
        return fail_at(b, event->start_mark, -EMSGSIZE, "this nests too deep");

    struct yaml_node *node = NULL;
    int r = make_node(b, event, mapping ? YAML_MAPPING : YAML_SEQUENCE, &node);
    if (r == 0)
        r = remember_anchor(b, event, anchor, node);
    if (r < 0)
        return r;
    node->depth = 1;
    place(b, node);
    b->frames[b->depth++] = (struct frame){node, b->pending_count};
    return 0;
}

static int end(struct builder *b)
{
    struct frame frame = b->frames[--b->depth];
    struct yaml_node *const *children = b->pending ? &b->pending[frame.first] : NULL;
    size_t count = b->pending_count - frame.first;
    b->pending_count = frame.first;
    if (frame.node->kind == YAML_MAPPING)
        return yaml_tree_fill_mapping(b->doc, frame.node, children, count, b->err);
    return yaml_tree_fill_sequence(b->doc, frame.node, children, count, b->err);
}

static int take(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return fail_at(b, event->start_mark, -EBADMSG,
                           "a second document begins here, "
                           "only one is allowed");
        return 0;
    case YAML_ALIAS_EVENT:
        return take_alias(b, event);
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return begin(b, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end(b);
    default:
        return 0;
    }
}

static int build(struct builder *b)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return fail_in_libyaml(b);
        bool done = event.type == YAML_STREAM_END_EVENT;
        int r = take(b, &event);
        yaml_event_delete(&event);
        if (r < 0 || done)
            return r;
    }
}

static const struct yaml_node *empty_root(struct yaml_document *doc)
{
    struct yaml_node *node = yaml_tree_alloc(doc, sizeof *node);
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
    int r = build(b);
    yaml_parser_delete(&b->parser);
    free(b->pending);
    if (r < 0)
        yaml_finish(doc);
    else
        doc->root = b->root ? b->root : empty_root(doc);
    return r;
}
