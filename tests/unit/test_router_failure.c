#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "llm/openai_error.h"
#include "router/wire/failure.h"

// As the program reads it: the provider's bytes and status in, the router's failure out.
static struct router_failure read_body(const char *body, int status, int64_t retry_after_ms)
{
    JSON_AUTO doc = JSON_INIT;
    struct chat_failure failure = {.retry_after_ms = retry_after_ms};
    struct router_failure made;
    assert_int_equal(json_parse(&doc, span_of(body), NULL), 0);
    struct json_value error = openai_find_error(json_root(&doc));
    openai_read_error(error, status, &failure);
    failure.retry_after_ms = retry_after_ms;
    struct router_error_words words = router_error_words_of(error);
    router_failure_read(&failure, &words, &made);
    return made;
}

struct expected {
    const char *body;
    int status;
    enum router_error error;
    int client_status;
    const char *class;
};

static const struct expected samples[] = {
    // OpenAI
    {"{'error':{'message':'m','type':'invalid_request_error','code':'context_length_exceeded'}}",
     400, ROUTER_CONTEXT_WINDOW, 400, "ContextWindowExceededError"},
    {"{'error':{'message':'m','type':'invalid_request_error','code':'content_policy_violation'}}",
     400, ROUTER_CONTENT_POLICY, 400, "ContentPolicyViolationError"},
    {"{'error':{'message':'m','type':'invalid_request_error','code':'invalid_api_key'}}", 401,
     ROUTER_AUTHENTICATION, 401, "AuthenticationError"},
    {"{'error':{'message':'m','type':'insufficient_quota','code':'insufficient_quota'}}", 429,
     ROUTER_PAYMENT, 402, "APIError"},
    {"{'error':{'message':'m','type':'requests','code':'rate_limit_exceeded'}}", 429,
     ROUTER_RATE_LIMIT, 429, "RateLimitError"},
    {"{'error':{'message':'m','type':'invalid_request_error','code':'model_not_found'}}", 404,
     ROUTER_NOT_FOUND, 404, "NotFoundError"},
    {"{'error':{'message':'bad','type':'invalid_request_error','code':null}}", 400,
     ROUTER_BAD_REQUEST, 400, "BadRequestError"},
    {"{'error':{'message':'m'}}", 422, ROUTER_UNPROCESSABLE, 422, "BadRequestError"},
    {"{'error':{'message':'m','type':'server_error'}}", 500, ROUTER_INTERNAL_SERVER, 500,
     "InternalServerError"},
    {"{'error':{'message':'m'}}", 403, ROUTER_PERMISSION_DENIED, 403, "APIError"},
    {"{'error':{'message':'m'}}", 408, ROUTER_TIMEOUT, 408, "Timeout"},
    {"{'error':{'message':'m'}}", 504, ROUTER_TIMEOUT, 504, "Timeout"},
    {"{'error':{'message':'m'}}", 502, ROUTER_INTERNAL_SERVER, 502, "BadGatewayError"},
    {"{'error':{'message':'m'}}", 503, ROUTER_SERVICE_UNAVAILABLE, 503, "ServiceUnavailableError"},
    {"{'error':{'message':'m','type':'server_error'}}", 503, ROUTER_SERVICE_UNAVAILABLE, 503,
     "ServiceUnavailableError"},
    {"{'error':{'message':'m','type':'server_error','code':'503'}}", 0, ROUTER_SERVICE_UNAVAILABLE,
     503, "ServiceUnavailableError"},
    {"{'error':{'message':'m'}}", 413, ROUTER_BAD_REQUEST, 413, "APIError"},
    // OpenRouter, also late, inside a 200
    {"{'error':{'code':429,'message':'m','metadata':{'error_type':'rate_limit_exceeded'}}}", 0,
     ROUTER_RATE_LIMIT, 429, "RateLimitError"},
    {"{'error':{'code':400,'message':'m','metadata':{'error_type':'context_length_exceeded'}}}",
     400, ROUTER_CONTEXT_WINDOW, 400, "ContextWindowExceededError"},
    {"{'error':{'code':402,'message':'m','metadata':{'error_type':'payment_required'}}}", 402,
     ROUTER_PAYMENT, 402, "APIError"},
    {"{'error':{'code':403,'message':'m','metadata':{'reasons':['violence']}}}", 403,
     ROUTER_CONTENT_POLICY, 403, "APIError"},
    {"{'error':{'code':403,'message':'m','metadata':{'error_type':'permission_denied'}}}", 403,
     ROUTER_PERMISSION_DENIED, 403, "APIError"},
    {"{'error':{'message':'m','http_status':404,'availability':{'code':'free_variant_ended'}}}",
     404, ROUTER_NOT_FOUND, 404, "NotFoundError"},
    {"{'error':{'code':'server_error','message':'m'}}", 0, ROUTER_INTERNAL_SERVER, 500,
     "InternalServerError"},
    {"{'error':{'code':504,'message':'m','metadata':{'error_type':'timeout'}}}", 0, ROUTER_TIMEOUT,
     504, "Timeout"},
    // Gemini: an array, and 400 for a bad key is only told by its status and words
    {"[{'error':{'code':429,'message':'m','status':'RESOURCE_EXHAUSTED'}}]", 429, ROUTER_RATE_LIMIT,
     429, "RateLimitError"},
    {"[{'error':{'code':400,'message':'The input token count (9) exceeds the maximum',"
     "'status':'INVALID_ARGUMENT'}}]",
     400, ROUTER_CONTEXT_WINDOW, 400, "ContextWindowExceededError"},
    // Anthropic
    {"{'type':'error','error':{'type':'overloaded_error','message':'Overloaded'}}", 529,
     ROUTER_INTERNAL_SERVER, 529, "APIError"},
    {"{'type':'error','error':{'type':'invalid_request_error',"
     "'message':'prompt is too long: 9 tokens > 8 maximum'}}",
     400, ROUTER_CONTEXT_WINDOW, 400, "ContextWindowExceededError"},
    {"{'type':'error','error':{'type':'billing_error','message':'m'}}", 400, ROUTER_PAYMENT, 402,
     "APIError"},
};

static void test_what_providers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(mem_cleanup) char *body = mem_strdup(samples[i].body);
        for (char *at = body; (at = strchr(at, '\'')); at++)
            *at = '"';
        struct router_failure made = read_body(body, samples[i].status, -1);
        if (made.error != samples[i].error || made.status != samples[i].client_status)
            print_message("%s: error %d, status %d\n", body, (int)made.error, made.status);
        assert_int_equal(made.error, samples[i].error);
        assert_int_equal(made.status, samples[i].client_status);
        assert_string_equal(router_failure_class(&made), samples[i].class);
    }
}

// Of two statuses it depends whether they are about this request, or about all.
static void test_what_is_only_about_this_request(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        bool counts;
    } cases[] = {
        {"{'error':{'message':'No endpoints found that support image input','code':404}}", 404,
         false},
        {"{'error':{'message':'No endpoints found that support tool use. Try disabling','code':404,"
         "'metadata':{'failed_routing_step':'Filter by Tool Compatibility'}}}",
         404, false},
        {"{'error':{'message':'No endpoints found that can handle the requested parameters.'}}",
         404, false},
        {"{'error':{'message':'No allowed providers are available for the selected model. Providers"
         " serving a/b: c, but your request\\u0027s provider.only preference permits only: d.'}}",
         404, false},
        {"{'error':{'message':'m','http_status':404,"
         "'availability':{'code':'constraint_filtered'}}}",
         404, false},
        {"{'error':{'message':'No such file','param':'messages[0].content[1].file_id'}}", 404,
         false},
        {"{'error':{'message':'No endpoints found for a/b.','code':404}}", 404, true},
        {"{'error':{'message':'No endpoints found matching your data policy','code':404}}", 404,
         true},
        {"{'error':{'message':'The model does not exist','param':'model','code':null}}", 404, true},
        {"{'error':{'message':'m','http_status':404,'availability':{'code':'free_variant_ended'}}}",
         404, true},
        {"{'error':'model not found'}", 404, true},
        {"{'error':{'message':'Key limit exceeded','code':403}}", 403, true},
        {"{'type':'error','error':{'type':'permission_error','message':'m'}}", 403, true},
        {"{'message':'Forbidden'}", 403, true},
        {"{'error':{'message':'m','code':403,'metadata':{'patterns':['secret']}}}", 403, false},
        {"{'code':'c','error':'Content violates usage guidelines. Failed check: X'}", 403, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(mem_cleanup) char *body = mem_strdup(cases[i].body);
        for (char *at = body; (at = strchr(at, '\'')); at++)
            *at = '"';
        struct router_failure made = read_body(body, cases[i].status, -1);
        if (router_failure_counts(&made) != cases[i].counts)
            print_message("%s\n", body);
        assert_int_equal(made.status, cases[i].status);
        assert_int_equal(router_failure_counts(&made), cases[i].counts);
        assert_true(router_failure_elsewhere_helps(&made) && !router_failure_retry_helps(&made));
    }
}

// A 403 that is no JSON is not the provider's; a 404 that is none is a path that is not there.
static void test_a_page_of_something_in_between(void **state)
{
    (void)state;
    struct chat_failure from = {.kind = CHAT_FORBIDDEN, .status = 403, .retry_after_ms = -1};
    struct router_error_words words = {.foreign = true};
    struct router_failure made;
    router_failure_read(&from, &words, &made);
    assert_int_equal(made.error, ROUTER_PERMISSION_DENIED);
    assert_false(router_failure_counts(&made));
    from.kind = CHAT_NOT_FOUND;
    from.status = 404;
    router_failure_read(&from, &words, &made);
    assert_true(router_failure_counts(&made));
    words.is_narrowed = true; // by a request that says who may answer
    router_failure_read(&from, &words, &made);
    assert_false(router_failure_counts(&made));
}

// Inside a 200, of which a content filter left nothing.
static void test_what_a_filter_withheld(void **state)
{
    (void)state;
    struct chat_failure from = {.kind = CHAT_FORBIDDEN, .retry_after_ms = -1, .text = "x"};
    struct router_failure made;
    router_failure_read(&from, &(struct router_error_words){0}, &made);
    assert_int_equal(made.error, ROUTER_PERMISSION_DENIED);
    assert_int_equal(made.upstream_status, 0); // so that it is paid for
    assert_false(router_failure_counts(&made));
}

static void test_what_never_became_an_answer(void **state)
{
    (void)state;
    static const struct {
        enum chat_failure_kind kind;
        enum router_error error;
    } kinds[] = {
        {CHAT_UNREACHABLE, ROUTER_API_CONNECTION},
        {CHAT_TIMED_OUT, ROUTER_TIMEOUT},
        {CHAT_INTERRUPTED, ROUTER_INTERRUPTED},
        {CHAT_MALFORMED, ROUTER_MALFORMED},
        {CHAT_EMPTY, ROUTER_EMPTY},
        {CHAT_TOO_LARGE, ROUTER_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct chat_failure from = {.kind = kinds[i].kind, .retry_after_ms = -1, .text = "x"};
        struct router_failure made;
        router_failure_read(&from, &(struct router_error_words){0}, &made);
        assert_int_equal(made.error, kinds[i].error);
        assert_int_equal(router_failure_retry_helps(&made), kinds[i].kind != CHAT_TIMED_OUT);
        assert_true(router_failure_elsewhere_helps(&made));
        assert_true(router_failure_counts(&made));
        assert_true(made.status >= 400);
    }
}

// It says nothing of the provider, who was not asked.
static void test_this_machine_is_out_of_descriptors(void **state)
{
    (void)state;
    struct chat_failure from = {.kind = CHAT_EXHAUSTED, .retry_after_ms = -1, .text = "x"};
    struct router_failure made;
    router_failure_read(&from, &(struct router_error_words){0}, &made);
    assert_int_equal(made.error, ROUTER_EXHAUSTED);
    assert_int_equal(made.status, 503);
    assert_string_equal(router_failure_class(&made), "ServiceUnavailableError");
    assert_false(router_failure_counts(&made));
}

static void test_every_error_has_its_row(void **state)
{
    (void)state;
    for (int error = 0; error < ROUTER_ERRORS; error++) {
        struct router_failure made;
        router_failure_make((enum router_error)error, -1, "text", &made);
        assert_non_null(router_failure_class(&made));
        assert_true(made.status >= 400 && made.status < 600);
        if (router_failure_retry_helps(&made)) // what is worth a retry is worth another server
            assert_true(router_failure_elsewhere_helps(&made) && router_failure_counts(&made));
    }
}

static void test_when_a_retry_here_helps(void **state)
{
    (void)state;
    struct router_failure failure;
    router_failure_make(ROUTER_RATE_LIMIT, -1, "x", &failure);
    assert_false(router_failure_retry_helps(&failure));
    router_failure_make(ROUTER_RATE_LIMIT, 1500, "x", &failure);
    assert_true(router_failure_retry_helps(&failure));
    router_failure_make(ROUTER_RATE_LIMIT, 0, "x", &failure);
    assert_true(router_failure_retry_helps(&failure));
    router_failure_make(ROUTER_RATE_LIMIT, 60000, "x", &failure);
    assert_false(router_failure_retry_helps(&failure));
    assert_int_equal(router_failure_retry_after_s(&failure), 60);
    router_failure_make(ROUTER_SERVICE_UNAVAILABLE, 60000, "x", &failure);
    assert_false(router_failure_retry_helps(&failure));
    static const enum router_error hopeless[] = {
        ROUTER_AUTHENTICATION, ROUTER_PAYMENT,       ROUTER_PERMISSION_DENIED, ROUTER_NOT_FOUND,
        ROUTER_BAD_REQUEST,    ROUTER_UNPROCESSABLE, ROUTER_CONTEXT_WINDOW,    ROUTER_BUDGET};
    struct chat_failure moved = {.kind = CHAT_REJECTED, .status = 302, .retry_after_ms = -1};
    router_failure_read(&moved, &(struct router_error_words){0}, &failure);
    assert_false(router_failure_retry_helps(&failure));
    assert_true(router_failure_elsewhere_helps(&failure));
    for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
        router_failure_make(hopeless[i], -1, "x", &failure);
        assert_false(router_failure_retry_helps(&failure));
        assert_true(router_failure_elsewhere_helps(&failure));
    }
}

static void test_what_a_client_of_litellm_sees(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(1000);
    struct router_failure failure;
    router_failure_make(ROUTER_RATE_LIMIT, -1, "slow down", &failure);
    assert_string_equal(failure.type, "throttling_error");
    router_failure_message(&failure, span_of("openai"), &out);
    assert_string_equal(buf_text(&out),
                        "litellm.RateLimitError: RateLimitError: OpenAIException - slow down");
    buf_clear(&out);
    router_failure_make(ROUTER_BAD_REQUEST, -1, "no", &failure);
    router_failure_message(&failure, span_of("openrouter"), &out);
    assert_string_equal(buf_text(&out), "litellm.BadRequestError: OpenrouterException - no");
    buf_clear(&out);
    router_failure_make(ROUTER_BUDGET, -1, "Budget has been exceeded!", &failure);
    router_failure_message(&failure, SPAN_ABSENT, &out);
    assert_string_equal(failure.type, "budget_exceeded");
    assert_string_equal(buf_text(&out), "litellm.BudgetExceededError: Budget has been exceeded!");

    struct router_failure read =
        read_body("{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\"}}", 400, -1);
    assert_string_equal(read.type, "invalid_request_error");
    read = read_body("{\"error\":{\"message\":\"m\",\"type\":\"a\\\"b\"}}", 400, -1);
    assert_string_equal(read.type, "invalid_request_error"); // nothing that breaks out of a string
    read = read_body("{\"error\":{\"message\":\"m\",\"param\":\"messages[0]\"}}", 400, -1);
    assert_string_equal(read.param, "messages[0]");
    read = read_body("{\"error\":{\"message\":\"m\",\"param\":\"x\"}}", 503, -1);
    assert_string_equal(read.param, ""); // a fault of the provider's is nobody's parameter
    read = read_body("{\"error\":{\"message\":\"m\"}}", 429, INT64_C(99999999999));
    assert_int_equal(read.retry_after_ms, ROUTER_RETRY_AFTER_MAX_MS);
}

// LiteLLM gives every error a type, by its status where the provider gave none.
static void test_the_type_of_an_error(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } expected[] = {
        {400, "invalid_request_error"}, {401, "authentication_error"},
        {402, "invalid_request_error"}, {403, "permission_error"},
        {404, "invalid_request_error"}, {408, "invalid_request_error"},
        {422, "invalid_request_error"}, {429, "throttling_error"},
        {500, "internal_server_error"}, {504, "internal_server_error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct router_failure failure =
            read_body("{\"error\":{\"message\":\"m\"}}", expected[i].status, -1);
        assert_int_equal(failure.status, expected[i].status);
        assert_string_equal(failure.type, expected[i].type);
    }
}

static void test_a_moderation_is_a_refusal_of_its_provider(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(1000);
    struct router_failure failure =
        read_body("{\"error\":{\"message\":\"m\",\"metadata\":{\"reasons\":[\"x\"]}}}", 403, -1);
    assert_int_equal(failure.error, ROUTER_CONTENT_POLICY);
    assert_int_equal(failure.status, 403);
    assert_string_equal(failure.type, "permission_error");
    router_failure_message(&failure, span_of("openai"), &out);
    assert_true(span_starts_with(buf_span(&out), "litellm.APIError: APIError: OpenAIException"));
    buf_clear(&out);
    router_failure_make(ROUTER_CONTENT_POLICY, -1, "no", &failure);
    router_failure_message(&failure, span_of("openai"), &out);
    assert_true(span_starts_with(buf_span(&out), "litellm.BadRequestError: litellm."
                                                 "ContentPolicyViolationError: "));
}

static void test_what_is_wrong_before_anybody_is_asked(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(1000);
    struct router_failure failure;
    router_failure_make_bad("messages", "they are missing", &failure);
    router_failure_message(&failure, SPAN_ABSENT, &out);
    assert_string_equal(buf_text(&out), "they are missing");
    assert_string_equal(failure.param, "messages");
    assert_string_equal(failure.type, "invalid_request_error");
    assert_int_equal(failure.status, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_type_of_an_error),
        cmocka_unit_test(test_a_moderation_is_a_refusal_of_its_provider),
        cmocka_unit_test(test_what_is_wrong_before_anybody_is_asked),
        cmocka_unit_test(test_what_providers_say),
        cmocka_unit_test(test_what_is_only_about_this_request),
        cmocka_unit_test(test_a_page_of_something_in_between),
        cmocka_unit_test(test_what_a_filter_withheld),
        cmocka_unit_test(test_what_never_became_an_answer),
        cmocka_unit_test(test_this_machine_is_out_of_descriptors),
        cmocka_unit_test(test_every_error_has_its_row),
        cmocka_unit_test(test_when_a_retry_here_helps),
        cmocka_unit_test(test_what_a_client_of_litellm_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
