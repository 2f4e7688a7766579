#include "codec/yaml.h"

#include <errno.h>

#include "codec/json_write.h"
#include "codec/utf8.h"
#include "fuzz.h"

enum {
    KEY_BYTES_MAX = 128, // libyaml takes no longer simple key than 1024 bytes, escapes included
};

static void check_scalar(const struct yaml_node *node, bool *portable)
{
    REQUIRE(node->value.data && node->value.data[node->value.len] == '\0');
    REQUIRE(utf8_valid(node->value));
    for (size_t i = 0; i < node->value.len; i++)
        if ((unsigned char)node->value.data[i] >= 0x7F)
            *portable = false; // YAML folds or refuses some of these
}

// Checks the tree and writes it as JSON with all scalars as text. JSON is YAML, so that must parse.
static unsigned walk(const struct yaml_node *node, struct json_writer *w, unsigned depth,
                     bool *portable)
{
    unsigned nodes = 1;
    REQUIRE(depth <= YAML_DEPTH_MAX && node->line > 0 && node->column > 0);
    if (node->kind == YAML_SEQUENCE) {
        json_write_array_begin(w);
        for (size_t i = 0; i < node->count; i++)
            nodes += walk(node->items[i], w, depth + 1, portable);
        json_write_array_end(w);
    } else if (node->kind == YAML_MAPPING) {
        json_write_object_begin(w);
        for (size_t i = 0; i < node->count; i++) {
            const struct yaml_node *key = node->pairs[i].key;
            check_scalar(key, portable);
            *portable = *portable && key->value.len <= KEY_BYTES_MAX;
            json_write_key_span(w, key->value);
            nodes += 1 + walk(node->pairs[i].value, w, depth + 1, portable);
            if (!memchr(key->value.data, '\0', key->value.len) && node->count < 100)
                REQUIRE(yaml_get(node, key->value.data) == node->pairs[i].value);
        }
        json_write_object_end(w);
    } else {
        check_scalar(node, portable);
        json_write_string(w, node->value);
    }
    REQUIRE(nodes == node->nodes);
    return nodes;
}

static void compare(const struct yaml_node *a, const struct yaml_node *b)
{
    bool scalar = a->kind == YAML_SCALAR || a->kind == YAML_NULL;
    REQUIRE(b->kind == (scalar ? YAML_SCALAR : a->kind));
    if (scalar) {
        REQUIRE(b->quoted && span_equal(a->value, b->value));
        return;
    }
    REQUIRE(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        bool mapping = a->kind == YAML_MAPPING;
        if (mapping)
            compare(a->pairs[i].key, b->pairs[i].key);
        compare(mapping ? a->pairs[i].value : a->items[i],
                mapping ? b->pairs[i].value : b->items[i]);
    }
}

static void check_sentence(const struct error *err)
{
    unsigned line = 0, column = 0;
    REQUIRE(err->code < 0);
    REQUIRE(sscanf(err->text, "%u:%u: ", &line, &column) == 2 && line > 0 && column > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    YAML_AUTO doc = YAML_DOCUMENT_INIT, again = YAML_DOCUMENT_INIT;
    struct error err = ERROR_INIT;
    if (yaml_parse(&doc, span_make(data, size), &err) < 0) {
        REQUIRE(!doc.root);
        check_sentence(&err);
        return 0;
    }
    BUF_AUTO json = BUF_INIT(YAML_BYTES_MAX);
    struct json_writer w;
    bool portable = true;
    json_writer_init(&w, &json);
    unsigned nodes = walk(doc.root, &w, 0, &portable);
    REQUIRE(nodes <= YAML_NODES_MAX);
    if (!json_write_done(&w) || !portable)
        return 0;
    int r = yaml_parse(&again, buf_span(&json), &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    REQUIRE(r == 0);
    compare(doc.root, again.root);
    return 0;
}
