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

static const struct variable *find_dotenv(const struct variables *variables, const char *name)
{
    for (size_t i = variables->count; i-- > 0;)
        if (strcmp(variables->dotenv[i].name, name) == 0)
            return variables->dotenv[i].value[0] ? &variables->dotenv[i] : NULL;
    return NULL;
}

static const char *layered_get(void *context, const char *name)
{
    const struct variables *variables = context;
    const char *value = config_environment_get(&variables->real, name);
    const struct variable *beneath = value ? NULL : find_dotenv(variables, name);
    return beneath ? beneath->value : value;
}

void variables_init(struct variables *variables, const struct config_environment *real)
{
    *variables = (struct variables){.real = *real, .layered = {layered_get, variables}};
}

void variables_finish(struct variables *variables)
{
    for (size_t i = 0; i < variables->count; i++) {
        explicit_bzero(variables->dotenv[i].value, strlen(variables->dotenv[i].value));
        free(variables->dotenv[i].value);
        free(variables->dotenv[i].name);
    }
    free(variables->dotenv);
    free(variables->dotenv_path);
}

static int take_pair(void *context, struct span key, struct span value, unsigned line)
{
    struct variables *variables = context;
    if (variables->count == VARIABLES_MAX)
        return -EMSGSIZE;
    variables->dotenv = mem_grow(variables->dotenv, variables->count, &variables->capacity,
                                 sizeof *variables->dotenv);
    variables->dotenv[variables->count++] =
        (struct variable){mem_strndup(key.data, key.len), mem_strndup(value.data, value.len), line};
    return 0;
}

void variables_read_dotenv(struct variables *variables, const char *path, struct findings *findings)
{
    struct error err = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(CONFIG_DOTENV_MAX);

    int r = fd_read_file(path, &text, &err);
    if (r == -ENOENT || r == -ENOTDIR)
        return;
    variables->dotenv_path = mem_strdup(path);
    if (r == 0) {
        r = dotenv_parse(buf_span(&text), take_pair, variables, &err);
        if (r == -EMSGSIZE && !err.text[0])
            error_set(&err, r, "it has more than %d variables", VARIABLES_MAX);
        if (r < 0)
            error_wrap(&err, "%s", path);
    }
    if (r < 0)
        findings_add(findings, CONFIG_ERROR, (struct place){.where = ""}, SPAN_ABSENT, NULL, "%s",
                     err.text);
    if (text.data)
        explicit_bzero(text.data, text.len);
}

// One layer's answer for one name and, where the option has that, for <name>_FILE.
static const char *look_up(const struct variables *variables, bool real, const char *name,
                           unsigned *ret_line)
{
    const struct variable *variable = real ? NULL : find_dotenv(variables, name);
    *ret_line = variable ? variable->line : 0;
    if (real)
        return config_environment_get(&variables->real, name);
    return variable ? variable->value : NULL;
}

static bool find_in_layer(const struct variables *variables, const struct option *option, bool real,
                          struct variable_hit *ret_hit)
{
    struct span rest = span_of(option->env), word;
    struct variable_hit hit = {0};
    while (option_next_word(&rest, &word)) {
        char name[VARIABLE_NAME_SIZE];
        hit.name = word;
        for (int file = 0; file <= option_has_file(option); file++) {
            snprintf(name, sizeof name, "%.*s%s", (int)word.len, word.data, file ? "_FILE" : "");
            hit.is_file = file;
            hit.value = look_up(variables, real, name, &hit.line);
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
    return find_in_layer(variables, option, true, ret_hit) ||
           find_in_layer(variables, option, false, ret_hit);
}

bool variables_looks_secret(const char *name)
{
    static const char *const marks[] = {"key",    "token",      "secret", "password",
                                        "passwd", "credential", "auth",   "cookie"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (strcasestr(name, marks[i]))
            return true;
    return false;
}
