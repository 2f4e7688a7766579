#include "router/wire/failure.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/*
 * What is decided here, and why.
 *
 * Names and statuses are those that LiteLLM gives an OpenAI-compatible provider's failure, because
 * clients branch on them: 422 arrives as BadRequestError, what has no class of its own (402, 403,
 * 529) as APIError with its own status, a refused connection as InternalServerError.
 * A reply that LiteLLM would have passed on as if nothing were wrong (empty, a page, cut before its
 * first content) is an InternalServerError or APIConnectionError here, with 500.
 *
 * `again` is whether a retry of the same deployment can help. A key, an account without money, a
 * missing model do not mend themselves within seconds; nor does a limit, unless its Retry-After is
 * short enough to be waited for; and who has waited for a whole timeout of ours is not made to
 * wait for another one, unlike who was told of somebody else's. `elsewhere`: everything but what we
 * ourselves refused. `ours`: it says something about the deployment; a request that is wrong by
 * itself, that is too long, whose client left, or for which this machine had no descriptor, says
 * nothing, and must not take the deployment away from everybody else.
 *
 * Of a 403 and a 404 the words tell whether it is the deployment's failure or the request's
 * (is_of_request() below). A 404 is the deployment's (no such model, no endpoint left, a path that
 * is not there), unless it says that the model cannot do what this request wants: OpenRouter's "No
 * endpoints found that support image input" and its like, a parameter other than the model; or
 * unless the request itself limits which providers may answer, so that none may be left. A 403 in
 * the API's own JSON is the key's (not allowed, region, guardrail on models, limit), unless it is a
 * moderation. A 403 that is no JSON, a page mostly, comes from a firewall before the
 * provider that dislikes these bytes. Where it is a block of the whole address, each call pays for
 * one quick refusal; the other way round one client's prompt would cost everybody the model. A 200
 * that a content filter left empty counts as forbidden, and is about the request as well.
 */
struct error_kind {
    enum chat_failure_kind kind; // as the agent knows it, where no provider said it
    const char *class;
    const char *type; // NULL: JSON null
    int status;
    enum router_class policy;
    bool doubled; // LiteLLM writes the class twice, before the provider and before that
    bool again, elsewhere, counts;
};

static const struct error_kind kinds[ROUTER_ERRORS] = {
    [ROUTER_BAD_REQUEST] = {CHAT_REJECTED, "BadRequestError", NULL, 400, ROUTER_CLASS_BAD_REQUEST,
                            false, false, true, false},
    [ROUTER_CONTEXT_WINDOW] = {CHAT_TOO_LONG, "ContextWindowExceededError", NULL, 400,
                               ROUTER_CLASS_BAD_REQUEST, true, false, true, false},
    [ROUTER_CONTENT_POLICY] = {CHAT_FORBIDDEN, "ContentPolicyViolationError", NULL, 400,
                               ROUTER_CLASS_CONTENT_POLICY, true, false, true, false},
    [ROUTER_AUTHENTICATION] = {CHAT_UNAUTHORIZED, "AuthenticationError", NULL, 401,
                               ROUTER_CLASS_AUTHENTICATION, true, false, true, true},
    [ROUTER_PERMISSION_DENIED] = {CHAT_FORBIDDEN, "APIError", NULL, 403, ROUTER_CLASSES, true,
                                  false, true, true},
    [ROUTER_NOT_FOUND] = {CHAT_NOT_FOUND, "NotFoundError", NULL, 404, ROUTER_CLASS_NOT_FOUND, true,
                          false, true, true},
    [ROUTER_TIMEOUT] = {CHAT_TIMED_OUT, "Timeout", NULL, 408, ROUTER_CLASS_TIMEOUT, false, true,
                        true, true},
    [ROUTER_RATE_LIMIT] = {CHAT_RATE_LIMITED, "RateLimitError", "throttling_error", 429,
                           ROUTER_CLASS_RATE_LIMIT, true, false, true, true},
    [ROUTER_UNPROCESSABLE] = {CHAT_REJECTED, "BadRequestError", NULL, 422, ROUTER_CLASS_BAD_REQUEST,
                              false, false, true, false},
    [ROUTER_PAYMENT] = {CHAT_PAYMENT, "APIError", NULL, 402, ROUTER_CLASSES, true, false, true,
                        true},
    [ROUTER_API_CONNECTION] = {CHAT_UNREACHABLE, "InternalServerError", NULL, 500,
                               ROUTER_CLASS_INTERNAL_SERVER, true, true, true, true},
    [ROUTER_INTERNAL_SERVER] = {CHAT_SERVER, "InternalServerError", NULL, 500,
                                ROUTER_CLASS_INTERNAL_SERVER, true, true, true, true},
    [ROUTER_SERVICE_UNAVAILABLE] = {CHAT_OVERLOADED, "ServiceUnavailableError", NULL, 503,
                                    ROUTER_CLASS_INTERNAL_SERVER, true, true, true, true},
    [ROUTER_MALFORMED] = {CHAT_MALFORMED, "InternalServerError", NULL, 500,
                          ROUTER_CLASS_INTERNAL_SERVER, true, true, true, true},
    [ROUTER_EMPTY] = {CHAT_EMPTY, "InternalServerError", NULL, 500, ROUTER_CLASS_INTERNAL_SERVER,
                      true, true, true, true},
    [ROUTER_INTERRUPTED] = {CHAT_INTERRUPTED, "APIConnectionError", NULL, 500,
                            ROUTER_CLASS_INTERNAL_SERVER, true, true, true, true},
    [ROUTER_BUDGET] = {CHAT_BUDGET, "BudgetExceededError", "budget_exceeded", 400, ROUTER_CLASSES,
                       false, false, true, false},
    [ROUTER_NO_DEPLOYMENT] = {CHAT_RATE_LIMITED, "RouterRateLimitError", "None", 429,
                              ROUTER_CLASSES, false, false, true, false},
    [ROUTER_CANCELLED] = {CHAT_INTERRUPTED, "CancelledError", NULL, 499, ROUTER_CLASSES, false,
                          false, false, false},
    [ROUTER_EXHAUSTED] = {CHAT_EXHAUSTED, "ServiceUnavailableError", NULL, 503, ROUTER_CLASSES,
                          false, false, true, false},
};

// What chat_failure knows already; the words below may know better.
static enum router_error error_of_kind(const struct chat_failure *from)
{
    static const enum router_error errors[] = {
        [CHAT_UNREACHABLE] = ROUTER_API_CONNECTION,
        [CHAT_TIMED_OUT] = ROUTER_TIMEOUT,
        [CHAT_INTERRUPTED] = ROUTER_INTERRUPTED,
        [CHAT_RATE_LIMITED] = ROUTER_RATE_LIMIT,
        [CHAT_UNAUTHORIZED] = ROUTER_AUTHENTICATION,
        [CHAT_PAYMENT] = ROUTER_PAYMENT,
        [CHAT_FORBIDDEN] = ROUTER_PERMISSION_DENIED,
        [CHAT_NOT_FOUND] = ROUTER_NOT_FOUND,
        [CHAT_TOO_LONG] = ROUTER_CONTEXT_WINDOW,
        [CHAT_REJECTED] = ROUTER_BAD_REQUEST,
        [CHAT_OVERLOADED] = ROUTER_INTERNAL_SERVER,
        [CHAT_SERVER] = ROUTER_INTERNAL_SERVER,
        [CHAT_MALFORMED] = ROUTER_MALFORMED,
        [CHAT_TOO_LARGE] = ROUTER_MALFORMED,
        [CHAT_EMPTY] = ROUTER_EMPTY,
        [CHAT_BUDGET] = ROUTER_BUDGET,
        [CHAT_EXHAUSTED] = ROUTER_EXHAUSTED,
    };
    _Static_assert(ARRAY_LEN(errors) == CHAT_EXHAUSTED + 1, "each kind has a row");
    bool rejected = from->kind == CHAT_REJECTED;
    if (rejected && from->status >= 300 && from->status < 400) // not the right base URL
        return ROUTER_MALFORMED;
    if (rejected && from->status == 422)
        return ROUTER_UNPROCESSABLE;
    if (from->kind == CHAT_TOO_LONG && from->status == 413) // of the body, not of a context
        return ROUTER_BAD_REQUEST;
    if (from->kind == CHAT_OVERLOADED && from->status == 503)
        return ROUTER_SERVICE_UNAVAILABLE;
    return errors[from->kind];
}

/*
 * The providers' own names. They decide where the status is of no help: inside a 200, a 400 that
 * is really about the context, Gemini's and others' 400 for a bad key, a 429 that is an empty
 * account and so will not be over in a minute.
 */
static const struct {
    const char *word;
    enum router_error error;
} words_table[] = {
    {"context_length_exceeded", ROUTER_CONTEXT_WINDOW},
    {"max_tokens_exceeded", ROUTER_CONTEXT_WINDOW},
    {"token_limit_exceeded", ROUTER_CONTEXT_WINDOW},
    {"string_too_long", ROUTER_CONTEXT_WINDOW},
    {"string_above_max_length", ROUTER_CONTEXT_WINDOW},
    {"content_policy_violation", ROUTER_CONTENT_POLICY},
    {"content_filter", ROUTER_CONTENT_POLICY},
    {"refusal", ROUTER_CONTENT_POLICY},
    {"authentication", ROUTER_AUTHENTICATION},
    {"authentication_error", ROUTER_AUTHENTICATION},
    {"invalid_api_key", ROUTER_AUTHENTICATION},
    {"UNAUTHENTICATED", ROUTER_AUTHENTICATION},
    {"payment_required", ROUTER_PAYMENT},
    {"insufficient_quota", ROUTER_PAYMENT},
    {"billing_error", ROUTER_PAYMENT},
    {"billing_hard_limit_reached", ROUTER_PAYMENT},
    {"permission_denied", ROUTER_PERMISSION_DENIED},
    {"permission_error", ROUTER_PERMISSION_DENIED},
    {"PERMISSION_DENIED", ROUTER_PERMISSION_DENIED},
    {"region_restricted", ROUTER_PERMISSION_DENIED},
    {"not_found", ROUTER_NOT_FOUND},
    {"not_found_error", ROUTER_NOT_FOUND},
    {"model_not_found", ROUTER_NOT_FOUND},
    {"NOT_FOUND", ROUTER_NOT_FOUND},
    {"no_endpoints", ROUTER_NOT_FOUND},
    {"model_deprecated", ROUTER_NOT_FOUND},
    {"free_variant_ended", ROUTER_NOT_FOUND},
    {"rate_limit_exceeded", ROUTER_RATE_LIMIT},
    {"rate_limit_error", ROUTER_RATE_LIMIT},
    {"throttling_error", ROUTER_RATE_LIMIT},
    {"capacity_exhausted", ROUTER_RATE_LIMIT},
    {"RESOURCE_EXHAUSTED", ROUTER_RATE_LIMIT},
    {"provider_overloaded", ROUTER_SERVICE_UNAVAILABLE},
    {"temporarily_unavailable", ROUTER_SERVICE_UNAVAILABLE},
    {"UNAVAILABLE", ROUTER_SERVICE_UNAVAILABLE},
    {"overloaded_error", ROUTER_INTERNAL_SERVER},
    {"provider_unavailable", ROUTER_INTERNAL_SERVER},
    {"api_error", ROUTER_INTERNAL_SERVER},
    {"server", ROUTER_INTERNAL_SERVER},
    {"server_error", ROUTER_INTERNAL_SERVER},
    {"INTERNAL", ROUTER_INTERNAL_SERVER},
    {"timeout", ROUTER_TIMEOUT},
    {"timeout_error", ROUTER_TIMEOUT},
    {"DEADLINE_EXCEEDED", ROUTER_TIMEOUT},
    {"unprocessable", ROUTER_UNPROCESSABLE},
    {"payload_too_large", ROUTER_BAD_REQUEST},
    {"request_too_large", ROUTER_BAD_REQUEST},
    {"invalid_prompt", ROUTER_BAD_REQUEST},
};

static bool error_of_word(const char *word, enum router_error *ret_error)
{
    for (size_t i = 0; i < ARRAY_LEN(words_table); i++)
        if (strcmp(word, words_table[i].word) == 0) {
            *ret_error = words_table[i].error;
            return true;
        }
    return false;
}

// How providers without a name for it say that a request is too long. Lower case.
static const char *const too_long[] = {
    "context length",
    "context window",
    "context limit",
    "maximum context",
    "prompt is too long",                // Anthropic
    "input token count",                 // Gemini: "... exceeds the maximum number of tokens"
    "string too long",                   // OpenAI
    "input tokens exceed",               //
    "exceeds the available context size" // llama.cpp
};

static const char *const against_policy[] = {
    "content_policy_violation",         "violating our usage policy",
    "as a result of our safety system", "as a result of the safety system",
    "content management policy",        // Azure
    "content violates usage guidelines" // xAI, with 403
};

// OpenRouter's, with 404, of a model that is there, but not for this request.
static const char *const unmet[] = {
    "no endpoints found that ", // "support tool use", "can handle the requested parameters", ...
    "your request's",           // "... provider.only preference permits only: ..."
};

static bool says(const char *text, const char *const *phrases, size_t count)
{
    char lower[ROUTER_FAILURE_TEXT_MAX];
    size_t len = 0;
    for (; text[len] && len + 1 < sizeof lower; len++)
        lower[len] = (char)tolower((unsigned char)text[len]);
    for (size_t i = 0; i < count; i++)
        if (span_find(span_make(lower, len), span_of(phrases[i])) >= 0)
            return true;
    return false;
}

// The more particular name first: OpenAI's type is "invalid_request_error" for most of its codes.
static enum router_error decide(const struct chat_failure *from,
                                const struct router_error_words *words)
{
    enum router_error error = error_of_kind(from);
    bool request = error == ROUTER_BAD_REQUEST || error == ROUTER_CONTEXT_WINDOW;
    if (words->flagged && (request || error == ROUTER_PERMISSION_DENIED))
        return ROUTER_CONTENT_POLICY;
    if (!error_of_word(words->error_type, &error) && !error_of_word(words->code, &error) &&
        !error_of_word(words->type, &error))
        error_of_word(words->status, &error);
    if (error == ROUTER_INTERNAL_SERVER && from->status >= 500)
        error = error_of_kind(from); // a 503 that calls itself "server_error" is still one
    if (error == ROUTER_BAD_REQUEST && says(from->text, too_long, ARRAY_LEN(too_long)))
        return ROUTER_CONTEXT_WINDOW;
    if ((error == ROUTER_BAD_REQUEST || error == ROUTER_PERMISSION_DENIED) &&
        says(from->text, against_policy, ARRAY_LEN(against_policy)))
        return ROUTER_CONTENT_POLICY;
    return error;
}

// Is a 403 or 404 about this request only? See the top of this file.
static bool is_of_request(enum router_error error, const struct chat_failure *from,
                          const struct router_error_words *words)
{
    if (error == ROUTER_PERMISSION_DENIED) // without a status: a 200 that a filter left empty
        return words->foreign || from->status == 0;
    if (error != ROUTER_NOT_FOUND)
        return false;
    return words->is_narrowed || strcmp(words->code, "constraint_filtered") == 0 ||
           (*words->param && strcmp(words->param, "model") != 0) ||
           says(from->text, unmet, ARRAY_LEN(unmet));
}

// The class's own, but where LiteLLM keeps what the provider said.
static int status_of(enum router_error error, int upstream)
{
    bool keeps = (error == ROUTER_INTERNAL_SERVER && upstream >= 500 && upstream != 503) ||
                 (error == ROUTER_TIMEOUT && upstream == 504) ||
                 (error == ROUTER_CONTENT_POLICY && upstream == 403) || // OpenRouter's moderation
                 (error == ROUTER_BAD_REQUEST && upstream >= 400 && upstream < 500 &&
                  upstream != 401 && upstream != 403 && upstream != 404 && upstream != 429);
    return keeps ? upstream : kinds[error].status;
}

static const char *type_of(const struct router_failure *failure)
{
    if (kinds[failure->error].type)
        return kinds[failure->error].type;
    if (failure->status == 401)
        return "authentication_error";
    if (failure->status == 403)
        return "permission_error";
    return failure->status < 500 ? "invalid_request_error" : "internal_server_error";
}

static void keep_word(char *to, size_t size, const char *word)
{
    if (*word && strlen(word) < size && !strpbrk(word, "\"\\"))
        memcpy(to, word, strlen(word) + 1);
}

// Only a refused request keeps its provider's type and parameter in LiteLLM.
static void set_type(struct router_failure *failure, const struct router_error_words *words)
{
    bool keeps = failure->error == ROUTER_BAD_REQUEST || failure->error == ROUTER_UNPROCESSABLE;
    snprintf(failure->type, sizeof failure->type, "%s", type_of(failure));
    if (keeps) {
        keep_word(failure->type, sizeof failure->type, words->type);
        keep_word(failure->param, sizeof failure->param, words->param);
    }
}

void router_failure_read(const struct chat_failure *from, const struct router_error_words *words,
                         struct router_failure *ret_failure)
{
    struct router_failure failure = {.upstream_status = from->status, .retry_after_ms = -1};
    failure.kind = from->kind;
    failure.error = decide(from, words);
    failure.status = status_of(failure.error, from->status);
    failure.of_request = is_of_request(failure.error, from, words);
    if (from->retry_after_ms >= 0)
        failure.retry_after_ms = from->retry_after_ms < ROUTER_RETRY_AFTER_MAX_MS
                                     ? from->retry_after_ms
                                     : ROUTER_RETRY_AFTER_MAX_MS;
    set_type(&failure, words);
    snprintf(failure.text, sizeof failure.text, "%s", from->text);
    *ret_failure = failure;
}

void router_failure_make_bad(const char *param, const char *text,
                             struct router_failure *ret_failure)
{
    router_failure_make(ROUTER_BAD_REQUEST, -1, text, ret_failure);
    ret_failure->plain = true;
    snprintf(ret_failure->param, sizeof ret_failure->param, "%s", param);
}

void router_failure_no_room(struct router_failure *ret_failure)
{
    router_failure_make(ROUTER_SERVICE_UNAVAILABLE, 1000,
                        "the router's buffers are full at the moment; try again in a second",
                        ret_failure);
}

void router_failure_make(enum router_error error, int64_t retry_after_ms, const char *text,
                         struct router_failure *ret_failure)
{
    struct router_failure failure = {.error = error, .retry_after_ms = retry_after_ms};
    failure.kind = kinds[error].kind;
    failure.status = kinds[error].status;
    set_type(&failure, &(struct router_error_words){0});
    snprintf(failure.text, sizeof failure.text, "%s", text);
    *ret_failure = failure;
}

void router_word_copy(char *to, size_t size, struct span text)
{
    bool fits = text.len < size && span_printable(text) == text.len;
    if (fits && text.len)
        memcpy(to, text.data, text.len);
    to[fits ? text.len : 0] = '\0';
}

void router_word_copy_json(char *to, size_t size, struct json_value value)
{
    BUF_AUTO text = BUF_INIT(size);
    if (json_type(value) == JSON_NUMBER)
        router_word_copy(to, size, json_raw(value));
    else if (json_string(value, &text))
        router_word_copy(to, size, buf_span(&text));
}

struct router_error_words router_error_words_of(struct json_value error)
{
    struct json_value metadata = json_get(error, "metadata");
    struct router_error_words words = {
        .flagged = json_type(json_get(metadata, "reasons")) == JSON_ARRAY ||
                   json_type(json_get(metadata, "patterns")) == JSON_ARRAY ||
                   json_type(json_get(metadata, "flagged_input")) == JSON_STRING,
    };
    router_word_copy_json(words.type, sizeof words.type, json_get(error, "type"));
    router_word_copy_json(words.param, sizeof words.param, json_get(error, "param"));
    router_word_copy_json(words.code, sizeof words.code, json_get(error, "code"));
    router_word_copy_json(words.status, sizeof words.status, json_get(error, "status"));
    router_word_copy_json(words.error_type, sizeof words.error_type,
                          json_get(metadata, "error_type"));
    if (!*words.code)
        router_word_copy_json(words.code, sizeof words.code,
                              json_get(json_get(error, "availability"), "code"));
    return words;
}

const char *router_failure_class(const struct router_failure *failure)
{
    bool server = failure->error == ROUTER_INTERNAL_SERVER;
    if (failure->error == ROUTER_CONTENT_POLICY && failure->status == 403)
        return "APIError";
    if (server && failure->status == 502)
        return "BadGatewayError";
    if ((server && failure->status != 500) ||
        (failure->error == ROUTER_BAD_REQUEST && failure->status != 400))
        return "APIError";
    return kinds[failure->error].class;
}

void router_failure_message(const struct router_failure *failure, struct span provider,
                            struct buf *out)
{
    const char *class = router_failure_class(failure);
    if (failure->plain) {
        buf_append_text(out, failure->text);
        return;
    }
    if (provider.len == 0) {
        buf_printf(out, "litellm.%s: %s", class, failure->text);
        return;
    }
    // These two are made of a BadRequestError and keep its name as well.
    if (failure->error == ROUTER_CONTEXT_WINDOW)
        buf_printf(out, "litellm.%s: litellm.BadRequestError: %s: ", class, class);
    else if (failure->error == ROUTER_CONTENT_POLICY && failure->status == 400)
        buf_printf(out, "litellm.BadRequestError: litellm.%s: %s: ", class, class);
    else if (failure->error == ROUTER_TIMEOUT)
        buf_append_text(out, "litellm.Timeout: Timeout Error: ");
    else if (kinds[failure->error].doubled)
        buf_printf(out, "litellm.%s: %s: ", class, class);
    else
        buf_printf(out, "litellm.%s: ", class);
    if (span_is(provider, "openai"))
        buf_append_text(out, "OpenAI");
    else
        buf_printf(out, "%c%.*s", toupper((unsigned char)provider.data[0]), (int)provider.len - 1,
                   provider.data + 1);
    buf_printf(out, "Exception - %s", failure->text);
}

enum router_class router_failure_policy_class(const struct router_failure *failure)
{
    return kinds[failure->error].policy;
}

bool router_failure_retry_helps(const struct router_failure *failure)
{
    if (failure->retry_after_ms > ROUTER_RETRY_PATIENCE_MS)
        return false;
    if (failure->error == ROUTER_RATE_LIMIT)
        return failure->retry_after_ms >= 0; // 0: the moment that it named has passed
    if (failure->error == ROUTER_TIMEOUT && failure->upstream_status == 0)
        return false;
    if (failure->upstream_status >= 300 && failure->upstream_status < 400)
        return false; // a redirection leads to the same place again
    return kinds[failure->error].again;
}

bool router_failure_elsewhere_helps(const struct router_failure *failure)
{
    return kinds[failure->error].elsewhere;
}

bool router_failure_counts(const struct router_failure *failure)
{
    return kinds[failure->error].counts && !failure->of_request;
}

int64_t router_failure_retry_after_s(const struct router_failure *failure)
{
    return failure->retry_after_ms < 0 ? -1 : (failure->retry_after_ms + 999) / 1000;
}
