#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "config/foreign.h"
#include "config/loaded.h"
#include "config/nearest.h"

/*
 * Sections that belong to files which other programs wrote first, and most of what stands in them
 * means nothing here: so what is not used is told of and never an error, and neither is a variable
 * that is not set, because it may be the key of something that nobody asks. The exception are
 * limits: who wrote down a budget or an allowlist must not believe that it holds when it does not
 * (OPTION_STRICT); and what is written in our own words is meant for us (OPTION_OWN).
 */
enum { PLACE_SIZE = 512 }; // bytes of a place, or of a path that is shown; a longer one is not used

struct tree {
    struct config *config;
    const struct option *option;
    struct value *value;
};

// Where the walk is.
struct spot {
    const char *place, *path; // "0.params.key", and as it is shown: "model_list[0].params.key"
    bool item;                // of a list, so that its last part is a number
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

static bool cut_braces(struct span *pattern)
{
    bool whole = span_ends_with(*pattern, "{}");
    pattern->len -= whole ? 2 : 0;
    return whole;
}

// Is `place` what `pattern` names, in which "*" is any part? *ret_beneath: it lies beneath it.
static bool matches(struct span pattern, struct span place, bool *ret_beneath)
{
    if (!option_match_parts(&pattern, &place))
        return false;
    *ret_beneath = *ret_beneath || pattern.len;
    return pattern.len == 0 && place.len == 0;
}

enum use { USE_NONE, USE_BENEATH, USE_SCALAR, USE_WHOLE };

// A scalar has nothing beneath it: then a pattern whose end is another needs no closer look. A
// place that may be a value or a mapping has a pattern for each.
static enum use use_of(const struct option *option, struct span place, bool is_scalar)
{
    struct span rest = span_of(option->choices), pattern;
    char last = place.data[place.len - 1];
    bool beneath = false, exact = false;
    while (option_next_word(&rest, &pattern)) {
        bool whole = cut_braces(&pattern);
        char end = pattern.data[pattern.len - 1];
        if (is_scalar && end != last && end != '*')
            continue;
        bool same = matches(pattern, place, &beneath);
        if (same && (whole || is_scalar))
            return whole ? USE_WHOLE : USE_SCALAR;
        exact = exact || same;
    }
    return beneath ? USE_BENEATH : exact ? USE_SCALAR : USE_NONE;
}

// The used name in the same section that is spelled like the last part of `place`; the caller's.
static char *nearest_to(const struct option *option, struct span place)
{
    struct span section = place, rest = span_of(option->choices), pattern;
    struct span name = cut_last(&section);
    CLEANUP(names_finish) struct names names = {0};
    bool beneath = false;
    while (option_next_word(&rest, &pattern)) {
        cut_braces(&pattern);
        struct span last = cut_last(&pattern);
        if (!span_is(last, "*") && matches(pattern, section, &beneath))
            names_add(&names, last);
    }
    const char *nearest = names_nearest(&names, name);
    return nearest ? mem_strdup(nearest) : NULL;
}

static void tell_unused(struct tree *tree, const struct spot *spot, const struct yaml_node *node)
{
    struct findings *findings = &tree->config->findings;
    struct place place = place_of(tree->config, node);
    bool own = tree->option->flags & OPTION_OWN;
    const char *why = NULL, *owner = config_foreign_owner(span_of(tree->option->key), &why);
    CLEANUP(mem_cleanup) char *nearest = NULL;
    if (!findings_full(findings))
        nearest = nearest_to(tree->option, span_of(spot->place));
    if (nearest)
        findings_add(findings, own ? CONFIG_ERROR : CONFIG_WARNING, place,
                     "unknown key \"%s\" (did you mean \"%s\"?)", spot->path, nearest);
    else if (own)
        findings_add(findings, CONFIG_ERROR, place, "unknown key \"%s\"; it can have %s",
                     spot->path, tree->option->choices);
    else
        findings_add(findings, CONFIG_NOTE, place, "%s: %s%s%snot used by this version%s%s",
                     spot->path, owner ? "known to " : "", owner ? owner : "", owner ? ", " : "",
                     why ? ": " : "", why ? why : "");
}

static void add_error(struct tree *tree, const struct spot *spot, const struct yaml_node *node,
                      const char *sentence)
{
    findings_add(&tree->config->findings, CONFIG_ERROR, place_of(tree->config, node), "%s: %s",
                 spot->path, sentence);
}

// YAML 1.1's words, which is what programs in Python read.
static bool is_boolean(const struct yaml_node *node, bool *ret_value)
{
    return node->kind == YAML_SCALAR && !node->quoted && node->value.len > 1 &&
           span_to_bool(node->value, ret_value);
}

// Does it ask for a limit that would not be held? Its name says so, or as an element of a list the
// text; and it does not say that there is none.
static const char *limit_of(const struct tree *tree, const struct spot *spot,
                            const struct yaml_node *node)
{
    struct span place = span_of(spot->place);
    bool on = true;
    if (!(tree->option->flags & OPTION_STRICT) || (is_boolean(node, &on) && !on))
        return NULL;
    if (!spot->item)
        return config_foreign_limit(cut_last(&place));
    return node->kind == YAML_SCALAR ? config_foreign_limit(node->value) : NULL;
}

// The meaning of a text without quotes: a boolean, a number as JSON writes it (".5" is one too), or
// text. False: text.
static bool write_typed(const struct yaml_node *node, struct json_writer *w)
{
    JSON_AUTO doc = JSON_INIT;
    bool boolean;
    if (is_boolean(node, &boolean)) {
        json_write_bool(w, boolean);
        return true;
    }
    bool dot = node->value.len > 1 && node->value.data[0] == '.';
    CLEANUP(mem_cleanup)
    char *text = mem_printf("%s%.*s", dot ? "0" : "", (int)node->value.len, node->value.data);
    if (node->quoted || json_parse(&doc, span_of(text), NULL) < 0 ||
        json_type(json_root(&doc)) != JSON_NUMBER)
        return false;
    json_write_raw(w, json_raw(json_root(&doc)));
    return true;
}

// As deep as the parser allows at most.
static void write_node(struct tree *tree, const struct value_source *source,
                       const struct yaml_node *node, struct json_writer *w)
{
    if (node->kind == YAML_NULL) {
        json_write_null(w);
    } else if (node->kind == YAML_SCALAR) {
        bool masked = tree->value->masked; // by an earlier text of the same entry
        if (write_typed(node, w))
            return;
        CLEANUP(mem_cleanup)
        char *text = value_resolve(tree->value, tree->option, source, node->value);
        tree->value->masked |= masked;
        json_write_text(w, text);
    } else if (node->kind == YAML_SEQUENCE) {
        json_write_array_begin(w);
        for (size_t i = 0; i < node->count; i++)
            write_node(tree, source, node->items[i], w);
        json_write_array_end(w);
    } else {
        json_write_object_begin(w);
        for (size_t i = 0; i < node->count; i++) {
            json_write_key_span(w, node->pairs[i].key->value);
            write_node(tree, source, node->pairs[i].value, w);
        }
        json_write_object_end(w);
    }
}

static void take_whole(struct tree *tree, const struct spot *spot, const struct yaml_node *node)
{
    const struct value_source source = source_of(tree->config, spot->path, node);
    BUF_AUTO out = BUF_INIT(OPTION_VALUE_MAX);
    struct json_writer w;
    json_writer_init(&w, &out);
    tree->value->masked = false;
    write_node(tree, &source, node, &w);
    if (!json_write_done(&w))
        add_error(tree, spot, node, "it is too long");
    else
        value_append_entry(tree->value, tree->option, &source, span_of(spot->place),
                           buf_take_text(&out));
}

static void take_node(struct tree *tree, const struct spot *spot, const struct yaml_node *node);

static void take_children(struct tree *tree, const struct spot *spot, const struct yaml_node *node)
{
    bool map = node->kind == YAML_MAPPING;
    const char *dot = *spot->place ? "." : "";
    for (size_t i = 0; i < node->count; i++) {
        char inner[PLACE_SIZE], shown[PLACE_SIZE];
        if (map) {
            struct span name = node->pairs[i].key->value;
            snprintf(inner, sizeof inner, "%s%s%.*s", spot->place, dot, (int)name.len, name.data);
            snprintf(shown, sizeof shown, "%s.%.*s", spot->path, (int)name.len, name.data);
        } else {
            snprintf(inner, sizeof inner, "%s%s%zu", spot->place, dot, i);
            snprintf(shown, sizeof shown, "%s[%zu]", spot->path, i);
        }
        take_node(tree, &(struct spot){inner, shown, !map},
                  map ? node->pairs[i].value : node->items[i]);
    }
}

static void take_node(struct tree *tree, const struct spot *spot, const struct yaml_node *node)
{
    enum use use = USE_BENEATH;
    if (*spot->place)
        use = use_of(tree->option, span_of(spot->place), node->kind == YAML_SCALAR);
    if (node->kind == YAML_NULL)
        return;
    if (use == USE_WHOLE)
        take_whole(tree, spot, node);
    else if (use == USE_SCALAR && node->kind == YAML_SCALAR) {
        const struct value_source source = source_of(tree->config, spot->path, node);
        value_add_entry(tree->value, tree->option, &source, span_of(spot->place), node->value);
    } else if (use == USE_SCALAR)
        add_error(tree, spot, node, "must be a single value, not a list or mapping");
    else if (use == USE_BENEATH && node->kind != YAML_SCALAR)
        take_children(tree, spot, node);
    else {
        const char *limit = *spot->place ? limit_of(tree, spot, node) : NULL;
        if (limit)
            add_error(tree, spot, node, limit);
        else if (node->kind == YAML_SCALAR || (node->count == 0 && *spot->place))
            tell_unused(tree, spot, node);
        else
            take_children(tree, spot, node);
    }
}

void tree_take(struct config *config, struct loaded *loaded, const char *path,
               const struct yaml_node *node)
{
    struct tree tree = {config, loaded->setting.option, &loaded->from_file};
    take_node(&tree, &(struct spot){"", path, false}, node);
}
