#pragma once

#include "config/loaded.h"

/*
 * An OPTION_TREE on its way from the file to the value: its scalars by place, those that the option
 * names; the others are findings. Private to the folder. `path` is the option's key as it was
 * written.
 */
void tree_take(struct config *config, struct loaded *loaded, const char *path,
               const struct yaml_node *node);
