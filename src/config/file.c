#include <stdio.h>

#include "base/fd.h"
#include "base/mem.h"
#include "config/foreign.h"
#include "config/loaded.h"
#include "config/nearest.h"

/*
 * The walk through config.yaml. A key is known by its dotted path. Where an option is looked for
 * and a section is found, the section is entered; so "model" may be a word (an alias of
 * model.default) or a mapping. The walk goes no deeper than some option's key does.
 */
static const char variables_section[] = "environment_variables";

enum { PATH_SIZE = 2 * OPTION_KEY_MAX }; // bytes; a longer path is cut, and then matches no option

static void add_unknown(struct config *config, const char *path, const struct yaml_node *key)
{
    struct findings *findings = &config->findings;
    struct place place = place_of(config, key);
    const char *why = NULL, *owner = config_foreign_owner(span_of(path), &why);
    const char *limit = owner && *owner == 'L' ? config_foreign_limit(span_of(path)) : NULL;
    CLEANUP(mem_cleanup) char *nearest = NULL;
    if (!owner && !findings_full(findings))
        nearest = config_nearest_key(config->schema, span_of(path));
    if (limit)
        findings_add(findings, CONFIG_ERROR, place, "%s: %s", path, limit);
    else if (owner)
        findings_add(findings, CONFIG_NOTE, place, "%s: known to %s, not used by this version%s%s",
                     path, owner, why ? ": " : "", why ? why : "");
    else
        findings_add(findings, CONFIG_WARNING, place, "unknown key \"%s\"%s%s%s", path,
                     nearest ? " (did you mean \"" : "", nearest ? nearest : "",
                     nearest ? "\"?)" : "");
}

static void add_wrong_kind(struct config *config, const char *path, const struct yaml_node *node,
                           const char *wanted)
{
    static const char *const kinds[] = {
        [YAML_NULL] = "nothing",
        [YAML_SCALAR] = "a single value",
        [YAML_SEQUENCE] = "a list",
        [YAML_MAPPING] = "a mapping",
    };
    findings_add(&config->findings, CONFIG_ERROR, place_of(config, node), "%s: must be %s, not %s",
                 path, wanted, kinds[node->kind]);
}

static bool is_name(struct span name)
{
    return name.len && !memchr(name.data, '\0', name.len);
}

// The elements of a list or members of a map. `path` is the option's key as it was written.
static void take_entries(struct config *config, struct loaded *loaded, const char *path,
                         const struct yaml_node *node)
{
    bool map = node->kind == YAML_MAPPING;
    for (size_t i = 0; i < node->count; i++) {
        char full[PATH_SIZE];
        struct span name = map ? node->pairs[i].key->value : SPAN_ABSENT;
        const struct yaml_node *item = map ? node->pairs[i].value : node->items[i];
        if (map)
            snprintf(full, sizeof full, "%s.%.*s", path, (int)name.len, name.data);
        else
            snprintf(full, sizeof full, "%s[%zu]", path, i);
        const struct value_source source = source_of(config, full, item);
        if (item->kind != YAML_SCALAR || (map && !is_name(name)))
            add_wrong_kind(config, full, item, "text");
        else
            value_add_entry(&loaded->from_file, loaded->setting.option, &source, name, item->value);
    }
}

static void take_value(struct config *config, struct loaded *loaded, enum config_match match,
                       const char *path, const struct yaml_node *node)
{
    static const char *const wanted[] = {
        [OPTION_STRING] = "text",           [OPTION_BOOL] = "yes or no",
        [OPTION_INT] = "a number",          [OPTION_BYTES] = "a size",
        [OPTION_DURATION] = "a time",       [OPTION_LIST] = "a list",
        [OPTION_MAP] = "a mapping of text", [OPTION_TREE] = "a list of mappings",
        [OPTION_SHARE] = "a share",
    };
    const struct option *option = loaded->setting.option;
    const struct value_source source = source_of(config, path, node);
    struct value *value = &loaded->from_file;
    size_t errors = config->findings.errors;
    bool is_tree = option->type == OPTION_TREE;
    if (!option_is_scalar(option) &&
        node->kind == (option_is_list(option) ? YAML_SEQUENCE : YAML_MAPPING)) {
        if (is_tree)
            tree_take(config, loaded, path, node);
        else
            take_entries(config, loaded, path, node);
        if (config->findings.errors == errors)
            value_close(value);
        else
            value_finish(value);
    } else if (node->kind != YAML_SCALAR || is_tree) {
        add_wrong_kind(config, path, node,
                       match == CONFIG_MATCH_FILE           ? "the path of a file"
                       : is_tree && !option_is_list(option) ? "a mapping of settings"
                                                            : wanted[option->type]);
    } else if (match == CONFIG_MATCH_FILE) {
        value_from_secret_file(value, option, &source, node->value);
    } else {
        value_from_text(value, option, &source, node->value);
    }
}

// Two spellings of one option in one file: its own key counts, and whoever wrote an alias is told.
// False when the new one is the one that does not count.
static bool settle_twice(struct config *config, const struct loaded *loaded,
                         enum config_match match, const char *path, const struct yaml_node *key)
{
    const char *name = loaded->setting.option->key;
    unsigned line = loaded->file_place.line;
    struct place place = place_of(config, key);
    bool file = match == CONFIG_MATCH_FILE, file_before = loaded->file_match == CONFIG_MATCH_FILE;

    if (file != file_before || match == loaded->file_match) {
        findings_add(&config->findings, CONFIG_ERROR, place,
                     "%s: line %u sets the same option%s; keep one of them", path, line,
                     file != file_before ? file ? " itself" : " from a file" : "");
        return false;
    }
    if (match == CONFIG_MATCH_KEY) {
        findings_add(&config->findings, CONFIG_WARNING, loaded->file_place,
                     "another spelling of %s, which line %u sets; it is ignored", name, key->line);
        return true;
    }
    findings_add(&config->findings, CONFIG_WARNING, place,
                 "%s: another spelling of %s, which line %u sets; it is ignored", path, name, line);
    return false;
}

static void take_option(struct config *config, size_t index, enum config_match match,
                        const char *path, const struct yaml_pair *pair)
{
    struct loaded *loaded = &config->loaded[index];
    struct value *value = &loaded->from_file;
    if (loaded->file_place.line && !settle_twice(config, loaded, match, path, pair->key))
        return;
    value_finish(value);
    loaded->file_place = place_of(config, pair->key);
    loaded->file_match = match;
    take_value(config, loaded, match, path, pair->value);
    value->origin = CONFIG_FROM_FILE;
    value->where = mem_printf("%s:%u", config->path, pair->key->line);
}

static void walk_mapping(struct config *config, const char *prefix, const struct yaml_node *mapping)
{
    for (size_t i = 0; i < mapping->count; i++) {
        const struct yaml_pair *pair = &mapping->pairs[i];
        struct span name = pair->key->value;
        char path[PATH_SIZE];
        size_t index = 0;
        if (!prefix[0] && span_is(name, variables_section))
            continue; // was read before everything else
        snprintf(path, sizeof path, "%s%s%.*s", prefix, prefix[0] ? "." : "", (int)name.len,
                 name.len ? name.data : "");
        bool section = is_name(name) && config_schema_has_section(config->schema, span_of(path));
        enum config_match match = CONFIG_MATCH_NONE;
        if (is_name(name))
            match = config_schema_find(config->schema, span_of(path), &index);

        if (section && pair->value->kind == YAML_MAPPING)
            walk_mapping(config, path, pair->value);
        else if (!section && match == CONFIG_MATCH_NONE)
            add_unknown(config, path, pair->key);
        else if (pair->value->kind == YAML_NULL)
            continue; // a section or an option that is left at its default
        else if (match != CONFIG_MATCH_NONE)
            take_option(config, index, match, path, pair);
        else
            add_wrong_kind(config, path, pair->value, "a mapping of settings");
    }
}

// LiteLLM's own environment. Each may name another variable, but none of these.
static void read_variable(struct config *config, const struct yaml_pair *pair,
                          struct variables_read *read)
{
    char path[PATH_SIZE];
    struct value value = {0};
    struct span name = pair->key->value;
    snprintf(path, sizeof path, "%s.%.*s", variables_section, (int)name.len,
             name.len ? name.data : "");
    const struct value_source source = source_of(config, path, pair->key);
    if (pair->value->kind == YAML_NULL)
        return;
    if (pair->value->kind != YAML_SCALAR || !is_name(name)) {
        add_wrong_kind(config, path, pair->value, "text");
        return;
    }
    static const struct option text = {.type = OPTION_STRING};
    value.text = value_resolve(&value, &text, &source, pair->value->value);
    if (value.text)
        variables_add(read, name, span_of(value.text), pair->key->line);
    value_finish(&value);
}

static void read_variables(struct config *config, const struct yaml_node *root)
{
    const struct yaml_node *section = yaml_get(root, variables_section);
    struct variables_read read = {.path = mem_strdup(config->path)};
    if (section && section->kind != YAML_MAPPING && section->kind != YAML_NULL)
        add_wrong_kind(config, variables_section, section, "a mapping of text");
    for (size_t i = 0; section && section->kind == YAML_MAPPING && i < section->count; i++)
        read_variable(config, &section->pairs[i], &read);
    config->variables.layers[LAYER_FILE] = read;
}

// The codec's sentence begins with "line:column: ", which belongs to the place.
static void add_yaml_error(struct config *config, const char *sentence)
{
    struct place place = {.where = config->path};
    struct span rest = span_of(sentence);
    uint64_t line, column;
    if (span_to_u64(span_cut(&rest, ':'), &line) && span_to_u64(span_cut(&rest, ':'), &column)) {
        place.line = (unsigned)line;
        place.column = (unsigned)column;
        sentence = span_trim(rest).data;
    }
    findings_add(&config->findings, CONFIG_ERROR, place, "%s", sentence);
}

void config_read_file(struct config *config)
{
    struct error err = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(CONFIG_FILE_MAX);
    YAML_AUTO document = YAML_DOCUMENT_INIT;

    if (fd_read_file(config->path, &text, &err) < 0) {
        findings_add(&config->findings, CONFIG_ERROR, (struct place){.where = ""}, "%s", err.text);
    } else if (yaml_parse(&document, buf_span(&text), &err) < 0) {
        add_yaml_error(config, err.text);
    } else if (document.root->kind == YAML_MAPPING) {
        read_variables(config, document.root);
        walk_mapping(config, "", document.root);
    } else if (document.root->kind != YAML_NULL) {
        findings_add(&config->findings, CONFIG_ERROR, place_of(config, document.root),
                     "the file must be a mapping of settings (key: value)");
    }
    if (text.data)
        explicit_bzero(text.data, text.len);
}
