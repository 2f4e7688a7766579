#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/json.h"
#include "router/wire/member_scan.h"

/*
 * What is learnt of a request from one pass over its bytes: that it is one JSON object, where the
 * members that matter stand, and what in it costs more than its length tells.
 */
enum {
    REQUEST_BODY_MAX = 32 * 1024 * 1024, // bytes
    REQUEST_MEMBERS_MAX = 64,            // members of the root
};

/*
 * Members that something here acts on, by the length of their names so that a search may stop
 * early. OURS, or LiteLLM's, are never sent upstream; UNBOUNDED ones can cost more than tokens, see
 * unbounded_cost.h.
 */
#define REQUEST_MEMBERS(X)                                                                  \
    X(N, "n", PLAIN)                                                                        \
    X(USER, "user", PLAIN)                                                                  \
    X(TAGS, "tags", OURS)                                                                   \
    X(MODEL, "model", PLAIN)                                                                \
    X(TOOLS, "tools", PLAIN)                                                                \
    X(INPUT, "input", PLAIN)                                                                \
    X(SPEED, "speed", UNBOUNDED)                                                            \
    X(AUDIO, "audio", UNBOUNDED)                                                            \
    X(ROUTE, "route", UNBOUNDED)                                                            \
    X(CACHE, "cache", OURS)                                                                 \
    X(STREAM, "stream", PLAIN)                                                              \
    X(PROMPT, "prompt", PLAIN)                                                              \
    X(MODELS, "models", UNBOUNDED)                                                          \
    X(PRESET, "preset", UNBOUNDED)                                                          \
    X(API_KEY, "api_key", OURS)                                                             \
    X(BEST_OF, "best_of", PLAIN)                                                            \
    X(TIMEOUT, "timeout", OURS)                                                             \
    X(PLUGINS, "plugins", UNBOUNDED)                                                        \
    X(CACHING, "caching", OURS)                                                             \
    X(MESSAGES, "messages", PLAIN)                                                          \
    X(METADATA, "metadata", OURS)                                                           \
    X(PROVIDER, "provider", UNBOUNDED)                                                      \
    X(API_BASE, "api_base", OURS)                                                           \
    X(BASE_URL, "base_url", OURS)                                                           \
    X(FALLBACKS, "fallbacks", OURS)                                                         \
    X(MAX_TOKENS, "max_tokens", PLAIN)                                                      \
    X(GUARDRAILS, "guardrails", OURS)                                                       \
    X(PREDICTION, "prediction", UNBOUNDED)                                                  \
    X(MODALITIES, "modalities", UNBOUNDED)                                                  \
    X(WEB_SEARCH, "web_search", UNBOUNDED)                                                  \
    X(NUM_RETRIES, "num_retries", OURS)                                                     \
    X(MAX_RETRIES, "max_retries", OURS)                                                     \
    X(API_VERSION, "api_version", OURS)                                                     \
    X(SERVICE_TIER, "service_tier", UNBOUNDED)                                              \
    X(MOCK_TIMEOUT, "mock_timeout", OURS)                                                   \
    X(RETRY_POLICY, "retry_policy", OURS)                                                   \
    X(MAX_FALLBACKS, "max_fallbacks", OURS)                                                 \
    X(MOCK_RESPONSE, "mock_response", OURS)                                                 \
    X(ENABLE_SEARCH, "enable_search", UNBOUNDED)                                            \
    X(STREAM_OPTIONS, "stream_options", PLAIN)                                              \
    X(STREAM_TIMEOUT, "stream_timeout", OURS)                                               \
    X(REQUEST_TIMEOUT, "request_timeout", OURS)                                             \
    X(LITELLM_CALL_ID, "litellm_call_id", OURS)                                             \
    X(LITELLM_METADATA, "litellm_metadata", OURS)                                           \
    X(LITELLM_TRACE_ID, "litellm_trace_id", OURS)                                           \
    X(DISABLE_FALLBACKS, "disable_fallbacks", OURS)                                         \
    X(SEARCH_PARAMETERS, "search_parameters", UNBOUNDED)                                    \
    X(LITELLM_SESSION_ID, "litellm_session_id", OURS)                                       \
    X(WEB_SEARCH_OPTIONS, "web_search_options", UNBOUNDED)                                  \
    X(MAX_COMPLETION_TOKENS, "max_completion_tokens", PLAIN)                                \
    X(MOCK_TESTING_FALLBACKS, "mock_testing_fallbacks", OURS)                               \
    X(CONTEXT_WINDOW_FALLBACKS, "context_window_fallbacks", OURS)                           \
    X(CONTENT_POLICY_FALLBACKS, "content_policy_fallbacks", OURS)                           \
    X(CONTEXT_WINDOW_FALLBACK_DICT, "context_window_fallback_dict", OURS)                   \
    X(MOCK_TESTING_RATE_LIMIT_ERROR, "mock_testing_rate_limit_error", OURS)                 \
    X(MOCK_TESTING_CONTEXT_FALLBACKS, "mock_testing_context_fallbacks", OURS)               \
    X(MOCK_TESTING_CONTENT_POLICY_FALLBACKS, "mock_testing_content_policy_fallbacks", OURS) \
    X(MOCK_TESTING_CONTEXT_WINDOW_FALLBACKS, "mock_testing_context_window_fallbacks", OURS)

enum request_member {
#define X(member, name, kind) REQUEST_##member,
    REQUEST_MEMBERS(X)
#undef X
        REQUEST_KNOWN, // how many; also: none of these
};

struct request_found {
    uint32_t name_at, name_len;   // bytes of the body, between the quotes
    uint32_t value_at, value_len; // bytes of the body
    uint32_t count;               // elements of an array, members of an object
    uint8_t which;                // enum request_member, or REQUEST_KNOWN
    uint8_t type;                 // enum json_type
};

struct request_scan {
    struct span text;                                // borrowed: the body
    struct request_found found[REQUEST_MEMBERS_MAX]; // in the order of the text
    unsigned count;
    uint8_t at[REQUEST_KNOWN]; // index in found plus 1; 0: it is not there
    struct member_parts parts;
};

/*
 * -EBADMSG: not one JSON object, or a member that matters stands there twice, or spelt in a way
 * that another reader takes for it; -EMSGSIZE: larger, deeper or with more members than the limits.
 * The sentence is for the client. `text` must outlive the findings.
 */
int request_scan_run(struct request_scan *scan, struct span text, struct error *err);

// By the name between the quotes, spelt exactly so; REQUEST_KNOWN: none.
enum request_member request_member_of(struct span name);
const char *request_member_name(enum request_member which);
bool request_member_is_private(enum request_member which);
bool request_member_is_unbounded(enum request_member which);

// JSON_ABSENT where it is not there. A null is JSON_NULL: for the getters below it is not there.
enum json_type request_type(const struct request_scan *scan, enum request_member which);
struct span request_raw(const struct request_scan *scan, enum request_member which);
size_t request_count(const struct request_scan *scan, enum request_member which);

/*
 * 0: *ret is set; 1: it is not there, *ret is untouched; -EINVAL: it is something else, with a
 * sentence for the client. A whole number may be written 1e3 or 5.0.
 */
int request_bool(const struct request_scan *scan, enum request_member which, bool *ret,
                 struct error *err);
int request_int(const struct request_scan *scan, enum request_member which, int64_t *ret,
                struct error *err);
// Appends the decoded text; also -EINVAL when it does not fit or holds a U+0000.
int request_string(const struct request_scan *scan, enum request_member which, struct buf *out,
                   struct error *err);
