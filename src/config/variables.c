#include "config/variables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/dotenv.h"

enum {
    VARIABLES_MAX = 4096,     // of one .env
    VARIABLE_NAME_SIZE = 256, // bytes, of a name in an option's table
};

static const char *find_read(const struct variables_read *layer, const char *name,
                             unsigned *ret_line)
{
    for (size_t i = layer->count; i-- > 0;) {
        const struct variable *variable = &layer->array[i];
        if (strcmp(variable->name, name) != 0)
            continue;
        *ret_line = variable->line;
        return variable->value[0] ? variable->value : NULL;
    }
    return NULL;
}

static const char *layered_get(void *context, const char *name)
{
    const struct variables *variables = context;
    const char *value = config_environment_get(&variables->real, name);
    unsigned line;
    for (size_t i = 0; i < LAYERS && !value; i++)
        value = find_read(&variables->layers[i], name, &line);
    return value;
}

void variables_init(struct variables *variables, const struct config_environment *real)
{
    *variables = (struct variables){.real = *real, .layered = {layered_get, variables}};
}

void variables_finish(struct variables *variables)
{
    for (size_t i = 0; i < LAYERS; i++) {
        struct variables_read *layer = &variables->layers[i];
        for (size_t j = 0; j < layer->count; j++) {
            explicit_bzero(layer->array[j].value, strlen(layer->array[j].value));
            free(layer->array[j].value);
            free(layer->array[j].name);
        }
        free(layer->array);
        free(layer->path);
    }
}

bool variables_add(struct variables_read *layer, struct span name, struct span value, unsigned line)
{
    if (layer->count == VARIABLES_MAX)
        return false;
    layer->array = mem_grow(layer->array, layer->count, &layer->capacity, sizeof *layer->array);
    layer->array[layer->count++] = (struct variable){mem_strndup(name.data, name.len),
                                                     mem_strndup(value.data, value.len), line};
    return true;
}

static int take_pair(void *context, struct span key, struct span value, unsigned line)
{
    return variables_add(context, key, value, line) ? 0 : -EMSGSIZE;
}

void variables_read_dotenv(struct variables *variables, const char *path, struct findings *findings)
{
    struct variables_read *layer = &variables->layers[LAYER_DOTENV];
    struct error err = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(CONFIG_DOTENV_MAX);

    int r = fd_read_file(path, &text, &err);
    if (r == -ENOENT || r == -ENOTDIR)
        return;
    layer->path = mem_strdup(path);
    if (r == 0) {
        r = dotenv_parse(buf_span(&text), take_pair, layer, &err);
        if (r == -EMSGSIZE && !err.text[0])
            error_set(&err, r, "it has more than %d variables", VARIABLES_MAX);
        if (r < 0)
            error_wrap(&err, "%s", path);
    }
    if (r < 0)
        findings_add(findings, CONFIG_ERROR, (struct place){.where = ""}, "%s", err.text);
    if (text.data)
        explicit_bzero(text.data, text.len);
}

// One layer's answer for the option's names and, where it has that, for <name>_FILE. NULL is the
// real environment.
static bool find_in_layer(const struct variables *variables, const struct variables_read *layer,
                          const struct option *option, struct variable_hit *ret_hit)
{
    struct span rest = span_of(option->env), word;
    static const enum config_origin origins[] = {
        [LAYER_SECRETS] = CONFIG_FROM_SECRETS,
        [LAYER_CREDENTIALS] = CONFIG_FROM_SECRETS,
        [LAYER_DOTENV] = CONFIG_FROM_DOTENV,
        [LAYER_FILE] = CONFIG_FROM_FILE,
    };
    struct variable_hit hit = {
        .layer = layer ? layer->path : NULL,
        .origin = layer ? origins[layer - variables->layers] : CONFIG_FROM_ENVIRONMENT,
    };
    while (option_next_word(&rest, &word)) {
        char name[VARIABLE_NAME_SIZE];
        hit.name = word;
        for (int file = 0; file <= option_has_file(option); file++) {
            snprintf(name, sizeof name, "%.*s%s", (int)word.len, word.data, file ? "_FILE" : "");
            hit.is_file = file;
            hit.value = layer ? find_read(layer, name, &hit.line)
                              : config_environment_get(&variables->real, name);
            if (hit.value) {
                *ret_hit = hit;
                return true;
            }
        }
    }
    return false;
}

bool variables_find(const struct variables *variables, const struct option *option,
                    struct variable_hit *ret_hit)
{
    bool found = find_in_layer(variables, NULL, option, ret_hit);
    for (size_t i = 0; i < LAYERS && !found; i++)
        found = find_in_layer(variables, &variables->layers[i], option, ret_hit);
    return found;
}

char *variable_where(const struct variable_hit *hit)
{
    const char *file = hit->is_file ? "_FILE" : "";
    if (hit->line)
        return mem_printf("%s:%u", hit->layer, hit->line);
    return mem_printf("%s%s%.*s%s", hit->layer ? hit->layer : "env", hit->layer ? "/" : " ",
                      (int)hit->name.len, hit->name.data, file);
}

// Does it end with a mark, in singular or plural? As in APIKEY and PGPASSWORD, not as in AUTHOR.
static bool is_secret_word(struct span word)
{
    static const char *const marks[] = {"key",    "token",      "secret", "password", "passphrase",
                                        "passwd", "credential", "auth",   "cookie",   "pwd"};
    if (word.len && (word.data[word.len - 1] | 0x20) == 's')
        word.len--;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t len = strlen(marks[i]);
        if (word.len >= len && strncasecmp(word.data + word.len - len, marks[i], len) == 0)
            return true;
    }
    return false;
}

// Where a service is, which Kubernetes says of each: KEYCLOAK_SERVICE_HOST, TOKEN_PORT.
static bool is_place_word(struct span word)
{
    static const char *const places[] = {"host", "port", "addr", "proto"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (word.len == strlen(places[i]) && strncasecmp(word.data, places[i], word.len) == 0)
            return true;
    return false;
}

bool variables_looks_secret(const char *name)
{
    bool secret = false, place = false;
    while (*name) {
        struct span word = {name, strcspn(name, "_-. ")};
        secret = secret || is_secret_word(word);
        place = is_place_word(word);
        name += word.len + (name[word.len] != '\0');
    }
    return secret && !place;
}
