#include "config/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/suggest.h"
#include "config/foreign.h"
#include "config/value.h"

/*
 * Sections that are lists of mappings belong to files which other programs wrote first, and most of
 * what stands in them means nothing here: so what is not used is told of and never an error, and
 * neither is a variable that is not set, because it may be the key of something that nobody asks.
 */
enum {
    PLACE_SIZE = 256,    // bytes of a place, or of a path that is shown; a longer one is not used
    SUGGESTIONS_MAX = 16 // names that are compared with an unknown one
};

struct tree {
    struct config *config;
    struct loaded *loaded;
    bool good;
};

// Takes the last part off *place.
static struct span cut_last(struct span *place)
{
    size_t len = place->len;
    while (len && place->data[len - 1] != '.')
        len--;
    struct span last = span_skip(*place, len);
    place->len = len ? len - 1 : 0;
    return last;
}

// Is `place` what `pattern` names, in which "*" is any part?
static bool matches(struct span pattern, struct span place)
{
    while (pattern.len && place.len) {
        struct span wanted = span_cut(&pattern, '.'), part = span_cut(&place, '.');
        if (!span_equal(wanted, part) && !span_is(wanted, "*"))
            return false;
    }
    return pattern.len == 0 && place.len == 0;
}

static bool is_used(const struct option *option, struct span place)
{
    struct span rest = span_of(option->choices), pattern;
    while (option_next_word(&rest, &pattern))
        if (matches(pattern, place))
            return true;
    return false;
}

// The used name in the same section that is spelled like the last part of `place`; the caller's.
static char *nearest_to(const struct option *option, struct span place)
{
    struct span section = place, rest = span_of(option->choices), pattern;
    struct span name = cut_last(&section);
    char *names[SUGGESTIONS_MAX], *found = NULL;
    size_t count = 0;
    while (count < SUGGESTIONS_MAX && option_next_word(&rest, &pattern)) {
        struct span last = cut_last(&pattern);
        if (matches(pattern, section))
            names[count++] = mem_strndup(last.data, last.len);
    }
    const char *nearest = suggest_nearest(name, (const char *const *)names, count);
    if (nearest)
        found = mem_strdup(nearest);
    while (count)
        free(names[--count]);
    return found;
}

static void tell_unused(const struct tree *tree, const char *place, const char *path,
                        const struct yaml_node *node)
{
    const struct option *option = tree->loaded->setting.option;
    const char *owner = config_foreign_owner(span_of(option->key));
    CLEANUP(mem_cleanup) char *nearest = nearest_to(option, span_of(place));
    struct place where = {tree->config->path, node->line, node->column};
    if (nearest)
        findings_add(&tree->config->findings, CONFIG_WARNING, where, span_of(path), nearest,
                     "unknown key \"%s\" (did you mean \"%s\"?)", path, nearest);
    else
        findings_add(&tree->config->findings, CONFIG_NOTE, where, span_of(path), NULL,
                     "%s: %s%s%snot used by this version", path, owner ? "known to " : "",
                     owner ? owner : "", owner ? ", " : "");
}

static void take_scalar(struct tree *tree, const char *place, const char *path,
                        const struct yaml_node *node)
{
    const struct value_source source = {
        .findings = &tree->config->findings,
        .variables = &tree->config->variables.layered,
        .place = {tree->config->path, node->line, node->column},
        .key = span_of(path),
    };
    struct loaded *loaded = tree->loaded;
    if (!is_used(loaded->setting.option, span_of(place)))
        tell_unused(tree, place, path, node);
    else if (!value_add_entry(&loaded->from_file, loaded->setting.option, &source, span_of(place),
                              node->value))
        tree->good = false;
}

static void take_node(struct tree *tree, const char *place, const char *path,
                      const struct yaml_node *node);

static void take_child(struct tree *tree, const char *place, const char *path,
                       const struct yaml_node *name, size_t index, const struct yaml_node *node)
{
    char inner[PLACE_SIZE], shown[PLACE_SIZE];
    const char *dot = *place ? "." : "";
    if (name) {
        snprintf(inner, sizeof inner, "%s%s%.*s", place, dot, (int)name->value.len,
                 name->value.data);
        snprintf(shown, sizeof shown, "%s.%.*s", path, (int)name->value.len, name->value.data);
    } else {
        snprintf(inner, sizeof inner, "%s%s%zu", place, dot, index);
        snprintf(shown, sizeof shown, "%s[%zu]", path, index);
    }
    take_node(tree, inner, shown, node);
}

// As deep as the parser allows at most.
static void take_node(struct tree *tree, const char *place, const char *path,
                      const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR)
        take_scalar(tree, place, path, node);
    for (size_t i = 0; i < node->count && node->kind == YAML_SEQUENCE; i++)
        take_child(tree, place, path, NULL, i, node->items[i]);
    for (size_t i = 0; i < node->count && node->kind == YAML_MAPPING; i++)
        take_child(tree, place, path, node->pairs[i].key, 0, node->pairs[i].value);
}

bool tree_take(struct config *config, struct loaded *loaded, const char *path,
               const struct yaml_node *node)
{
    struct tree tree = {config, loaded, true};
    take_node(&tree, "", path, node);
    return tree.good;
}
