#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

/*
 * One YAML document as a tree. The meaning of a text (a number, a switch) is left to whoever uses
 * the tree, because only there is it known what was wanted; `quoted` tells text from what may be
 * typed. The tree is read-only and may share nodes: an alias is the node that its anchor names.
 */

enum {
    YAML_BYTES_MAX = 1 << 20, // of one document
    YAML_DEPTH_MAX = 64,      // levels, aliases followed
    YAML_NODES_MAX = 100000,  // keys and values, aliases followed: a bomb is refused by this
    YAML_ANCHORS_MAX = 256,
};

enum yaml_kind {
    YAML_NULL, // nothing, ~ or null; `value` has its bytes
    YAML_SCALAR,
    YAML_SEQUENCE,
    YAML_MAPPING,
};

struct yaml_node {
    enum yaml_kind kind;
    bool quoted; // in quotes, a block (| or >) or tagged !!str: text, whatever it looks like
    unsigned line, column; // where it begins, from 1
    struct span value;     // of a scalar: UTF-8 with a NUL behind it; may hold U+0000
    size_t count;          // elements or members
    union {
        struct yaml_node **items; // of a sequence
        struct yaml_pair *pairs;  // of a mapping, in the order of the text, merges (<<) applied
    };
    unsigned nodes, depth; // of the whole tree below, itself included, aliases followed
};

struct yaml_pair {
    const struct yaml_node *key; // a scalar or null; unique by its text within the mapping
    struct yaml_node *value;
};

struct yaml_document {
    const struct yaml_node *root; // NULL while nothing is parsed; an empty document is a YAML_NULL
    struct yaml_block *blocks;    // owns everything
    size_t merged;                // members that merges have copied so far: bounds them
};

#define YAML_DOCUMENT_INIT \
    {                      \
        NULL, NULL, 0      \
    }

/*
 * The text need not live on. Sentences begin with "line:column: ", so that the caller puts the
 * file's name and a colon before them. -EBADMSG: not YAML, duplicate keys, several documents or a
 * tag that means nothing here; -EMSGSIZE: a limit above. After a failure the document is empty.
 */
int yaml_parse(struct yaml_document *doc, struct span text, struct error *err);
void yaml_finish(struct yaml_document *doc); // accepts NULL and zeroed
#define YAML_AUTO CLEANUP(yaml_finish) struct yaml_document

// The member of that name; NULL when there is none, or `mapping` is NULL or no mapping.
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
