#include "config/config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "config/loaded.h"

/*
 * The order of things: variables first, because values of the file may need them; then the
 * whole file; then, option by option, the source that counts. The file's values are always
 * converted, so that a mistake in it is found even where the command line overrides it; the
 * environment only where it counts, because it holds what is meant for other programs.
 */

static struct config *create(const struct config_inputs *inputs, const struct config_schema *schema)
{
    struct config *config = mem_new(struct config);
    config->schema = schema;
    config->path = inputs->path ? mem_strdup(inputs->path) : NULL;
    config->count = config_schema_count(schema);
    config->loaded = mem_zalloc(config->count * sizeof *config->loaded);
    for (size_t i = 0; i < config->count; i++)
        config->loaded[i].setting.option = config_schema_at(schema, i, NULL);
    variables_init(&config->variables, inputs->environment);
    return config;
}

void config_destroy(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->count; i++) {
        value_finish(&config->loaded[i].value);
        value_finish(&config->loaded[i].from_file);
    }
    free(config->loaded);
    findings_finish(&config->findings);
    variables_finish(&config->variables);
    free(config->path);
    free(config);
}

// The override of one option, or NULL. The last one counts, as with any command line.
static const struct config_override *find_override(const struct config_inputs *inputs,
                                                   const char *key)
{
    for (size_t i = inputs->override_count; i-- > 0;)
        if (inputs->overrides[i].value && strcmp(inputs->overrides[i].key, key) == 0)
            return &inputs->overrides[i];
    return NULL;
}

// `where` is handed over.
static void take_text(struct config *config, struct loaded *loaded, struct span text, bool is_file,
                      enum config_origin origin, char *where)
{
    const struct option *option = loaded->setting.option;
    const struct value_source source = {
        .findings = &config->findings,
        .place = {.where = where},
        .key = span_of(option->key),
    };
    if (is_file)
        value_from_secret_file(&loaded->value, option, &source, text);
    else if (text.data)
        value_from_text(&loaded->value, option, &source, text);
    loaded->value.origin = origin;
    loaded->value.where = where;
}

static bool take_variable(struct config *config, struct loaded *loaded)
{
    struct variable_hit hit;
    if (!variables_find(&config->variables, loaded->setting.option, &hit))
        return false;
    take_text(config, loaded, span_of(hit.value), hit.is_file, hit.origin, variable_where(&hit));
    return true;
}

static void decide(struct config *config, struct loaded *loaded, const struct config_inputs *inputs)
{
    const struct option *option = loaded->setting.option;
    const struct config_override *override = find_override(inputs, option->key);
    bool env_wins = option->flags & OPTION_ENV_WINS;

    if (override)
        take_text(config, loaded, span_of(override->value), false, CONFIG_FROM_COMMAND_LINE,
                  mem_printf("command line %s", override->flag));
    else if (!env_wins || !take_variable(config, loaded)) {
        if (loaded->from_file.set) {
            loaded->value = loaded->from_file;
            loaded->from_file = (struct value){0};
        } else if (!env_wins) {
            take_variable(config, loaded);
        }
    }
    if (!loaded->value.set) {
        value_finish(&loaded->value);
        take_text(config, loaded, span_of(option->fallback), false, CONFIG_FROM_DEFAULT,
                  mem_strdup("default"));
    }
    value_finish(&loaded->from_file);
    loaded->setting.text = loaded->value.text;
    loaded->setting.origin = loaded->value.origin;
    loaded->setting.where = loaded->value.where;
}

struct config *config_inspect(const struct config_inputs *inputs,
                              const struct config_schema *schema)
{
    struct config *config = create(inputs, schema);
    variables_read_directories(&config->variables, &config->findings);
    if (inputs->dotenv_path)
        variables_read_dotenv(&config->variables, inputs->dotenv_path, &config->findings);
    if (config->path)
        config_read_file(config);
    for (size_t i = 0; i < inputs->override_count; i++)
        if (!config_setting(config, inputs->overrides[i].key))
            findings_add(&config->findings, CONFIG_ERROR, (struct place){.where = "command line"},
                         "there is no option \"%s\" (%s)", inputs->overrides[i].key,
                         inputs->overrides[i].flag);
    for (size_t i = 0; i < config->count; i++)
        decide(config, &config->loaded[i], inputs);
    return config;
}

int config_load(const struct config_inputs *inputs, const struct config_schema *schema,
                void *target, struct config **ret_config, struct error *err)
{
    struct config *config = config_inspect(inputs, schema);
    if (config->findings.errors) {
        int r = findings_to_error(&config->findings, err);
        config_destroy(config);
        return r;
    }
    for (size_t i = 0; i < config->count; i++) {
        size_t offset;
        const struct option *option = config_schema_at(schema, i, &offset);
        value_store(&config->loaded[i].value, option, (char *)target + offset);
    }
    *ret_config = config;
    return 0;
}

const char *config_path(const struct config *config)
{
    return config->path;
}

const char *config_variable(const struct config *config, const char *name)
{
    return config_environment_get(&config->variables.layered, name);
}

const struct config_setting *config_setting(const struct config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->loaded[i].setting.option->key, key) == 0)
            return &config->loaded[i].setting;
    return NULL;
}

size_t config_finding_count(const struct config *config)
{
    return config->findings.count;
}

const struct config_finding *config_finding_at(const struct config *config, size_t index)
{
    return &config->findings.array[index];
}

size_t config_error_count(const struct config *config)
{
    return config->findings.errors;
}

struct secrets {
    const char **array;
    size_t count, max;
};

static void add_secret(struct secrets *secrets, const char *text)
{
    if (text && *text && secrets->count < secrets->max)
        secrets->array[secrets->count++] = text;
}

size_t config_secrets(const struct config *config, const char **ret_secrets, size_t max)
{
    struct secrets secrets = {ret_secrets, 0, max};
    for (size_t i = 0; i < config->count; i++) {
        const struct value *value = &config->loaded[i].value;
        const struct option *option = config->loaded[i].setting.option;
        if (option_is_scalar(option) && ((option->flags & OPTION_SECRET) || value->masked))
            add_secret(&secrets, value->text);
        for (size_t j = 0; j < value->count; j++)
            if (value->entries[j].secret)
                add_secret(&secrets, value->entries[j].value);
    }
    for (size_t i = 0; i < LAYERS; i++)
        for (size_t j = 0; j < config->variables.layers[i].count; j++)
            if (variables_looks_secret(config->variables.layers[i].array[j].name))
                add_secret(&secrets, config->variables.layers[i].array[j].value);
    return secrets.count;
}
