#include <string.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/money.h"
#include "config/substitute.h"
#include "llm/model_list.h"
#include "router/plan/plan_read.h"

// What an entry of model_list says beside the address: limits, prices, and what goes along with
// each request.

enum {
    PARAMS_MAX = 256 * 1024, // bytes of all default parameters of a deployment
    ORDER_MAX = 1000000,
    CALL_MAX_MS = 7 * 24 * 3600 * 1000,
    RETRIES_MAX = 100,
    PARALLEL_MAX = 1000000,
    CONTEXT_MAX = 1000000000, // tokens
};

#define TPM_MAX (1000LL * ROUTER_RPM_MAX)
#define WEIGHT_MICRO_MAX (1000000 * 1000000LL)

bool plan_is_header_text(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 127)
            return false;
    return true;
}

#define PRICE(of) offsetof(struct router_price, of##_pico)

// Of several prices for one thing the highest: which of them counts is only known afterwards.
static void read_prices(const struct plan_section *section, struct router_price *price)
{
    static const struct {
        const char *name;
        size_t offset;
    } prices[] = {
        {"input_cost_per_token", PRICE(input)},
        {"input_cost_per_token_above_128k_tokens", PRICE(input)},
        {"input_cost_per_token_above_200k_tokens", PRICE(input)},
        {"output_cost_per_token", PRICE(output)},
        {"output_cost_per_token_above_128k_tokens", PRICE(output)},
        {"output_cost_per_token_above_200k_tokens", PRICE(output)},
        {"cache_read_input_token_cost", PRICE(cache_read)},
        {"cache_creation_input_token_cost", PRICE(cache_write)},
        {"output_cost_per_reasoning_token", PRICE(reasoning)},
        {"input_cost_per_request", PRICE(request)},
        {"input_cost_per_image", PRICE(image)},
    };
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
        CLEANUP(mem_cleanup) char *own = mem_printf("litellm_params.%s", prices[i].name);
        CLEANUP(mem_cleanup) char *info = mem_printf("model_info.%s", prices[i].name);
        const struct option_pair *pair = plan_find_pair(section, own);
        int64_t pico, *ret = (int64_t *)((char *)price + prices[i].offset);
        if (!pair)
            pair = plan_find_pair(section, info);
        if (!pair)
            continue;
        if (!money_parse(span_of(pair->value), &pico))
            plan_pair_error(section, pair, "\"%.60s\" is not a price (dollars, such as 0.0000015)",
                            pair->value);
        else if (pico > *ret)
            *ret = pico;
    }
}

static void read_limits(const struct plan_section *section, struct router_deployment *d)
{
    d->timeout_ms = section->maker->plan->timeout_ms;
    d->stream_timeout_ms = section->maker->plan->stream_timeout_ms;
    d->max_parallel = section->maker->default_parallel;
    plan_read_number(section, "litellm_params.rpm", 0, 1, ROUTER_RPM_MAX, &d->rpm);
    plan_read_number(section, "litellm_params.tpm", 0, 1, TPM_MAX, &d->tpm);
    plan_read_number(section, "litellm_params.max_parallel_requests", 0, 1, PARALLEL_MAX,
                     &d->max_parallel);
    plan_read_number(section, "litellm_params.order", 0, 0, ORDER_MAX, &d->order);
    plan_read_number(section, "litellm_params.weight", 6, 0, WEIGHT_MICRO_MAX, &d->weight_micro);
    plan_read_time(section, "litellm_params.timeout", 1, CALL_MAX_MS, &d->timeout_ms);
    plan_read_time(section, "litellm_params.stream_timeout", 1, CALL_MAX_MS, &d->stream_timeout_ms);
    plan_read_time(section, "litellm_params.cooldown_time", 0, CALL_MAX_MS, &d->cooldown_ms);
    plan_read_number(section, "litellm_params.max_retries", 0, 0, RETRIES_MAX, &d->num_retries);
    plan_read_number(section, "litellm_params.num_retries", 0, 0, RETRIES_MAX, &d->num_retries);
    plan_read_number(section, "model_info.max_tokens", 0, 1, CONTEXT_MAX, &d->max_tokens);
    plan_read_number(section, "model_info.max_output_tokens", 0, 1, CONTEXT_MAX, &d->max_tokens);
    plan_read_number(section, "model_info.max_input_tokens", 0, 1, CONTEXT_MAX,
                     &d->max_input_tokens);
}

// A variable within JSON that was not there when it was read.
static void check_variables(const struct plan_section *section, const struct option_pair *pair)
{
    static const char unset[] = "\"os.environ/";
    ptrdiff_t at = span_find(span_of(pair->value), span_of(unset));
    struct span rest = span_skip(span_of(pair->value), at < 0 ? 0 : (size_t)at + sizeof unset - 1);
    struct span name = span_cut(&rest, '"');
    if (at >= 0)
        plan_pair_error(section, pair, "the variable %.*s in it is not set",
                        name.len > SUBSTITUTE_NAME_MAX ? SUBSTITUTE_NAME_MAX : (int)name.len,
                        name.data);
}

// A member of the request, if it is the first of its name.
static void add_param(struct json_writer *w, struct buf *seen, struct span name, struct span json)
{
    if (option_words_have(buf_text(seen), name))
        return;
    buf_append_span(seen, name);
    buf_append_char(seen, ',');
    json_write_key_span(w, name);
    json_write_raw(w, json);
}

static void add_body(const struct plan_section *section, const struct option_pair *pair,
                     struct json_writer *w, struct buf *seen)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_value key, value;
    if (json_parse(&doc, span_of(pair->value), NULL) < 0 ||
        json_type(json_root(&doc)) != JSON_OBJECT) {
        plan_pair_error(section, pair, "it must be a mapping of parameters");
        return;
    }
    struct json_iter it = json_iter_init(json_root(&doc));
    while (json_iter_next(&it, &key, &value)) {
        BUF_AUTO name = BUF_INIT(OPTION_VALUE_MAX);
        json_string(key, &name);
        add_param(w, seen, buf_span(&name), json_raw(value));
    }
}

static void read_params(const struct plan_section *section, struct router_deployment *d)
{
    static const char before[] = "litellm_params.";
    BUF_AUTO out = BUF_INIT(PARAMS_MAX);
    BUF_AUTO seen = BUF_INIT(PARAMS_MAX);
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_object_begin(&w);
    for (size_t i = 0; i < section->pairs.count; i++) {
        const struct option_pair *pair = &section->pairs.pairs[i];
        struct span name = span_of(pair->name + section->skip);
        bool ours = span_starts_with(name, before);
        name = span_skip(name, ours ? sizeof before - 1 : 0);
        if (!ours || !option_words_have(model_list_params, name))
            continue;
        check_variables(section, pair);
        add_param(&w, &seen, name, span_of(pair->value));
    }
    const struct option_pair *body = plan_find_pair(section, "litellm_params.extra_body");
    if (body) {
        check_variables(section, body);
        add_body(section, body, &w, &seen);
    }
    json_write_object_end(&w);
    if (!json_write_done(&w))
        plan_error(section->maker, 0, "%s: its parameters are longer than %d bytes", section->shown,
                   PARAMS_MAX);
    else
        d->params = plan_text(section->maker, buf_span(&out));
}

// A bound on the answer that the parameters set; who limits spending must be able to read it.
static void check_default_tokens(const struct plan_section *section,
                                 const struct router_deployment *d)
{
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, span_of(d->params), NULL) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json_value value = json_get(json_root(&doc), names[i]);
        int64_t tokens;
        if (json_type(value) == JSON_ABSENT)
            continue;
        if (!json_int64(value, &tokens) || tokens < 1 || tokens > CONTEXT_MAX)
            plan_error(section->maker, section->pairs.pairs[0].line,
                       "%s.litellm_params: %s is not a number of tokens", section->shown, names[i]);
    }
}

void plan_read_headers(const struct plan_section *section, const struct endpoint *endpoint,
                       struct router_deployment *d)
{
    static const char before[] = "litellm_params.extra_headers.";
    char unset[SUBSTITUTE_NAME_MAX + 1];
    struct plan_maker *maker = section->maker;
    char **base = endpoint_headers(endpoint, maker->source->llm);
    size_t count = 0;
    while (base[count])
        count++;
    const char **lines = plan_alloc(maker, (count + section->pairs.count + 1) * sizeof *lines);
    for (size_t i = 0; i < count; i++) {
        lines[i] = plan_copy(maker, base[i]);
        if (!plan_is_header_text(lines[i]))
            plan_error(maker, 0, "the header %.*s: its value holds a control character",
                       (int)strcspn(lines[i], ":"), lines[i]);
    }
    endpoint_headers_free(base);
    for (size_t i = 0; i < section->pairs.count; i++) {
        const struct option_pair *pair = &section->pairs.pairs[i];
        const char *name = pair->name + section->skip;
        if (strncmp(name, before, sizeof before - 1) != 0)
            continue;
        if (config_unset_variable(pair->value, unset) && !d->trouble)
            d->trouble = plan_printf(maker, "%s.%s is in the variable %s, which is not set",
                                     section->shown, name, unset);
        if (!plan_is_header_text(name) || !plan_is_header_text(pair->value)) {
            plan_pair_error(section, pair, "it has a character that a header cannot have");
            continue;
        }
        lines[count++] = plan_printf(maker, "%s: %s", name + sizeof before - 1, pair->value);
    }
    d->headers = lines;
}

void plan_read_entry(const struct plan_section *section, struct router_deployment *d)
{
    struct plan_maker *maker = section->maker;
    read_params(section, d);
    read_limits(section, d);
    read_prices(section, &d->price);
    check_default_tokens(section, d);
    bool sees = false, hears = false;
    plan_read_bool(section, "model_info.supports_vision", &sees);
    plan_read_bool(section, "model_info.supports_audio_input", &hears);
    d->media = (sees ? CHAT_IMAGES : 0u) | (hears ? CHAT_SOUND : 0u);
    plan_read_text(section, "model_info.mode", &d->mode);
    d->mode = plan_copy(maker, d->mode);
}
