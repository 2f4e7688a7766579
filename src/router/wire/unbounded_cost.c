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
#include "router/wire/unbounded_cost.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/json.h"

enum { SHOWN_NAME_MAX = 64 }; // bytes of a name in a sentence

#define DEAR "%s can make it cost more than its price says: omit it"

// Members that nobody here acts on, and that cost nothing but tokens: OpenAI's, and what OpenRouter
// and others have for sampling and reasoning.
static const char plain_members[] =
    "dimensions echo encoding_format frequency_penalty function_call functions "
    "include_reasoning input_type logit_bias logprobs min_p parallel_tool_calls "
    "presence_penalty prompt_cache_key reasoning reasoning_effort repetition_penalty "
    "response_format safety_identifier seed session_id stop store suffix temperature "
    "tool_choice top_a top_k top_logprobs top_p transforms usage verbosity";

// Values of members that can cost, which change nothing or save money.
static bool is_harmless(const struct request_found *found, struct span raw)
{
    bool is_empty = (found->type == JSON_ARRAY || found->type == JSON_OBJECT) && found->count == 0;
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
        return is_empty || span_is(raw, "[\"text\"]");
    default:
        return is_empty;
    }
}

static bool is_any_of(struct json_value text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_is(text, names[i]))
            return true;
    return false;
}

enum tool_kind {
    TOOL_OWN,       // a plain function that the client runs
    TOOL_NAMED,     // the owner has named its type
    TOOL_OTHER,     // nobody has, and could
    TOOL_UNNAMABLE, // it has no type that could be named
};

// By all of its types: of two, a provider may read the one or the other.
static enum tool_kind kind_of_tool(struct json_value tool, const struct request_terms *terms)
{
    static const char *const own[] = {"function", "custom"};
    struct json_iter it = json_iter_init(tool);
    struct json_value name, value;
    enum tool_kind kind = TOOL_UNNAMABLE;
    while (json_type(tool) == JSON_OBJECT && json_iter_next(&it, &name, &value)) {
        if (!json_is(name, "type"))
            continue;
        if (json_type(value) != JSON_STRING)
            return TOOL_UNNAMABLE;
        if (is_any_of(value, terms->tool_types, terms->tool_type_count))
            kind = kind == TOOL_OTHER ? kind : TOOL_NAMED;
        else if (!is_any_of(value, own, ARRAY_LEN(own)))
            kind = TOOL_OTHER;
        else if (kind == TOOL_UNNAMABLE)
            kind = TOOL_OWN;
    }
    return kind;
}

// {"type": "function", "function": {...}}, or the same without the inner object, as OpenAI's other
// API has it. A type that was named may bring members of its own, but not those by which a provider
// that asks for no type knows a tool that it bills.
static bool is_harmless_in_tool(struct json_value name, enum tool_kind kind,
                                const struct request_terms *terms)
{
    static const char *const own[] = {"type",   "function",    "custom",
                                      "name",   "description", "parameters",
                                      "strict", "format",      "cache_control"};
    static const char *const costly[] = {
        "googleSearch", "googleSearchRetrieval", "google_search", "google_search_retrieval",
        "googleMaps",   "enterpriseWebSearch",   "google_maps",   "enterprise_web_search"};
    if (kind == TOOL_OWN)
        return is_any_of(name, own, ARRAY_LEN(own));
    return !is_any_of(name, costly, ARRAY_LEN(costly)) ||
           is_any_of(name, terms->tool_types, terms->tool_type_count);
}

// May the provider run and bill it?
static bool is_unbounded_tool(struct json_value tool, enum tool_kind kind,
                              const struct request_terms *terms)
{
    struct json_iter it = json_iter_init(tool);
    struct json_value name, value;
    bool is_unbounded = kind != TOOL_OWN && kind != TOOL_NAMED;
    while (!is_unbounded && json_iter_next(&it, &name, &value))
        is_unbounded = !is_harmless_in_tool(name, kind, terms);
    return is_unbounded;
}

static bool has_unbounded_tool(const struct request_scan *scan, const struct request_terms *terms,
                               char *sentence)
{
    enum json_type type = request_type(scan, REQUEST_TOOLS);
    JSON_AUTO doc = JSON_INIT;
    if (type == JSON_ABSENT || type == JSON_NULL ||
        (type == JSON_ARRAY && request_count(scan, REQUEST_TOOLS) == 0))
        return false;
    if (type != JSON_ARRAY || json_parse(&doc, request_raw(scan, REQUEST_TOOLS), NULL) < 0) {
        snprintf(sentence, REQUEST_UNBOUNDED_SIZE, DEAR, "tools is no list of functions, so it");
        return true;
    }
    struct json_iter it = json_iter_init(json_root(&doc));
    struct json_value tool;
    for (size_t i = 0; json_iter_next(&it, NULL, &tool); i++) {
        enum tool_kind kind = kind_of_tool(tool, terms);
        if (!is_unbounded_tool(tool, kind, terms))
            continue;
        snprintf(sentence, REQUEST_UNBOUNDED_SIZE,
                 "tools[%zu] is not a plain function, so " DEAR "%s", i, "it",
                 kind == TOOL_OTHER ? ", name its type in router.tool_types" : "");
        return true;
    }
    return false;
}

static bool is_unbounded_member(const struct request_scan *scan, const struct request_found *found,
                                bool strict, char *sentence)
{
    enum request_member which = (enum request_member)found->which;
    struct span name = span_make(scan->text.data + found->name_at, found->name_len);
    if (found->type == JSON_NULL)
        return false;
    if (which != REQUEST_KNOWN) {
        if (!request_member_is_unbounded(which) || is_harmless(found, request_raw(scan, which)))
            return false;
        snprintf(sentence, REQUEST_UNBOUNDED_SIZE, DEAR, request_member_name(which));
        return true;
    }
    bool is_plain = !strict;
    for (struct span rest = span_of(plain_members); !is_plain && rest.len;)
        is_plain = span_equal(name, span_cut(&rest, ' '));
    if (!is_plain)
        snprintf(sentence, REQUEST_UNBOUNDED_SIZE,
                 "nobody here knows what the member \"%.*s\" costs: omit it, set "
                 "router.strict_members: false",
                 (int)(name.len < SHOWN_NAME_MAX ? name.len : SHOWN_NAME_MAX), name.data);
    return !is_plain;
}

bool request_has_unbounded_cost(const struct request_scan *scan, const struct request_terms *terms,
                                char *ret_sentence)
{
    char own[REQUEST_UNBOUNDED_SIZE];
    char *sentence = ret_sentence ? ret_sentence : own;
    for (unsigned i = 0; i < scan->count; i++)
        if (is_unbounded_member(scan, &scan->found[i], terms->strict_members, sentence))
            return true;
    if (scan->parts.audio) { // its tokens have a price of their own
        snprintf(sentence, REQUEST_UNBOUNDED_SIZE, DEAR, "input_audio");
        return true;
    }
    return has_unbounded_tool(scan, terms, sentence);
}
