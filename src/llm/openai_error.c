#include "llm/openai_error.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/utf8.h"

enum { DETAIL_MAX = 240 }; // bytes of the provider's own words that are passed on

struct json_value openai_find_error(struct json_value root)
{
    if (json_type(root) == JSON_ARRAY)
        root = json_at(root, 0);
    struct json_value error = json_get(root, "error");
    if (json_type(error) == JSON_ABSENT || json_type(error) == JSON_NULL)
        error = json_get(json_at(json_get(root, "choices"), 0), "error");
    bool answers = json_type(json_get(root, "choices")) != JSON_ABSENT;
    if (json_type(error) == JSON_ABSENT && !answers)
        error = json_get(root, "detail");
    if (json_type(error) == JSON_ABSENT && !answers &&
        json_type(json_get(root, "message")) == JSON_STRING)
        error = root;
    return json_type(error) == JSON_NULL ? JSON_VALUE_ABSENT : error;
}

// A number, or one in quotes (LiteLLM).
static int status_in(struct json_value code)
{
    int64_t number = 0;
    struct span raw = json_raw(code);
    if (json_type(code) == JSON_STRING && raw.len > 2)
        span_to_i64(span_make(raw.data + 1, raw.len - 2), &number);
    else
        json_int64(code, &number);
    return number >= 400 && number <= 599 ? (int)number : 0;
}

static int code_of(struct json_value error)
{
    static const struct {
        const char *word;
        int status;
    } words[] = {
        {"rate_limit_exceeded", 429},     {"insufficient_quota", 402},
        {"context_length_exceeded", 413}, {"invalid_api_key", 401},
        {"model_not_found", 404},         {"server_error", 500},
        {"overloaded_error", 529},        {"timeout", 504},
    };
    int status = status_in(json_get(error, "code"));
    if (status == 0)
        status = status_in(json_get(error, "http_status"));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (status == 0 && (json_is(json_get(error, "code"), words[i].word) ||
                            json_is(json_get(error, "type"), words[i].word)))
            status = words[i].status;
    return status;
}

static enum chat_failure_kind kind_of(int status)
{
    switch (status) {
    case 401:
        return CHAT_UNAUTHORIZED;
    case 402:
        return CHAT_PAYMENT;
    case 403:
        return CHAT_FORBIDDEN;
    case 404:
        return CHAT_NOT_FOUND;
    case 408:
    case 504:
        return CHAT_TIMED_OUT;
    case 413:
        return CHAT_TOO_LONG;
    case 429:
        return CHAT_RATE_LIMITED;
    case 503:
    case 529:
        return CHAT_OVERLOADED;
    default:
        return status >= 400 && status < 500 ? CHAT_REJECTED : CHAT_SERVER;
    }
}

static const char *words_for(enum chat_failure_kind kind)
{
    switch (kind) {
    case CHAT_UNAUTHORIZED:
        return "the provider refuses the key";
    case CHAT_PAYMENT:
        return "the account has no credit left, or the key has reached its limit";
    case CHAT_FORBIDDEN:
        return "the provider refused the request";
    case CHAT_NOT_FOUND:
        return "the provider does not know this model or path";
    case CHAT_TIMED_OUT:
        return "the provider timed out";
    case CHAT_TOO_LONG:
        return "the conversation is too long for this model";
    case CHAT_RATE_LIMITED:
        return "the provider asks to slow down";
    case CHAT_OVERLOADED:
        return "the provider is overloaded";
    case CHAT_REJECTED:
        return "the provider rejected the request";
    default:
        return "the provider failed";
    }
}

static void say(struct chat_failure *failure, struct span message)
{
    char detail[DETAIL_MAX];
    utf8_one_line(span_trim(message), detail, sizeof detail);
    char status[24] = "";
    if (failure->status)
        snprintf(status, sizeof status, " (HTTP %d)", failure->status);
    snprintf(failure->text, sizeof failure->text, "%s%s%s%s", words_for(failure->kind), status,
             *detail ? ": " : "", detail);
}

void openai_read_error(struct json_value error, int status, struct chat_failure *ret_failure)
{
    BUF_AUTO message = BUF_INIT(64 * 1024);
    if (json_type(error) == JSON_STRING)
        json_string(error, &message);
    else if (!json_string(json_get(error, "message"), &message))
        buf_append_span(&message, json_raw(error));

    int effective = status >= 400 ? status : code_of(error);
    ret_failure->kind = kind_of(effective);
    struct json_value type = json_get(json_get(error, "metadata"), "error_type");
    bool too_long = json_is(json_get(error, "code"), "context_length_exceeded") ||
                    json_is(type, "context_length_exceeded") ||
                    span_find(buf_span(&message), SPAN_LITERAL("context length")) >= 0 ||
                    span_find(buf_span(&message), SPAN_LITERAL("context window")) >= 0;
    if (too_long && (effective == 400 || effective == 0 || effective == 413))
        ret_failure->kind = CHAT_TOO_LONG;
    ret_failure->status = effective;
    say(ret_failure, buf_span(&message));
}

void openai_read_error_body(struct span body, int status, struct chat_failure *ret_failure)
{
    JSON_AUTO doc = JSON_INIT;
    bool is_json = json_parse(&doc, body, NULL) == 0;
    struct json_value root = json_root(&doc);
    struct json_value error = openai_find_error(root);
    if (json_type(error) != JSON_ABSENT) {
        openai_read_error(error, status, ret_failure);
        return;
    }
    ret_failure->kind = kind_of(status);
    ret_failure->status = status;
    struct span text = span_trim(body);
    // A proxy's page helps nobody in a chat, nor does JSON that was too long to be read whole.
    bool is_page = text.len && text.data[0] == '<';
    bool is_cut = !is_json && text.len && (text.data[0] == '{' || text.data[0] == '[');
    say(ret_failure, is_page  ? SPAN_LITERAL("it answered with a web page")
                     : is_cut ? SPAN_LITERAL("its explanation cannot be read")
                              : text);
}
