#include "llm/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "llm/offline.h"
#include "llm/openai.h"

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
    return (struct endpoint){ENDPOINT_OPENAI,
                             "openrouter",
                             first_set(config->openrouter_base_url, openrouter_default_base_url),
                             first_set(config->openrouter_api_key, first_set(config->api_key, "")),
                             config->model,
                             true};
}

static struct endpoint openai(const struct llm_config *config)
{
    return (struct endpoint){ENDPOINT_OPENAI,
                             "openai",
                             first_set(config->openai_base_url, openai_default_base_url),
                             first_set(config->openai_api_key, first_set(config->api_key, "")),
                             config->model,
                             true};
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
    return (struct endpoint){ENDPOINT_OPENAI,           "custom",      base_url,
                             key_for(config, base_url), config->model, true};
}

static struct endpoint offline(bool chosen)
{
    return (struct endpoint){ENDPOINT_OFFLINE, "offline", "", "", "offline", chosen};
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

int endpoint_choose(const struct llm_config *config, struct endpoint *ret_endpoint,
                    struct error *err)
{
    struct endpoint found;
    if (is_set(config->model) && strcmp(config->model, "offline") == 0) {
        *ret_endpoint = offline(true);
        return 0;
    }
    int r = by_name(config, &found, err);
    if (r < 0)
        return r;
    if (found.kind == ENDPOINT_OFFLINE && !found.chosen && is_set(config->model))
        return error_set(err, -ENOKEY,
                         "no key for the model %.128s: set OPENROUTER_API_KEY, or OPENAI_BASE_URL "
                         "and OPENAI_API_KEY, or take HERMES_MODEL=offline",
                         config->model);
    if (found.kind == ENDPOINT_OPENAI && !is_set(found.base_url))
        return error_set(err, -EINVAL, "model.provider is %s: set model.base_url too",
                         config->provider);
    if (found.kind == ENDPOINT_OPENAI && !is_set(found.model))
        return error_set(err, -EINVAL,
                         "no model is chosen: set HERMES_MODEL (or model.default) to a name that "
                         "%s knows",
                         found.base_url);
    if (strcmp(found.provider, "openrouter") == 0 && !is_set(found.api_key))
        return error_set(err, -ENOKEY, "no key for OpenRouter: set OPENROUTER_API_KEY");
    *ret_endpoint = found;
    return 0;
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
    CLEANUP(free_lines) char **headers = header_lines(&config->extra_headers);
    struct openai_options options = {
        .base_url = endpoint->base_url,
        .api_key = endpoint->api_key,
        .extra_headers = (const char *const *)headers,
        .timeouts = {config->connect_timeout_ms, config->first_byte_timeout_ms,
                     config->idle_timeout_ms, config->total_timeout_ms},
    };
    return openai_provider_create(loop, http, &options, ret_provider, err);
}
