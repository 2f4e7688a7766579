#include "llm/model_list.h"

#include <errno.h>
#include <string.h>

#include "base/span.h"
#include "config/substitute.h"

/*
 * The other members of a request, by OpenAI's, OpenRouter's and the local servers' names: an entry
 * sets them for whoever does not. `extra_body` holds more of them.
 */
#define PARAMS(P)              \
    P("temperature")           \
    P("top_p")                 \
    P("top_k")                 \
    P("top_a")                 \
    P("min_p")                 \
    P("max_tokens")            \
    P("max_completion_tokens") \
    P("stop")                  \
    P("seed")                  \
    P("n")                     \
    P("frequency_penalty")     \
    P("presence_penalty")      \
    P("repetition_penalty")    \
    P("logit_bias")            \
    P("logprobs")              \
    P("top_logprobs")          \
    P("response_format")       \
    P("tools")                 \
    P("tool_choice")           \
    P("parallel_tool_calls")   \
    P("user")                  \
    P("store")                 \
    P("modalities")            \
    P("prediction")            \
    P("verbosity")             \
    P("reasoning")             \
    P("reasoning_effort")      \
    P("include_reasoning")     \
    P("thinking")              \
    P("service_tier")          \
    P("prompt_cache_key")      \
    P("safety_identifier")     \
    P("web_search_options")    \
    P("stream_options")        \
    P("encoding_format")       \
    P("dimensions")            \
    P("provider")              \
    P("models")                \
    P("route")                 \
    P("plugins")               \
    P("transforms")            \
    P("usage")                 \
    P("chat_template_kwargs")  \
    P("cache_prompt")          \
    P("keep_alive")            \
    P("options")               \
    P("num_ctx")               \
    P("think")                 \
    P("format")

// The settings that are for us.
#define SETTINGS(P)            \
    P("model")                 \
    P("custom_llm_provider")   \
    P("api_base")              \
    P("base_url")              \
    P("api_key")               \
    P("organization")          \
    P("rpm")                   \
    P("tpm")                   \
    P("max_parallel_requests") \
    P("timeout")               \
    P("stream_timeout")        \
    P("weight")                \
    P("order")                 \
    P("cooldown_time")         \
    P("num_retries")           \
    P("max_retries")           \
    P("extra_headers.*")

// May stand in both sections.
#define PRICES(P)                                \
    P("input_cost_per_token")                    \
    P("input_cost_per_token_above_128k_tokens")  \
    P("input_cost_per_token_above_200k_tokens")  \
    P("output_cost_per_token")                   \
    P("output_cost_per_token_above_128k_tokens") \
    P("output_cost_per_token_above_200k_tokens") \
    P("output_cost_per_reasoning_token")         \
    P("cache_read_input_token_cost")             \
    P("cache_creation_input_token_cost")         \
    P("input_cost_per_request")                  \
    P("input_cost_per_image")

#define INFO(P)            \
    P("id")                \
    P("mode")              \
    P("max_tokens")        \
    P("max_input_tokens")  \
    P("max_output_tokens") \
    P("supports_vision")   \
    P("supports_audio_input")

#define NAME(name) name ","
#define IN_PARAMS(name) "*.litellm_params." name ", "
#define WHOLE_IN_PARAMS(name) "*.litellm_params." name "{}, "
#define IN_INFO(name) "*.model_info." name ", "

const char model_list_params[] = PARAMS(NAME);

const char model_list_places[] = "*.model_name, " SETTINGS(IN_PARAMS) PRICES(IN_PARAMS)
    PRICES(IN_INFO) INFO(IN_INFO) PARAMS(WHOLE_IN_PARAMS) "*.litellm_params.extra_body{}";

// The number of the entry that a pair belongs to, and with its dot the bytes that it takes.
static size_t number_of(const struct option_pair *pair, size_t *ret_skip)
{
    struct span rest = span_of(pair->name), number = span_cut(&rest, '.');
    uint64_t index;
    *ret_skip = number.len + 1;
    return span_to_u64(number, &index) && index < SIZE_MAX ? (size_t)index : SIZE_MAX;
}

// The first pair that belongs to the entry or a later one: pairs stand in the order of the file.
static size_t first_of(const struct option_map *list, size_t index)
{
    size_t low = 0, high = list->count, skip;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (number_of(&list->pairs[middle], &skip) < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t model_list_length(const struct option_map *list)
{
    size_t skip;
    return list->count ? number_of(&list->pairs[list->count - 1], &skip) + 1 : 0;
}

size_t model_list_count(const struct option_map *list)
{
    size_t end = first_of(list, MODEL_LIST_MAX), skip;
    return end ? number_of(&list->pairs[end - 1], &skip) + 1 : 0;
}

struct option_map model_list_pairs(const struct option_map *list, size_t index, size_t *ret_skip)
{
    size_t first = first_of(list, index), end = first_of(list, index + 1);
    *ret_skip = 0;
    if (first < end)
        number_of(&list->pairs[first], ret_skip);
    return (struct option_map){list->pairs + first, end - first};
}

static const char *member(const struct option_map *pairs, size_t skip, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->pairs[i].name + skip, name) == 0)
            return pairs->pairs[i].value;
    return NULL;
}

struct deployment model_list_at(const struct option_map *list, size_t index)
{
    size_t skip;
    struct option_map pairs = model_list_pairs(list, index, &skip);
    const char *api_base = member(&pairs, skip, "litellm_params.api_base");
    return (struct deployment){
        .index = index,
        .name = member(&pairs, skip, "model_name"),
        .model = member(&pairs, skip, "litellm_params.model"),
        .provider = member(&pairs, skip, "litellm_params.custom_llm_provider"),
        .api_base = api_base ? api_base : member(&pairs, skip, "litellm_params.base_url"),
        .api_key = member(&pairs, skip, "litellm_params.api_key"),
        .organization = member(&pairs, skip, "litellm_params.organization"),
    };
}

static int check_variable(const struct deployment *found, const char *what, const char *text,
                          struct error *err)
{
    char name[SUBSTITUTE_NAME_MAX + 1];
    if (!text || !config_unset_variable(text, name))
        return 0;
    return error_set(err, -ENOKEY,
                     "model_list: the %s of \"%s\" is in the variable %s, which is not set; set "
                     "it, or put a file of that name into the directory that HERMES_SECRETS_DIR "
                     "names",
                     what, found->name, name);
}

int model_list_check(const struct deployment *found, struct error *err)
{
    if (strlen(found->name) > MODEL_NAME_MAX)
        return error_set(err, -E2BIG, "model_list: a model_name is longer than %d bytes",
                         MODEL_NAME_MAX);
    if (!found->model || !*found->model)
        return error_set(err, -EINVAL,
                         "model_list: \"%s\" has no model: set litellm_params.model, as in "
                         "openrouter/vendor/model",
                         found->name);
    int r = check_variable(found, "model", found->model, err);
    if (r == 0)
        r = check_variable(found, "api_base", found->api_base, err);
    if (r == 0)
        r = check_variable(found, "api_key", found->api_key, err);
    return r;
}

int model_list_find(const struct option_map *list, const char *name,
                    struct deployment *ret_deployment, struct error *err)
{
    size_t count = model_list_count(list);
    for (size_t i = 0; i < count; i++) {
        struct deployment found = model_list_at(list, i);
        if (!found.name || strcmp(found.name, name) != 0)
            continue;
        int r = model_list_check(&found, err);
        if (r == 0)
            *ret_deployment = found;
        return r;
    }
    return 1;
}

bool model_list_is_repeated(const struct option_map *list, size_t index)
{
    const char *name = model_list_at(list, index).name;
    for (size_t i = 0; name && i < index; i++) {
        const char *earlier = model_list_at(list, i).name;
        if (earlier && strcmp(earlier, name) == 0)
            return true;
    }
    return false;
}

void model_list_names(const struct option_map *list, struct buf *out)
{
    size_t count = model_list_count(list), shown = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = model_list_at(list, i).name;
        if (!name || !*name || model_list_is_repeated(list, i))
            continue;
        if (shown++ == MODEL_LIST_SHOWN_MAX) {
            buf_append_text(out, ", ...");
            return;
        }
        buf_printf(out, "%s%.64s", shown > 1 ? ", " : "", name);
    }
}
