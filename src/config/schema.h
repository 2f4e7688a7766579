#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "config/option.h"

/*
 * All modules' tables together, and where each module's struct lies in the one that is filled:
 *
 *     struct hermes_config { struct llm_config llm; struct agent_config agent; };
 *     static const struct config_section sections[] = {
 *         {llm_options, &llm_option_count, offsetof(struct hermes_config, llm)},
 *         {agent_options, &agent_option_count, offsetof(struct hermes_config, agent)},
 *     };
 *     const struct config_schema hermes_schema = {
 *         sections, ARRAY_LEN(sections), sizeof(struct hermes_config)};
 */
struct config_section {
    const struct option *options;
    const size_t *count; // where the module keeps it: it is no constant expression elsewhere
    size_t offset;       // of the module's struct
};

struct config_schema {
    const struct config_section *sections;
    size_t count;
    size_t size; // bytes of the struct that is filled
};

size_t config_schema_count(const struct config_schema *schema); // of options, in all sections

// The index-th option in the order of the tables; *ret_offset (or NULL) is from the whole struct.
const struct option *config_schema_at(const struct config_schema *schema, size_t index,
                                      size_t *ret_offset);

enum config_match {
    CONFIG_MATCH_NONE,
    CONFIG_MATCH_KEY,   // the option's own key
    CONFIG_MATCH_ALIAS, // one of its other spellings
    CONFIG_MATCH_FILE,  // "<key>_file" of a secret
};

// *ret_index is set unless the answer is CONFIG_MATCH_NONE.
enum config_match config_schema_find(const struct config_schema *schema, struct span key,
                                     size_t *ret_index);

// Does any option or alias lie beneath `prefix`, as "model.default" does beneath "model"?
bool config_schema_has_section(const struct config_schema *schema, struct span prefix);

// The table of `hermes config keys`: key, kind, default, environment, help.
void config_render_keys(const struct config_schema *schema, struct buf *out);
