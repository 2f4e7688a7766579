/*
 * Providers sell more than tokens: searches, other models, faster lanes. A bound that is made of
 * bytes and max_tokens says nothing of these, so where one has to hold, they are refused.
 *
 * Of members, those that are known to cost are refused, by name; others pass, because providers
 * know more fields than a router does, and most are harmless. An owner who would rather be asked
 * sets strict_members. Of tools it is the other way round: all but the client's own are run by the
 * provider, whatever they are called and however they are written, so that only what is plainly the
 * client's own passes.
 */
#include "router/request_dear.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/json.h"

enum { SHOWN_NAME_MAX = 64 }; // bytes of a name in a sentence

// Members that nobody here acts on, and that cost nothing but tokens: OpenAI's, and what OpenRouter
// and others have for sampling and reasoning.
static const char *const plain_members[] = {
    "dimensions",
    "echo",
    "encoding_format",
    "frequency_penalty",
    "function_call",
    "functions",
    "include_reasoning",
    "input_type",
    "logit_bias",
    "logprobs",
    "min_p",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "session_id",
    "stop",
    "store",
    "suffix",
    "temperature",
    "tool_choice",
    "top_a",
    "top_k",
    "top_logprobs",
    "top_p",
    "transforms",
    "usage",
    "verbosity",
};

// Values of members that can cost, which change nothing or save money.
static bool is_harmless(const struct request_found *found, struct span raw)
{
    switch (found->which) {
    case REQUEST_SERVICE_TIER:
        return span_is(raw, "\"auto\"") || span_is(raw, "\"default\"") || span_is(raw, "\"flex\"");
    case REQUEST_SPEED:
        return span_is(raw, "\"standard\"");
    case REQUEST_ENABLE_SEARCH:
    case REQUEST_WEB_SEARCH:
        return found->type == JSON_FALSE;
    case REQUEST_WEB_SEARCH_OPTIONS: // to be there is enough
    case REQUEST_SEARCH_PARAMETERS:
        return false;
    case REQUEST_MODALITIES:
        if (span_is(raw, "[\"text\"]"))
            return true;
        break;
    default:
        break;
    }
    return (found->type == JSON_ARRAY || found->type == JSON_OBJECT) && found->count == 0;
}

static bool is_plain_member(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(plain_members); i++)
        if (span_is(name, plain_members[i]))
            return true;
    return false;
}

static bool is_any_of(struct json_value text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_is(text, names[i]))
            return true;
    return false;
}

// A tool that the client runs: {"type": "function", "function": {...}}, or the same without the
// inner object, as OpenAI's other API has it; and nothing else in it that could be another tool.
static bool is_own_tool(struct json_value tool)
{
    static const char *const types[] = {"function", "custom"};
    static const char *const members[] = {"function",   "custom", "name",   "description",
                                          "parameters", "strict", "format", "cache_control"};
    struct json_iter it = json_iter_init(tool);
    struct json_value name, value;
    bool has_type = false;
    while (json_type(tool) == JSON_OBJECT && json_iter_next(&it, &name, &value)) {
        bool is_type = json_is(name, "type");
        if (is_type ? !is_any_of(value, types, ARRAY_LEN(types))
                    : !is_any_of(name, members, ARRAY_LEN(members)))
            return false;
        has_type |= is_type;
    }
    return has_type;
}

// The index of the first tool that the provider may run and bill; the count when there is none.
static size_t find_dear_tool(struct json_value tools, const struct request_terms *terms)
{
    struct json_iter it = json_iter_init(tools);
    struct json_value tool;
    size_t i = 0;
    for (; json_iter_next(&it, NULL, &tool); i++)
        if (!is_own_tool(tool) &&
            !is_any_of(json_get(tool, "type"), terms->tool_types, terms->tool_type_count))
            return i;
    return i;
}

static bool has_dear_tool(const struct request_scan *scan, const struct request_terms *terms,
                          char *sentence)
{
    enum json_type type = request_type(scan, REQUEST_TOOLS);
    JSON_AUTO doc = JSON_INIT;
    if (type == JSON_ABSENT || type == JSON_NULL ||
        (type == JSON_ARRAY && request_count(scan, REQUEST_TOOLS) == 0))
        return false;
    if (type != JSON_ARRAY || json_parse(&doc, request_raw(scan, REQUEST_TOOLS), NULL) < 0) {
        snprintf(sentence, REQUEST_DEAR_SIZE,
                 "tools is no list of functions, so it can make it cost more than its price says: "
                 "omit it");
        return true;
    }
    size_t at = find_dear_tool(json_root(&doc), terms);
    if (at == json_count(json_root(&doc)))
        return false;
    snprintf(sentence, REQUEST_DEAR_SIZE,
             "tools[%zu] is not a plain function, so it can make it cost more than its price says: "
             "omit it, name its type in router.tool_types",
             at);
    return true;
}

static bool is_dear_member(const struct request_scan *scan, const struct request_found *found,
                           bool strict, char *sentence)
{
    enum request_member which = (enum request_member)found->which;
    struct span name = span_make(scan->text.data + found->name_at, found->name_len);
    if (found->type == JSON_NULL)
        return false;
    if (which != REQUEST_KNOWN) {
        snprintf(sentence, REQUEST_DEAR_SIZE,
                 "%s can make it cost more than its price says: omit it",
                 request_member_name(which));
        return request_member_dear(which) && !is_harmless(found, request_raw(scan, which));
    }
    snprintf(sentence, REQUEST_DEAR_SIZE,
             "nobody here knows what the member \"%.*s\" costs: omit it, set "
             "router.strict_members: false",
             (int)(name.len < SHOWN_NAME_MAX ? name.len : SHOWN_NAME_MAX), name.data);
    return strict && !is_plain_member(name);
}

bool request_is_dear(const struct request_scan *scan, const struct request_terms *terms,
                     char *ret_sentence)
{
    char own[REQUEST_DEAR_SIZE];
    char *sentence = ret_sentence ? ret_sentence : own;
    for (unsigned i = 0; i < scan->count; i++)
        if (is_dear_member(scan, &scan->found[i], terms->strict_members, sentence))
            return true;
    if (scan->parts.audio) { // its tokens have a price of their own
        snprintf(sentence, REQUEST_DEAR_SIZE,
                 "input_audio can make it cost more than its price says: omit it");
        return true;
    }
    return has_dear_tool(scan, terms, sentence);
}
