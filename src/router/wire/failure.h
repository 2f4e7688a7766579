#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/json.h"
#include "llm/chat.h"

/*
 * A failure as the router decides on it and as a client of LiteLLM knows it. One table says for
 * every error what it is called, and whether asking again, elsewhere, or nobody for a while helps.
 */
enum router_error {
    ROUTER_BAD_REQUEST,
    ROUTER_CONTEXT_WINDOW,
    ROUTER_CONTENT_POLICY,
    ROUTER_AUTHENTICATION,
    ROUTER_PERMISSION_DENIED,
    ROUTER_NOT_FOUND,
    ROUTER_TIMEOUT,
    ROUTER_RATE_LIMIT,
    ROUTER_UNPROCESSABLE,
    ROUTER_PAYMENT,
    ROUTER_API_CONNECTION,
    ROUTER_INTERNAL_SERVER,
    ROUTER_SERVICE_UNAVAILABLE,
    ROUTER_MALFORMED,
    ROUTER_EMPTY,
    ROUTER_INTERRUPTED,
    ROUTER_BUDGET,
    ROUTER_NO_DEPLOYMENT,
    ROUTER_CANCELLED,
    ROUTER_EXHAUSTED, // this machine; no provider was asked
    ROUTER_ERRORS,
};

// Classes of LiteLLM's retry_policy and allowed_fails_policy.
enum router_class {
    ROUTER_CLASS_AUTHENTICATION,
    ROUTER_CLASS_TIMEOUT,
    ROUTER_CLASS_RATE_LIMIT,
    ROUTER_CLASS_CONTENT_POLICY,
    ROUTER_CLASS_BAD_REQUEST,
    ROUTER_CLASS_NOT_FOUND, // retries only
    ROUTER_CLASS_INTERNAL_SERVER,
    ROUTER_CLASSES,
};

enum {
    ROUTER_FAILURE_TEXT_MAX = 400,       // bytes, with the NUL
    ROUTER_FAILURE_TYPE_MAX = 48,        // bytes, with the NUL
    ROUTER_FAILURE_PARAM_MAX = 64,       // bytes, with the NUL
    ROUTER_WORD_MAX = 64,                // bytes of a type or code, with the NUL
    ROUTER_RETRY_PATIENCE_MS = 2000,     // a Retry-After beyond it: asking here again does not help
    ROUTER_RETRY_AFTER_MAX_MS = 3600000, // what a provider asks for beyond it is not believed
};

struct router_failure {
    enum router_error error;
    enum chat_failure_kind kind;          // what can be done about it, for the agent's advice
    int status;                           // of HTTP, for the client, as LiteLLM gives it
    int upstream_status;                  // what the provider said; 0: nothing
    int64_t retry_after_ms;               // what the provider asked for; -1: nothing
    bool plain;                           // LiteLLM puts no class before this message
    bool of_request;                      // forbidden or not found, but for this request only
    char type[ROUTER_FAILURE_TYPE_MAX];   // error.type for the client; "": JSON null
    char param[ROUTER_FAILURE_PARAM_MAX]; // error.param; "": JSON null
    char text[ROUTER_FAILURE_TEXT_MAX];   // a sentence for a person
};

// What the provider calls it, in its own words; "" where it does not.
struct router_error_words {
    char type[ROUTER_WORD_MAX];       // OpenAI's and Anthropic's error.type
    char param[ROUTER_WORD_MAX];      // OpenAI's error.param: what of the request is wrong
    char code[ROUTER_WORD_MAX];       // error.code, a number as it was written
    char error_type[ROUTER_WORD_MAX]; // OpenRouter's error.metadata.error_type
    char status[ROUTER_WORD_MAX];     // Gemini's error.status: "INVALID_ARGUMENT"
    bool flagged;     // OpenRouter's moderation: error.metadata has reasons or patterns
    bool foreign;     // the body is no JSON, so that it is not the provider's API that speaks
    bool is_narrowed; // not said by it: the request limits who may answer (`provider`)
};

// Of an error value as openai_find_error() finds it.
struct router_error_words router_error_words_of(struct json_value error);

// A short text of printable ASCII, or nothing; of JSON a string or a number.
void router_word_copy(char *to, size_t size, struct span text);
void router_word_copy_json(char *to, size_t size, struct json_value value);

// A reply that was too large for us counts as malformed.
void router_failure_read(const struct chat_failure *from, const struct router_error_words *words,
                         struct router_failure *ret_failure);

// One of our own: ROUTER_BUDGET, ROUTER_NO_DEPLOYMENT, ROUTER_CANCELLED, ROUTER_TIMEOUT ...
// `retry_after_ms` is -1 for none; the text is cut where it is too long.
void router_failure_make(enum router_error error, int64_t retry_after_ms, const char *text,
                         struct router_failure *ret_failure);

// A request that is wrong before anybody was asked, in `param`; said as LiteLLM says it, without
// the name of an exception.
void router_failure_make_bad(const char *param, const char *text,
                             struct router_failure *ret_failure);

// No more can be kept of requests and answers at the moment.
void router_failure_no_room(struct router_failure *ret_failure);

// LiteLLM's exception, for the message and the label exception_class: "RateLimitError".
const char *router_failure_class(const struct router_failure *failure);

// "litellm.RateLimitError: RateLimitError: OpenrouterException - <text>" of provider "openrouter";
// absent for what no provider said: "litellm.Timeout: <text>".
void router_failure_message(const struct router_failure *failure, struct span provider,
                            struct buf *out);

// Its class in retry_policy and allowed_fails_policy; ROUTER_CLASSES: none.
enum router_class router_failure_policy_class(const struct router_failure *failure);

// May the same deployment answer the same request a little later?
bool router_failure_retry_helps(const struct router_failure *failure);

// May another deployment or another model answer it? A refused request goes on too, as in LiteLLM:
// most are one provider's opinion of a parameter, and if all refuse the first answer is given.
bool router_failure_elsewhere_helps(const struct router_failure *failure);

// Is it the deployment's failure at all? The request's own faults and cancels are not.
bool router_failure_counts(const struct router_failure *failure);

// What a client should wait, in whole seconds for Retry-After; -1: say nothing.
int64_t router_failure_retry_after_s(const struct router_failure *failure);
