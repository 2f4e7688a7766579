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

// Members that something here acts on. The order is that of the table in request_scan.c.
enum request_member {
    REQUEST_N,
    REQUEST_USER,
    REQUEST_TAGS,
    REQUEST_MODEL,
    REQUEST_TOOLS,
    REQUEST_INPUT,
    REQUEST_SPEED,
    REQUEST_AUDIO,
    REQUEST_ROUTE,
    REQUEST_CACHE,
    REQUEST_STREAM,
    REQUEST_PROMPT,
    REQUEST_MODELS,
    REQUEST_PRESET,
    REQUEST_API_KEY,
    REQUEST_BEST_OF,
    REQUEST_TIMEOUT,
    REQUEST_PLUGINS,
    REQUEST_CACHING,
    REQUEST_MESSAGES,
    REQUEST_METADATA,
    REQUEST_PROVIDER,
    REQUEST_API_BASE,
    REQUEST_BASE_URL,
    REQUEST_FALLBACKS,
    REQUEST_MAX_TOKENS,
    REQUEST_GUARDRAILS,
    REQUEST_PREDICTION,
    REQUEST_MODALITIES,
    REQUEST_WEB_SEARCH,
    REQUEST_NUM_RETRIES,
    REQUEST_MAX_RETRIES,
    REQUEST_API_VERSION,
    REQUEST_SERVICE_TIER,
    REQUEST_MOCK_TIMEOUT,
    REQUEST_RETRY_POLICY,
    REQUEST_MAX_FALLBACKS,
    REQUEST_MOCK_RESPONSE,
    REQUEST_ENABLE_SEARCH,
    REQUEST_STREAM_OPTIONS,
    REQUEST_STREAM_TIMEOUT,
    REQUEST_REQUEST_TIMEOUT,
    REQUEST_LITELLM_CALL_ID,
    REQUEST_LITELLM_METADATA,
    REQUEST_LITELLM_TRACE_ID,
    REQUEST_DISABLE_FALLBACKS,
    REQUEST_SEARCH_PARAMETERS,
    REQUEST_LITELLM_SESSION_ID,
    REQUEST_WEB_SEARCH_OPTIONS,
    REQUEST_MAX_COMPLETION_TOKENS,
    REQUEST_MOCK_TESTING_FALLBACKS,
    REQUEST_CONTEXT_WINDOW_FALLBACKS,
    REQUEST_CONTENT_POLICY_FALLBACKS,
    REQUEST_CONTEXT_WINDOW_FALLBACK_DICT,
    REQUEST_MOCK_TESTING_RATE_LIMIT_ERROR,
    REQUEST_MOCK_TESTING_CONTEXT_FALLBACKS,
    REQUEST_MOCK_TESTING_CONTENT_POLICY_FALLBACKS,
    REQUEST_MOCK_TESTING_CONTEXT_WINDOW_FALLBACKS,
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

const char *request_member_name(enum request_member which);
bool request_member_private(enum request_member which); // ours or LiteLLM's: never sent upstream
bool request_member_is_unbounded(
    enum request_member which); // can cost more than tokens: unbounded_cost.h

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
