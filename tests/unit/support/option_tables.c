#include "support/option_tables.h"

#include <errno.h>

static size_t field_size(enum option_type type)
{
    switch (type) {
    case OPTION_BOOL:
        return sizeof(bool);
    case OPTION_STRING:
        return sizeof(const char *);
    case OPTION_LIST:
        return sizeof(struct option_list);
    case OPTION_MAP:
    case OPTION_TREE:
        return sizeof(struct option_map);
    default:
        return sizeof(int64_t);
    }
}

// Each key and alias must lead back to its own option, which it does not when it is there twice.
static int check_spelling(const struct config_schema *schema, size_t index, struct span key,
                          struct error *err)
{
    size_t found;
    if (key.len > OPTION_KEY_MAX)
        return error_set(err, -EINVAL, "the key is longer than %d bytes", OPTION_KEY_MAX);
    if (config_schema_find(schema, key, &found) == CONFIG_MATCH_NONE || found != index)
        return error_set(err, -EINVAL, "another option has the key or alias %.*s", (int)key.len,
                         key.data);
    return 0;
}

static int check_option(const struct config_schema *schema, size_t index, struct error *err)
{
    size_t offset;
    const struct option *option = config_schema_at(schema, index, &offset);
    struct span rest = span_of(option->aliases), alias;
    union option_value value;

    int r = check_spelling(schema, index, span_of(option->key), err);
    while (r == 0 && option_next_word(&rest, &alias))
        r = check_spelling(schema, index, alias, err);
    if (r < 0)
        return r;
    if (config_schema_has_section(schema, span_of(option->key)))
        return error_set(err, -EINVAL, "other options lie beneath it");
    if (!option->help || !option->help[0])
        return error_set(err, -EINVAL, "it has no help");
    if (offset + field_size(option->type) > schema->size)
        return error_set(err, -EINVAL, "its field lies outside the struct");
    if ((option->flags & OPTION_SECRET) && option->type != OPTION_STRING &&
        option->type != OPTION_MAP)
        return error_set(err, -EINVAL, "only text and the values of a map can be secrets");
    if (option->choices && option->type != OPTION_STRING && option->type != OPTION_TREE)
        return error_set(err, -EINVAL, "choices are for text");
    if (option->type == OPTION_TREE && (!option->choices || option->env || option->fallback))
        return error_set(err, -EINVAL, "a tree has places, and comes from the file alone");
    if (option->fallback && option_is_scalar(option) &&
        option_parse(option, span_of(option->fallback), &value, err) < 0)
        return error_wrap(err, "its default");
    return 0;
}

int option_tables_check(const struct config_schema *schema, struct error *err)
{
    size_t count = config_schema_count(schema);
    for (size_t i = 0; i < count; i++)
        if (check_option(schema, i, err) < 0)
            return error_wrap(err, "option %s", config_schema_at(schema, i, NULL)->key);
    return 0;
}
