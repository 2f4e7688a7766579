#include "config/schema.h"

size_t config_schema_count(const struct config_schema *schema)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->count; i++)
        count += *schema->sections[i].count;
    return count;
}

const struct option *config_schema_at(const struct config_schema *schema, size_t index,
                                      size_t *ret_offset)
{
    const struct config_section *section = schema->sections;
    while (index >= *section->count)
        index -= *(section++)->count;
    const struct option *option = &section->options[index];
    if (ret_offset)
        *ret_offset = section->offset + option->offset;
    return option;
}

static enum config_match match(const struct option *option, struct span key)
{
    if (span_is(key, option->key))
        return CONFIG_MATCH_KEY;
    if (option_words_have(option->aliases, key))
        return CONFIG_MATCH_ALIAS;
    size_t len = strlen(option->key);
    if (option_has_file(option) && key.len == len + 5 && span_ends_with(key, "_file") &&
        memcmp(key.data, option->key, len) == 0)
        return CONFIG_MATCH_FILE;
    return CONFIG_MATCH_NONE;
}

enum config_match config_schema_find(const struct config_schema *schema, struct span key,
                                     size_t *ret_index)
{
    for (size_t i = 0; i < config_schema_count(schema); i++) {
        enum config_match found = match(config_schema_at(schema, i, NULL), key);
        if (found != CONFIG_MATCH_NONE) {
            *ret_index = i;
            return found;
        }
    }
    return CONFIG_MATCH_NONE;
}

static bool lies_beneath(struct span key, struct span prefix)
{
    return key.len > prefix.len && key.data[prefix.len] == '.' &&
           memcmp(key.data, prefix.data, prefix.len) == 0;
}

bool config_schema_has_section(const struct config_schema *schema, struct span prefix)
{
    for (size_t i = 0; i < config_schema_count(schema); i++) {
        const struct option *option = config_schema_at(schema, i, NULL);
        struct span rest = span_of(option->aliases), alias;
        if (lies_beneath(span_of(option->key), prefix))
            return true;
        while (option_next_word(&rest, &alias))
            if (lies_beneath(alias, prefix))
                return true;
    }
    return false;
}

static const char *default_text(const struct option *option, char *number)
{
    union option_value value;
    bool has_unit = option->type == OPTION_BYTES || option->type == OPTION_DURATION ||
                    option->type == OPTION_SHARE;
    if (has_unit && option_parse(option, span_of(option->fallback), &value, NULL) == 0)
        return option_format_number(option, value.number, number);
    return option->fallback[0] ? option->fallback : "\"\"";
}

static void render_key(const struct option *option, struct buf *out)
{
    char number[OPTION_NUMBER_SIZE];
    buf_printf(out, "%-36s %s", option->key, option_type_name(option->type));
    if (option->flags & OPTION_SECRET)
        buf_append_text(out, ", secret");
    if (option->fallback)
        buf_printf(out, ", default %s", default_text(option, number));
    buf_printf(out, "\n    %s\n", option->help);
    if (option->choices)
        buf_printf(out, "    %s: %s\n", option->type == OPTION_TREE ? "used" : "one of",
                   option->choices);
    if (option->env)
        buf_printf(out, "    environment: %s%s\n", option->env,
                   option->flags & OPTION_ENV_WINS ? " (beats the file)" : "");
    if (option_has_file(option))
        buf_printf(out, "    or %s_file: the path of a file that holds it\n", option->key);
    if (option->aliases)
        buf_printf(out, "    also written: %s\n", option->aliases);
}

void config_render_keys(const struct config_schema *schema, struct buf *out)
{
    for (size_t i = 0; i < config_schema_count(schema); i++)
        render_key(config_schema_at(schema, i, NULL), out);
}
