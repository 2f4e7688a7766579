#pragma once

#include "codec/yaml.h"
#include "config/config.h"
#include "config/findings.h"
#include "config/value.h"
#include "config/variables.h"

// The inside of a struct config. Private to the folder.

struct loaded {
    struct config_setting setting; // what config.h shows of the value; points into it
    struct value value;            // the one that counts
    struct value from_file;        // emptied once it has been weighed against the others
    struct place file_place;       // of from_file's key; line 0: the file does not have the option
    enum config_match file_match;
};

struct config {
    const struct config_schema *schema;
    char *path; // of config.yaml; NULL: none
    struct loaded *loaded;
    size_t count;
    struct findings findings;
    struct variables variables;
};

// Where something stands in config.yaml, and with the key that it is told of by.
static inline struct place place_of(const struct config *config, const struct yaml_node *node)
{
    return (struct place){config->path, node->line, node->column};
}

static inline struct value_source source_of(struct config *config, const char *key,
                                            const struct yaml_node *node)
{
    return (struct value_source){&config->findings, &config->variables.layered,
                                 place_of(config, node), span_of(key)};
}

/*
 * Reads config->path into the options' from_file, and adds what it finds. A file with an error in
 * it is read to its end; one that cannot be read or is not YAML leaves just that finding.
 */
void config_read_file(struct config *config);

/*
 * An OPTION_TREE on its way from the file to the value: its scalars by place, those that the option
 * names; the others are findings. `path` is the option's key as it was written.
 */
void tree_take(struct config *config, struct loaded *loaded, const char *path,
               const struct yaml_node *node);
