#include "config/nearest.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/suggest.h"

void names_finish(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->array[i]);
    free(names->array);
}

void names_add(struct names *names, struct span name)
{
    names->array = mem_grow(names->array, names->count, &names->capacity, sizeof(char *));
    names->array[names->count++] = mem_strndup(name.data, name.len);
}

const char *names_nearest(const struct names *names, struct span name)
{
    return suggest_nearest(name, (const char *const *)names->array, names->count);
}

// "model" of "model.default", with the dot; empty for a key of the top level.
static struct span section_of(struct span key)
{
    size_t len = key.len;
    while (len && key.data[len - 1] != '.')
        len--;
    return span_make(key.data, len);
}

// Collects the part of `spelling` that stands where the unknown key's last part stands.
static void add_sibling(struct names *names, struct span section, struct span spelling)
{
    if (spelling.len <= section.len || memcmp(spelling.data, section.data, section.len) != 0)
        return;
    struct span rest = span_skip(spelling, section.len);
    names_add(names, span_cut(&rest, '.'));
}

static const char *find_elsewhere(const struct config_schema *schema, struct span name)
{
    for (size_t i = 0; i < config_schema_count(schema); i++) {
        struct span key = span_of(config_schema_at(schema, i, NULL)->key);
        if (span_equal(span_skip(key, section_of(key).len), name))
            return key.data;
    }
    return NULL;
}

char *config_nearest_key(const struct config_schema *schema, struct span key)
{
    struct span section = section_of(key);
    struct span name = span_skip(key, section.len);
    const char *elsewhere = find_elsewhere(schema, name);
    if (elsewhere)
        return mem_strdup(elsewhere);

    CLEANUP(names_finish) struct names names = {0};
    for (size_t i = 0; i < config_schema_count(schema); i++) {
        const struct option *option = config_schema_at(schema, i, NULL);
        struct span aliases = span_of(option->aliases), alias;
        add_sibling(&names, section, span_of(option->key));
        while (option_next_word(&aliases, &alias))
            add_sibling(&names, section, alias);
    }
    const char *nearest = names_nearest(&names, name);
    return nearest ? mem_printf("%.*s%s", (int)section.len, section.data, nearest) : NULL;
}
