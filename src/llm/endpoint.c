#include "llm/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "llm/model_list.h"
#include "llm/upstream.h"
#include "llm/wire_format.h"

enum { NAMES_MAX = 4096 }; // bytes of the names in a sentence

static bool is_set(const char *text)
{
    return text && *text;
}

static const char *first_set(const char *a, const char *b)
{
    return is_set(a) ? a : b;
}

static struct endpoint at(const struct llm_config *config, const char *provider,
                          const char *base_url, const char *api_key)
{
    return (struct endpoint){
        .format = &wire_openai_chat,
        .provider = provider,
        .base_url = base_url,
        .api_key = first_set(api_key, first_set(config->api_key, "")),
        .model = config->model,
        .chosen = true,
    };
}

static struct endpoint openrouter(const struct llm_config *config)
{
    return at(config, "openrouter",
              first_set(config->openrouter_base_url, openrouter_default_base_url),
              config->openrouter_api_key);
}

static struct endpoint openai(const struct llm_config *config)
{
    return at(config, "openai", first_set(config->openai_base_url, openai_default_base_url),
              config->openai_api_key);
}

static bool is_openrouter(const char *base_url)
{
    struct url url;
    return is_set(base_url) && url_parse(span_of(base_url), &url, NULL) == 0 &&
           (span_is(url.host, "openrouter.ai") || span_ends_with(url.host, ".openrouter.ai"));
}

// OPENAI_API_KEY is by custom the key of whatever speaks OpenAI's protocol; an OpenRouter key goes
// to OpenRouter alone.
static struct endpoint custom(const struct llm_config *config)
{
    const char *base_url = first_set(config->base_url, config->openai_base_url);
    const char *own = is_openrouter(base_url) ? config->openrouter_api_key : config->openai_api_key;
    return at(config, "custom", base_url, first_set(config->api_key, own));
}

static struct endpoint offline(bool chosen)
{
    return (struct endpoint){
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
            "model.provider: \"%.64s\" is unknown; use openrouter, openai, offline, or custom with "
            "model.base_url",
            provider);
    return 0;
}

/*
 * "vendor/model" as LiteLLM writes it: what stands before the first slash says whose protocol and
 * address it is. Known are those whose servers speak OpenAI's protocol at a documented address, or
 * at one that a setting names; whatever else does is openai/ with an api_base. A key of the
 * environment goes where it belongs, and never to an address that an entry names, and neither do
 * model.extra_headers.
 */
static const struct vendor {
    const char *prefix;
    const char *base_url; // where no setting says another; NULL: one must
    const char *path;     // behind an api_base that ends before OpenAI's protocol begins
    bool needs_key;
    size_t base_url_at, api_key_at; // settings, as offsets into struct llm_config; 0: none
} vendors[] = {
#define AT(name) offsetof(struct llm_config, name)
    {"openrouter", openrouter_default_base_url, "", true, AT(openrouter_base_url),
     AT(openrouter_api_key)},
    {"openai", openai_default_base_url, "", false, AT(openai_base_url), AT(openai_api_key)},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "", true, 0,
     AT(gemini_api_key)},
    {"deepseek", "https://api.deepseek.com/v1", "", true, AT(deepseek_base_url),
     AT(deepseek_api_key)},
    {"groq", "https://api.groq.com/openai/v1", "", true, 0, AT(groq_api_key)},
    {"ollama", "http://127.0.0.1:11434", "/v1", false, AT(ollama_base_url), 0},
    {"ollama_chat", "http://127.0.0.1:11434", "/v1", false, AT(ollama_base_url), 0},
    {"llamacpp", NULL, "/v1", false, 0, 0},
    {"lm_studio", NULL, "/v1", false, AT(lm_studio_base_url), AT(lm_studio_api_key)},
    {"hosted_vllm", NULL, "/v1", false, AT(hosted_vllm_base_url), AT(hosted_vllm_api_key)},
    {"litellm_proxy", NULL, "/v1", false, AT(litellm_proxy_base_url), AT(litellm_proxy_api_key)},
#undef AT
};

_Static_assert(offsetof(struct llm_config, model) == 0, "no setting of an upstream is at 0");

// With an api_base, any other prefix is taken for a vendor whose server speaks OpenAI's protocol,
// unless it names a wire format.
static const struct vendor other_vendor = {"custom", NULL, "", false, 0, 0};

// Providers of LiteLLM's that speak a protocol of their own, at whatever address.
static const char *const other_protocols[] = {
    "anthropic", "azure",     "azure_ai",  "bedrock", "cohere",      "cohere_chat",
    "replicate", "sagemaker", "vertex_ai", "watsonx", "huggingface", "palm",
};

static const struct vendor *vendor_named(struct span prefix, bool has_address)
{
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
        if (span_is(prefix, vendors[i].prefix))
            return &vendors[i];
    for (size_t i = 0; i < ARRAY_LEN(other_protocols); i++)
        if (span_is(prefix, other_protocols[i]))
            return NULL;
    return has_address ? &other_vendor : NULL;
}

static const char *setting_at(const struct llm_config *config, size_t offset)
{
    return offset ? *(const char *const *)((const char *)config + offset) : NULL;
}

// The environment's key, where the address is not the entry's own.
static const char *key_of(const struct llm_config *config, const struct vendor *vendor,
                          const char *api_base)
{
    if (is_openrouter(api_base))
        return first_set(config->openrouter_api_key, "");
    return first_set(api_base ? NULL : setting_at(config, vendor->api_key_at), "");
}

// The vendor's name of "vendor/model", and *ret_model. Where the entry names the vendor apart,
// the model may repeat it.
static struct span prefix_of(const struct deployment *deployment, const char **ret_model)
{
    const char *slash = strchr(deployment->model, '/');
    struct span prefix =
        span_make(deployment->model, slash ? (size_t)(slash - deployment->model) : 0);
    bool apart = is_set(deployment->provider);
    bool cut = slash && (!apart || span_is(prefix, deployment->provider));
    *ret_model = cut ? slash + 1 : deployment->model;
    return apart ? span_of(deployment->provider) : slash ? prefix : SPAN_LITERAL("openai");
}

static int check_vendor(const struct deployment *deployment, struct span prefix,
                        const struct vendor *vendor, const char *base_url, const char *api_key,
                        struct error *err)
{
    if (!vendor)
        return error_set(err, -ENOTSUP,
                         "model_list: \"%s\" is %.128s, and %.*s is not a known provider "
                         "(openrouter, openai, gemini, deepseek, ollama); for a server with "
                         "OpenAI's protocol use openai/MODEL and an api_base",
                         deployment->name, deployment->model, (int)prefix.len, prefix.data);
    if (!is_set(base_url))
        return error_set(err, -EINVAL,
                         "model_list: \"%s\" has no address of %s: set litellm_params.api_base",
                         deployment->name, vendor->prefix);
    if (vendor->needs_key && !is_set(api_key))
        return error_set(
            err, -ENOKEY, "model_list: \"%s\" has no key for %s: set litellm_params.api_key%s",
            deployment->name, vendor->prefix,
            strcmp(vendor->prefix, "openrouter") == 0 ? ", or OPENROUTER_API_KEY" : "");
    return 0;
}

static int upstream_of(const struct llm_config *config, const struct deployment *deployment,
                       struct endpoint *ret_endpoint, struct error *err)
{
    const char *api_base = is_set(deployment->api_base) ? deployment->api_base : NULL;
    const char *model;
    struct span prefix = prefix_of(deployment, &model);
    const struct wire_format *format = wire_format_find(prefix);
    const struct vendor *vendor = vendor_named(prefix, api_base);
    const struct vendor *known = vendor ? vendor : &other_vendor;
    const char *base_url =
        first_set(api_base, first_set(setting_at(config, known->base_url_at), known->base_url));
    const char *api_key = first_set(deployment->api_key, key_of(config, known, api_base));
    int r = check_vendor(deployment, prefix, vendor, base_url, api_key, err);
    if (r < 0)
        return r;
    bool complete = !*known->path || span_ends_with(span_of(base_url), known->path) ||
                    span_ends_with(span_of(base_url), "/v1/");
    *ret_endpoint = (struct endpoint){
        .format = format ? format : &wire_openai_chat,
        .provider = known->prefix,
        .base_url = base_url,
        .path = complete ? "" : known->path,
        .api_key = api_key,
        .name = deployment->name,
        .model = model,
        .organization = is_set(deployment->organization) ? deployment->organization : NULL,
        .chosen = true,
        .listed = true,
        .deployment = deployment->index,
    };
    return 0;
}

int endpoint_of_deployment(const struct llm_config *config, const struct deployment *deployment,
                           struct endpoint *ret_endpoint, struct error *err)
{
    struct endpoint found = offline(true);
    int r = model_list_check(deployment, err);
    if (r == 0 && strcmp(deployment->model, "offline") != 0)
        r = upstream_of(config, deployment, &found, err);
    if (r < 0)
        return r;
    found.name = deployment->name;
    found.listed = true;
    found.deployment = deployment->index;
    *ret_endpoint = found;
    return 0;
}

static int check(const struct llm_config *config, const struct endpoint *found, struct error *err)
{
    BUF_AUTO names = BUF_INIT(NAMES_MAX);
    model_list_names(&config->model_list, &names);
    bool guessed = !found->format && !found->chosen;
    if (guessed && names.len)
        return error_set(err, -ENOENT, "%s%.128s%s; model_list has %s",
                         is_set(config->model) ? "there is no model " : "no model is chosen",
                         is_set(config->model) ? config->model : "",
                         is_set(config->model) ? "" : ": set HERMES_MODEL (or model.default)",
                         buf_text(&names));
    if (guessed && is_set(config->model))
        return error_set(err, -ENOKEY,
                         "no key for the model %.128s: set OPENROUTER_API_KEY, or OPENAI_BASE_URL "
                         "and OPENAI_API_KEY, or use HERMES_MODEL=offline",
                         config->model);
    if (found->format && !is_set(found->base_url))
        return error_set(err, -EINVAL, "model.provider is %s: set model.base_url too",
                         config->provider);
    if (found->format && !is_set(found->model))
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
    return r == 0 ? endpoint_of_deployment(config, &deployment, ret_endpoint, err) : r;
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

// OpenAI's reasoning models, told by their names as LiteLLM 1.106.0 tells them: gpt-5 and later
// except gpt-5-chat, and names that begin with o and a digit. A fine-tuned one is "ft:" before its
// base.
bool endpoint_wants_completion_bound(const char *provider, struct span model)
{
    if (strcmp(provider, "openai") != 0)
        return false;
    for (struct span rest = model; rest.len;) { // without what stands before slashes
        model = rest;
        span_cut(&rest, '/');
    }
    if (span_starts_with(model, "ft:"))
        model = span_skip(model, sizeof "ft:" - 1);
    bool is_gpt = span_find(model, SPAN_LITERAL("gpt-5")) >= 0 ||
                  span_find(model, SPAN_LITERAL("gpt-6")) >= 0;
    bool is_o =
        model.len > 1 && model.data[0] == 'o' && model.data[1] >= '0' && model.data[1] <= '9';
    return is_o || (is_gpt && span_find(model, SPAN_LITERAL("gpt-5-chat")) < 0);
}

// OpenRouter's variants ":free", what it chooses among them, and what runs on one's own machine.
bool endpoint_is_free(const char *provider, const char *model)
{
    static const char *const own[] = {"offline", "ollama", "ollama_chat", "lm_studio"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(provider, own[i]) == 0)
            return true;
    return strcmp(provider, "openrouter") == 0 &&
           (span_ends_with(span_of(model), ":free") || strcmp(model, "openrouter/free") == 0);
}

char *endpoint_url(const struct endpoint *endpoint)
{
    return mem_printf("%s%s", endpoint->base_url, endpoint->path ? endpoint->path : "");
}

void endpoint_headers_free(char **headers)
{
    for (char **line = headers; line && *line; line++)
        free(*line);
    free(headers);
}

static void add_line(char **lines, const char *name, const char *value)
{
    while (*lines)
        lines++;
    if (value)
        *lines = mem_printf("%s: %s", name, value);
}

char **endpoint_headers(const struct endpoint *endpoint, const struct llm_config *config)
{
    enum { OWN = 3 };
    size_t count = endpoint->listed ? 0 : config->extra_headers.count;
    char **lines = mem_zalloc((count + OWN + 1) * sizeof *lines);
    if (strcmp(endpoint->provider, "openrouter") == 0 || is_openrouter(endpoint->base_url)) {
        add_line(lines, "HTTP-Referer", config->openrouter_site_url);
        add_line(lines, "X-Title", config->openrouter_app_name);
    }
    add_line(lines, "OpenAI-Organization", endpoint->organization);
    for (size_t i = 0; i < count; i++)
        add_line(lines, config->extra_headers.pairs[i].name, config->extra_headers.pairs[i].value);
    return lines;
}
