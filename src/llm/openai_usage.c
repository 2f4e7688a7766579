#include "llm/openai_usage.h"

#include "codec/money.h"

enum {
    TOKENS_MAX = 1000 * 1000 * 1000, // of one call; what is above is nonsense
    NUMBER_TEXT_MAX = 64,            // bytes
};

static void read_tokens(struct json_value value, int64_t *to)
{
    int64_t tokens = 0;
    if (json_int64(value, &tokens) && tokens >= 0 && tokens <= TOKENS_MAX)
        *to = tokens;
}

static void read_money(struct json_value value, int64_t *to)
{
    int64_t pico = 0;
    if (json_raw(value).len <= NUMBER_TEXT_MAX && json_fixed(value, MONEY_DIGITS, &pico) &&
        pico >= 0)
        *to = pico;
}

// Where the total tells of more tokens than the parts, the rest was written unseen (reasoning that
// one server leaves out of completion_tokens), and is paid for as such.
static void add_up(struct json_value object, struct chat_usage *usage)
{
    int64_t total = -1, known = usage->completion_tokens < 0 ? 0 : usage->completion_tokens;
    read_tokens(json_get(object, "total_tokens"), &total);
    if (total >= 0 && usage->prompt_tokens >= 0 && total - usage->prompt_tokens >= known)
        usage->completion_tokens = total - usage->prompt_tokens;
}

// With a key of the owner's own (OpenRouter), `cost` is the gateway's fee alone: what the provider
// charges comes on top of it, and where that is not said, the cost is not known. Without such a key
// the charge is in `cost` already.
static void read_cost(struct json_value object, struct chat_usage *usage)
{
    bool own_key = false;
    int64_t fee = -1, charge = -1;
    struct json_value details = json_get(object, "cost_details");
    json_bool(json_get(object, "is_byok"), &own_key);
    read_money(json_get(object, "cost"), &fee);
    read_money(json_get(details, "upstream_inference_cost"), &charge);
    if (fee >= 0)
        usage->cost_pico = !own_key ? fee : charge < 0 ? -1 : money_add(fee, charge);
}

void openai_read_usage(struct json_value object, struct chat_usage *usage)
{
    struct json_value prompt = json_get(object, "prompt_tokens_details");
    struct json_value completion = json_get(object, "completion_tokens_details");
    read_tokens(json_get(object, "prompt_tokens"), &usage->prompt_tokens);
    read_tokens(json_get(object, "completion_tokens"), &usage->completion_tokens);
    read_tokens(json_get(prompt, "cached_tokens"), &usage->cached_tokens);
    // Anthropic's own name, which LiteLLM puts beside OpenAI's; the latter wins.
    read_tokens(json_get(object, "cache_creation_input_tokens"), &usage->cache_write_tokens);
    read_tokens(json_get(prompt, "cache_write_tokens"), &usage->cache_write_tokens);
    read_tokens(json_get(completion, "reasoning_tokens"), &usage->reasoning_tokens);
    add_up(object, usage);
    read_cost(object, usage);
}
