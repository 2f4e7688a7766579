#include "mcp/server_config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/url.h"
#include "config/substitute.h"

/*
 * Programs get six variables of ours and what their entry says (as the protocol's own SDKs do it):
 * anything else could be a key, and there are servers with a tool that prints their environment.
 */
const char mcp_server_places[] =
    "*.command, *.args.*, *.env.*, *.cwd, *.memory, *.sandbox, *.sandbox.network, "
    "*.sandbox.read.*, *.sandbox.write.*, *.url, *.headers.*, *.headers_file.*, "
    "*.header_command.*, *.transport, *.type, *.mode, *.protocol, *.enabled, *.lazy, *.timeout, "
    "*.connect_timeout, *.supports_parallel_tool_calls, *.trust, *.tools.include.*, "
    "*.tools.exclude.*, *.tools.resources, *.tools.prompts, *.auth, *.oauth.client_id, "
    "*.oauth.client_secret, *.oauth.scope, *.oauth.redirect_port, *.oauth.redirect_uri";

static const char *const inherited[] = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"};

enum {
    TIMEOUT_MAX_MS = 3600 * 1000,
    REDIRECT_PORT = 27890,        // as hermes-agent's first one
    MEMORY_SANDBOXED = 512 << 20, // bytes resident
};

struct entry { // of the settings
    const struct option_map *settings;
    struct span name;
};

// The part of a pair's name behind "<server>.<member>", or NULL.
static const char *behind(const struct entry *entry, const char *name, const char *member)
{
    size_t len = strlen(member);
    if (strncmp(name, entry->name.data, entry->name.len) != 0 || name[entry->name.len] != '.')
        return NULL;
    name += entry->name.len + 1;
    return strncmp(name, member, len) == 0 ? name + len : NULL;
}

static const char *text_of(const struct entry *entry, const char *member)
{
    for (size_t i = 0; i < entry->settings->count; i++) {
        const char *rest = behind(entry, entry->settings->pairs[i].name, member);
        if (rest && !*rest)
            return entry->settings->pairs[i].value;
    }
    return NULL;
}

static int refuse(const struct entry *entry, const char *member, struct error *err)
{
    char where[OPTION_KEY_MAX];
    snprintf(where, sizeof where, "mcp_servers.%.*s.%s", (int)entry->name.len, entry->name.data,
             member);
    return error_wrap(err, "%s", where);
}

static int read_value(const struct entry *entry, const struct option *option,
                      union option_value *value, struct error *err)
{
    const char *text = text_of(entry, option->key);
    if (!text)
        return 0;
    int r = option_parse(option, span_of(text), value, err);
    return r < 0 ? refuse(entry, option->key, err) : 0;
}

static int read_bool(const struct entry *entry, const char *key, bool *value, struct error *err)
{
    struct option option = {.key = key, .type = OPTION_BOOL};
    union option_value read = {.boolean = *value};
    int r = read_value(entry, &option, &read, err);
    *value = read.boolean;
    return r;
}

static int read_time(const struct entry *entry, const char *key, int64_t *ms, struct error *err)
{
    struct option option = {.key = key, .type = OPTION_DURATION, .min = 1, .max = TIMEOUT_MAX_MS};
    union option_value read = {.number = *ms};
    int r = read_value(entry, &option, &read, err);
    *ms = read.number;
    return r;
}

// One of the words, by its place; `fallback` where the entry has none.
static int read_word(const struct entry *entry, const char *key, const char *words, int fallback,
                     int *ret_place, struct error *err)
{
    const char *text = text_of(entry, key);
    struct span rest = span_of(words), word;
    *ret_place = fallback;
    for (int place = 0; text && option_next_word(&rest, &word); place++)
        if (span_equal(word, span_of(text))) {
            *ret_place = place;
            return 0;
        }
    if (!text)
        return 0;
    error_set(err, -EINVAL, "\"%.40s\" is none of %s", text, words);
    return refuse(entry, key, err);
}

/* Lists */

void mcp_texts_add(struct mcp_texts *list, char *text)
{
    list->texts = mem_realloc(list->texts, (list->count + 2) * sizeof *list->texts);
    list->texts[list->count++] = text;
    list->texts[list->count] = NULL;
}

// Of all pairs beneath `member`: the value, or with `join` the name, that, and the value.
static int read_list(const struct entry *entry, const char *member, const char *join, size_t max,
                     struct mcp_texts *list, struct error *err)
{
    char variable[SUBSTITUTE_NAME_MAX + 1], prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", member);
    for (size_t i = 0; i < entry->settings->count; i++) {
        const struct option_pair *pair = &entry->settings->pairs[i];
        const char *name = behind(entry, pair->name, prefix);
        if (!name)
            continue;
        if (config_unset_variable(pair->value, variable)) {
            error_set(err, -EINVAL, "the variable %s is not set", variable);
            return refuse(entry, member, err);
        }
        if (list->count == max) {
            error_set(err, -EINVAL, "there are more than %zu", max);
            return refuse(entry, member, err);
        }
        mcp_texts_add(list, join ? mem_printf("%s%s%s", name, join, pair->value)
                                 : mem_strdup(pair->value));
    }
    return 0;
}

static bool is_header(const char *line)
{
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return name > 0 && line[name] == ':' && !strpbrk(line, "\r\n");
}

static bool authorizes(const struct mcp_texts *headers)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strncasecmp(headers->texts[i], "Authorization:", 14) == 0)
            return true;
    return false;
}

static int read_headers(const struct entry *entry, struct mcp_server_config *config,
                        struct error *err)
{
    int r = read_list(entry, "headers", ": ", MCP_HEADERS_MAX, &config->headers, err);
    if (r == 0)
        r = read_list(entry, "headers_file", ": ", MCP_HEADERS_MAX, &config->header_files, err);
    if (r == 0)
        r = read_list(entry, "header_command", NULL, MCP_ARGUMENTS_MAX, &config->header_argv, err);
    for (size_t i = 0; r == 0 && i < config->headers.count; i++)
        if (!is_header(config->headers.texts[i])) {
            error_set(err, -EINVAL, "one of them is no header of one line");
            r = refuse(entry, "headers", err);
        }
    config->static_key = authorizes(&config->headers) || authorizes(&config->header_files) ||
                         config->header_argv.count;
    return r;
}

static char *copy_of(const struct entry *entry, const char *key)
{
    const char *text = text_of(entry, key);
    return text && *text ? mem_strdup(text) : NULL;
}

static int read_oauth(const struct entry *entry, struct mcp_server_config *config,
                      struct error *err)
{
    struct option port = {
        .key = "oauth.redirect_port", .type = OPTION_INT, .min = 1, .max = UINT16_MAX};
    union option_value number = {.number = REDIRECT_PORT};
    int place, r = read_value(entry, &port, &number, err);
    if (r == 0)
        r = read_word(entry, "auth", "auto, oauth, none", 0, &place, err);
    if (r < 0)
        return r;
    config->client_id = copy_of(entry, "oauth.client_id");
    config->client_secret = copy_of(entry, "oauth.client_secret");
    config->scope = copy_of(entry, "oauth.scope");
    config->redirect_uri = copy_of(entry, "oauth.redirect_uri");
    if (!config->redirect_uri)
        config->redirect_uri = mem_printf("http://127.0.0.1:%" PRId64 "/callback", number.number);
    config->static_key = config->static_key || place == 2;
    return 0;
}

static bool names_variable(const struct mcp_texts *environment, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->texts[i], name, len) == 0 && environment->texts[i][len] == '=')
            return true;
    return false;
}

// Of the server, or of the command that prints headers.
static int read_environment(const struct entry *entry, struct mcp_texts *environment,
                            struct error *err)
{
    int r = read_list(entry, "env", "=", MCP_ARGUMENTS_MAX, environment, err);
    for (size_t i = 0; i < ARRAY_LEN(inherited); i++) {
        const char *value = getenv(inherited[i]);
        if (value && !names_variable(environment, inherited[i]))
            mcp_texts_add(environment, mem_printf("%s=%s", inherited[i], value));
    }
    return r;
}

static int read_paths(const struct entry *entry, const char *member, struct mcp_texts *list,
                      struct error *err)
{
    int r = read_list(entry, member, NULL, MCP_PATHS_MAX, list, err);
    for (size_t i = 0; r == 0 && i < list->count; i++)
        if (*list->texts[i] != '/') {
            error_set(err, -EINVAL, "\"%.80s\" is no absolute path", list->texts[i]);
            r = refuse(entry, member, err);
        }
    return r;
}

// `sandbox: true`, or a mapping of what it may beside that.
static int read_sandbox(const struct entry *entry, struct mcp_server_config *config,
                        struct error *err)
{
    int place, r = read_bool(entry, "sandbox", &config->sandboxed, err);
    for (size_t i = 0; i < entry->settings->count; i++)
        if (behind(entry, entry->settings->pairs[i].name, "sandbox."))
            config->sandboxed = true;
    if (r == 0) // what is let out of a sandbox would go through a proxy, and there is none
        r = read_word(entry, "sandbox.network", "none", 0, &place, err);
    if (r == 0)
        r = read_paths(entry, "sandbox.read", &config->read, err);
    return r == 0 ? read_paths(entry, "sandbox.write", &config->write, err) : r;
}

static int read_program(const struct entry *entry, struct mcp_server_config *config,
                        struct error *err)
{
    const char *command = text_of(entry, "command"), *cwd = text_of(entry, "cwd");
    struct option memory = {
        .key = "memory", .type = OPTION_BYTES, .min = 1 << 20, .max = INT64_MAX};
    mcp_texts_add(&config->argv, mem_strdup(command));
    int r = read_list(entry, "args", NULL, MCP_ARGUMENTS_MAX, &config->argv, err);
    if (r == 0)
        r = read_sandbox(entry, config, err);
    union option_value bytes = {.number = config->sandboxed ? MEMORY_SANDBOXED : 0};
    if (r == 0)
        r = read_value(entry, &memory, &bytes, err);
    config->memory = bytes.number;
    config->directory = cwd ? mem_strdup(cwd) : NULL;
    return r;
}

/* Entries */

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_' && name.data[i] != '-')
            return false;
    return name.len > 0 && name.len <= MCP_SERVER_NAME_MAX;
}

static int read_where(const struct entry *entry, struct mcp_server_config *config,
                      struct error *err)
{
    const char *command = text_of(entry, "command"), *text = text_of(entry, "url");
    struct url url;
    if (!is_name(entry->name))
        return error_set(err, -EINVAL,
                         "mcp_servers: \"%.*s\" is no name for a server: use 1 to %d letters, "
                         "digits, \"_\" and \"-\"",
                         entry->name.len < 80 ? (int)entry->name.len : 80, entry->name.data,
                         MCP_SERVER_NAME_MAX);
    if (!command == !text) {
        error_set(err, -EINVAL, "there %s; give one of \"command\" and \"url\"",
                  command ? "is a \"command\" and a \"url\"" : "is no \"command\" and no \"url\"");
        return refuse(entry, command ? "url" : "command", err);
    }
    if (command)
        return read_program(entry, config, err);
    if (url_parse(span_of(text), &url, err) < 0)
        return refuse(entry, "url", err);
    config->url = mem_strdup(text);
    int r = read_headers(entry, config, err);
    return r < 0 ? r : read_oauth(entry, config, err);
}

// "http", "streamable-http" and "sse" stand under three keys in people's files.
static int read_way(const struct entry *entry, struct mcp_server_config *config, struct error *err)
{
    static const char *const keys[] = {"transport", "type", "mode"};
    static const char words[] = "auto, stdio, http, streamable-http, streamable_http, sse";
    static const enum mcp_way ways[] = {MCP_WAY_AUTO, MCP_WAY_AUTO, MCP_WAY_HTTP,
                                        MCP_WAY_HTTP, MCP_WAY_HTTP, MCP_WAY_SSE};
    int r = 0, place;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(keys); i++) {
        r = read_word(entry, keys[i], words, 0, &place, err);
        if (ways[place] != MCP_WAY_AUTO)
            config->way = ways[place];
    }
    return r;
}

static int read_rest(const struct entry *entry, struct mcp_server_config *config, struct error *err)
{
    int place;
    int r = read_way(entry, config, err);
    if (r == 0)
        r = read_environment(entry, &config->environment, err);
    if (r == 0)
        r = read_word(entry, "protocol", "auto, stateless, modern, legacy", 0, &place, err);
    if (r == 0)
        config->era = place == 0 ? MCP_ERA_AUTO : place == 3 ? MCP_ERA_LEGACY : MCP_ERA_MODERN;
    if (r == 0)
        r = read_word(entry, "trust", "untrusted, full", 0, &place, err);
    if (r == 0)
        config->trusted = place == 1;
    if (r == 0)
        r = read_bool(entry, "enabled", &config->enabled, err);
    if (r == 0)
        r = read_bool(entry, "lazy", &config->lazy, err);
    if (r == 0)
        r = read_bool(entry, "supports_parallel_tool_calls", &config->parallel, err);
    if (r == 0)
        r = read_time(entry, "timeout", &config->timeout_ms, err);
    if (r == 0)
        r = read_time(entry, "connect_timeout", &config->connect_ms, err);
    if (r == 0)
        r = read_bool(entry, "tools.resources", &config->resources, err);
    if (r == 0)
        r = read_bool(entry, "tools.prompts", &config->prompts, err);
    if (r == 0)
        r = read_list(entry, "tools.include", NULL, MCP_GLOBS_MAX, &config->include, err);
    if (r == 0)
        r = read_list(entry, "tools.exclude", NULL, MCP_GLOBS_MAX, &config->exclude, err);
    return r;
}

static char *spell(const struct entry *entry)
{
    size_t size = 1;
    for (size_t i = 0; i < entry->settings->count; i++)
        size +=
            strlen(entry->settings->pairs[i].name) + strlen(entry->settings->pairs[i].value) + 2;
    BUF_AUTO text = BUF_INIT(size);
    for (size_t i = 0; i < entry->settings->count; i++)
        if (behind(entry, entry->settings->pairs[i].name, ""))
            buf_printf(&text, "%s\n%s\n", entry->settings->pairs[i].name,
                       entry->settings->pairs[i].value);
    return buf_take_text(&text);
}

int mcp_server_config_read(const struct option_map *settings, struct span name,
                           struct mcp_server_config *ret_config, struct error *err)
{
    struct entry entry = {settings, name};
    struct mcp_server_config config = {
        .name = mem_strndup(name.data, name.len),
        .spelled = spell(&entry),
        .enabled = true,
        .resources = true,
        .prompts = true,
        .timeout_ms = 300 * 1000,
        .connect_ms = 60 * 1000,
    };
    int r = read_where(&entry, &config, err);
    if (r == 0)
        r = read_rest(&entry, &config, err);
    if (r < 0)
        mcp_server_config_finish(&config);
    else
        *ret_config = config;
    return r;
}

void mcp_texts_finish(struct mcp_texts *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
}

void mcp_server_config_finish(struct mcp_server_config *config)
{
    struct mcp_texts *lists[] = {&config->argv,         &config->environment, &config->headers,
                                 &config->header_files, &config->header_argv, &config->include,
                                 &config->exclude,      &config->read,        &config->write};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        mcp_texts_finish(lists[i]);
    free(config->name);
    free(config->spelled);
    free(config->url);
    free(config->directory);
    free(config->client_id);
    free(config->client_secret);
    free(config->scope);
    free(config->redirect_uri);
    *config = (struct mcp_server_config){0};
}

size_t mcp_server_names(const struct option_map *settings, struct span *names)
{
    size_t count = 0;
    for (size_t i = 0; i < settings->count; i++) {
        struct span rest = span_of(settings->pairs[i].name), name = span_cut(&rest, '.');
        bool known = false;
        for (size_t j = 0; j < count; j++)
            known = known || span_equal(names[j], name);
        if (!known && count < MCP_SERVERS_MAX)
            names[count++] = name;
    }
    return count;
}

int mcp_config_check(const struct option_map *settings, struct error *err)
{
    struct span names[MCP_SERVERS_MAX];
    size_t count = mcp_server_names(settings, names);
    for (size_t i = 0; i < count; i++) {
        struct mcp_server_config config = {0};
        int r = mcp_server_config_read(settings, names[i], &config, err);
        if (r < 0)
            return r;
        mcp_server_config_finish(&config);
    }
    return 0;
}
