#pragma once

#include <stddef.h>

#include "base/error.h"
#include "codec/yaml.h"

// Shared by yaml.c, which reads events, and yaml_tree.c, which makes nodes of them.

void *yaml_tree_alloc(struct yaml_document *doc, size_t size); // zeroed; lives with the document
char *yaml_tree_copy(struct yaml_document *doc, const char *text, size_t len); // with a NUL behind

// Give a sequence its elements, or a mapping its keys and values by turns, and count its size.
int yaml_tree_fill_sequence(struct yaml_document *doc, struct yaml_node *node,
                            struct yaml_node *const *children, size_t count, struct error *err);
int yaml_tree_fill_mapping(struct yaml_document *doc, struct yaml_node *node,
                           struct yaml_node *const *children, size_t count, struct error *err);
