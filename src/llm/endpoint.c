#include "llm/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "llm/model_list.h"
#include "llm/offline.h"
#include "llm/openai.h"

enum { NAMES_MAX = 4096 }; // bytes of the names in a sentence

static bool is_set(const char *text)
{
    return text && *text;
}

static const char *first_set(const char *a, const char *b)
{
    return is_set(a) ? a : b;
}

static struct endpoint openrouter(const struct llm_config *config)
{
    return (struct endpoint){
        .kind = ENDPOINT_OPENAI,
        .provider = "openrouter",
        .base_url = first_set(config->openrouter_base_url, openrouter_default_base_url),
        .api_key = first_set(config->openrouter_api_key, first_set(config->api_key, "")),
        .model = config->model,
        .chosen = true,
    };
}

static struct endpoint openai(const struct llm_config *config)
{
    return (struct endpoint){
        .kind = ENDPOINT_OPENAI,
        .provider = "openai",
        .base_url = first_set(config->openai_base_url, openai_default_base_url),
        .api_key = first_set(config->openai_api_key, first_set(config->api_key, "")),
        .model = config->model,
        .chosen = true,
    };
}

static bool is_openrouter(const char *base_url)
{
    struct url url;
    return is_set(base_url) && url_parse(span_of(base_url), &url, NULL) == 0 &&
           (span_is(url.host, "openrouter.ai") || span_ends_with(url.host, ".openrouter.ai"));
}

// OPENAI_API_KEY is by custom the key of whatever speaks OpenAI's protocol; an OpenRouter key goes
// to OpenRouter alone.
static const char *key_for(const struct llm_config *config, const char *base_url)
{
    const char *own = is_openrouter(base_url) ? config->openrouter_api_key : config->openai_api_key;
    return first_set(config->api_key, first_set(own, ""));
}

static struct endpoint custom(const struct llm_config *config)
{
    const char *base_url = first_set(config->base_url, config->openai_base_url);
    return (struct endpoint){
        .kind = ENDPOINT_OPENAI,
        .provider = "custom",
        .base_url = base_url,
        .api_key = key_for(config, base_url),
        .model = config->model,
        .chosen = true,
    };
}

static struct endpoint offline(bool chosen)
{
    return (struct endpoint){
        .kind = ENDPOINT_OFFLINE,
        .provider = "offline",
        .base_url = "",
        .path = "",
        .api_key = "",
        .name = "offline",
        .model = "offline",
        .chosen = chosen,
    };
}

static struct endpoint automatic(const struct llm_config *config)
{
    if (is_set(config->base_url))
        return custom(config);
    if (is_set(config->openrouter_api_key))
        return openrouter(config);
    if (is_set(config->openai_base_url) || is_set(config->openai_api_key))
        return openai(config);
    return offline(false);
}

static bool is_custom(const char *provider)
{
    static const char *const names[] = {"custom",    "ollama",   "vllm",   "llamacpp",
                                        "llama.cpp", "lmstudio", "litellm"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(provider, names[i]) == 0)
            return true;
    return false;
}

static int by_name(const struct llm_config *config, struct endpoint *ret_endpoint,
                   struct error *err)
{
    const char *provider = config->provider;
    if (!is_set(provider) || strcmp(provider, "auto") == 0)
        *ret_endpoint = automatic(config);
    else if (strcmp(provider, "offline") == 0)
        *ret_endpoint = offline(true);
    else if (strcmp(provider, "openrouter") == 0)
        *ret_endpoint = openrouter(config);
    else if (strcmp(provider, "openai") == 0)
        *ret_endpoint = openai(config);
    else if (is_custom(provider))
        *ret_endpoint = custom(config);
    else
        return error_set(
            err, -ENOENT,
            "model.provider: \"%.64s\" is not known; take openrouter, openai, offline, "
            "or custom with model.base_url",
            provider);
    return 0;
}

/*
 * "vendor/model" as LiteLLM writes it: what stands before the first slash says whose protocol and
 * address it is. Known are those whose servers speak OpenAI's protocol at a documented address;
 * whatever else does is openai/ with an api_base. A key of the environment goes where it belongs,
 * and never to an address that an entry names, and neither do model.extra_headers.
 */
static const struct upstream {
    const char *prefix;
    const char *base_url; // NULL: a setting says it
    const char *path;     // behind an api_base that ends before OpenAI's protocol begins
    bool needs_key;
} upstreams[] = {
    {"openrouter", NULL, "", true},
    {"openai", NULL, "", false},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "", true},
    {"deepseek", "https://api.deepseek.com/v1", "", true},
    {"ollama", "http://127.0.0.1:11434", "/v1", false},
    {"ollama_chat", "http://127.0.0.1:11434", "/v1", false},
};

static const struct upstream *upstream_named(struct span prefix)
{
    for (size_t i = 0; i < ARRAY_LEN(upstreams); i++)
        if (span_is(prefix, upstreams[i].prefix))
            return &upstreams[i];
    return NULL;
}

static const char *base_url_of(const struct llm_config *config, const struct upstream *upstream)
{
    if (strcmp(upstream->prefix, "openrouter") == 0)
        return openrouter(config).base_url;
    return upstream->base_url ? upstream->base_url : openai(config).base_url;
}

// The environment's key, where the address is not the entry's own.
static const char *key_of(const struct llm_config *config, const struct upstream *upstream,
                          const char *api_base)
{
    if (is_openrouter(api_base) || (!api_base && strcmp(upstream->prefix, "openrouter") == 0))
        return first_set(config->openrouter_api_key, "");
    return !api_base && strcmp(upstream->prefix, "openai") == 0
               ? first_set(config->openai_api_key, "")
               : "";
}

static int upstream_of(const struct llm_config *config, const struct deployment *deployment,
                       struct endpoint *ret_endpoint, struct error *err)
{
    const char *slash = strchr(deployment->model, '/');
    struct span prefix =
        span_make(deployment->model, slash ? (size_t)(slash - deployment->model) : 0);
    const struct upstream *upstream = upstream_named(slash ? prefix : SPAN_LITERAL("openai"));
    if (!upstream)
        return error_set(err, -ENOTSUP,
                         "model_list: \"%s\" is %.128s, and %.*s is no provider that this version "
                         "knows (openrouter, openai, gemini, deepseek, ollama); a server that "
                         "speaks OpenAI's protocol is openai/MODEL with an api_base",
                         deployment->name, deployment->model, (int)prefix.len, prefix.data);
    const char *base_url = first_set(deployment->api_base, base_url_of(config, upstream));
    bool complete = !*upstream->path || span_ends_with(span_of(base_url), upstream->path) ||
                    span_ends_with(span_of(base_url), "/v1/");
    const char *api_base = is_set(deployment->api_base) ? deployment->api_base : NULL;
    const char *api_key = first_set(deployment->api_key, key_of(config, upstream, api_base));
    if (upstream->needs_key && !is_set(api_key))
        return error_set(
            err, -ENOKEY, "model_list: \"%s\" has no key for %s: set litellm_params.api_key%s",
            deployment->name, upstream->prefix,
            strcmp(upstream->prefix, "openrouter") == 0 ? ", or OPENROUTER_API_KEY" : "");
    *ret_endpoint = (struct endpoint){
        .kind = ENDPOINT_OPENAI,
        .provider = upstream->prefix,
        .base_url = base_url,
        .path = complete ? "" : upstream->path,
        .api_key = api_key,
        .name = deployment->name,
        .model = slash ? slash + 1 : deployment->model,
        .chosen = true,
        .listed = true,
        .deployment = deployment->index,
    };
    return 0;
}

static int check(const struct llm_config *config, const struct endpoint *found, struct error *err)
{
    BUF_AUTO names = BUF_INIT(NAMES_MAX);
    model_list_names(&config->model_list, &names);
    bool guessed = found->kind == ENDPOINT_OFFLINE && !found->chosen;
    if (guessed && names.len)
        return error_set(err, -ENOENT, "%s%.128s%s; model_list has %s",
                         is_set(config->model) ? "there is no model " : "no model is chosen",
                         is_set(config->model) ? config->model : "",
                         is_set(config->model) ? "" : ": set HERMES_MODEL (or model.default)",
                         buf_text(&names));
    if (guessed && is_set(config->model))
        return error_set(err, -ENOKEY,
                         "no key for the model %.128s: set OPENROUTER_API_KEY, or OPENAI_BASE_URL "
                         "and OPENAI_API_KEY, or take HERMES_MODEL=offline",
                         config->model);
    if (found->kind == ENDPOINT_OPENAI && !is_set(found->base_url))
        return error_set(err, -EINVAL, "model.provider is %s: set model.base_url too",
                         config->provider);
    if (found->kind == ENDPOINT_OPENAI && !is_set(found->model))
        return error_set(err, -EINVAL,
                         "no model is chosen: set HERMES_MODEL (or model.default) to a name that "
                         "%s knows",
                         found->base_url);
    if (strcmp(found->provider, "openrouter") == 0 && !is_set(found->api_key))
        return error_set(err, -ENOKEY, "no key for OpenRouter: set OPENROUTER_API_KEY");
    return 0;
}

// A name of the list counts whatever model.provider says, unless that is the offline model.
static int choose_listed(const struct llm_config *config, struct endpoint *ret_endpoint,
                         struct error *err)
{
    struct deployment deployment;
    if (!is_set(config->model) ||
        (is_set(config->provider) && strcmp(config->provider, "offline") == 0))
        return 1;
    int r = model_list_find(&config->model_list, config->model, &deployment, err);
    return r == 0 ? upstream_of(config, &deployment, ret_endpoint, err) : r;
}

int endpoint_choose(const struct llm_config *config, struct endpoint *ret_endpoint,
                    struct error *err)
{
    struct endpoint found;
    if (is_set(config->model) && strcmp(config->model, "offline") == 0) {
        *ret_endpoint = offline(true);
        return 0;
    }
    int r = choose_listed(config, &found, err);
    if (r == 1) {
        r = by_name(config, &found, err);
        found.name = found.model;
        found.path = "";
    }
    if (r == 0)
        r = check(config, &found, err);
    if (r == 0)
        *ret_endpoint = found;
    return r;
}

int endpoint_choose_model(const struct llm_config *config, const char *name,
                          struct endpoint *ret_endpoint, struct error *err)
{
    struct llm_config other = *config;
    other.model = name;
    return endpoint_choose(&other, ret_endpoint, err);
}

char *endpoint_url(const struct endpoint *endpoint)
{
    return mem_printf("%s%s", endpoint->base_url, endpoint->path ? endpoint->path : "");
}

static void free_lines(char ***lines)
{
    for (char **line = *lines; line && *line; line++)
        free(*line);
    free(*lines);
}

static char **header_lines(const struct option_map *headers)
{
    char **lines = mem_zalloc((headers->count + 1) * sizeof *lines);
    for (size_t i = 0; i < headers->count; i++)
        lines[i] = mem_printf("%s: %s", headers->pairs[i].name, headers->pairs[i].value);
    return lines;
}

int endpoint_open(const struct endpoint *endpoint, const struct llm_config *config,
                  struct loop *loop, struct http_client *http, struct chat_provider **ret_provider,
                  struct error *err)
{
    if (endpoint->kind == ENDPOINT_OFFLINE)
        return offline_provider_create(loop, ret_provider);
    static const struct option_map none = {NULL, 0};
    CLEANUP(free_lines)
    char **headers = header_lines(endpoint->listed ? &none : &config->extra_headers);
    CLEANUP(mem_cleanup) char *base_url = endpoint_url(endpoint);
    struct openai_options options = {
        .base_url = base_url,
        .api_key = endpoint->api_key,
        .extra_headers = (const char *const *)headers,
        .timeouts = {config->connect_timeout_ms, config->first_byte_timeout_ms,
                     config->idle_timeout_ms, config->total_timeout_ms},
    };
    return openai_provider_create(loop, http, &options, ret_provider, err);
}
