#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/utf8.h"
#include "llm/openai_error.h"

static struct chat_failure read_body(struct span body, int status)
{
    struct chat_failure failure = {.retry_after_ms = -1};
    openai_read_error_body(body, status, &failure);
    assert_true(utf8_valid(span_of(failure.text)));
    assert_true(strlen(failure.text) > 10 && strlen(failure.text) < sizeof failure.text - 1);
    return failure;
}

static void says(const char *body, int status, enum chat_failure_kind kind, int told_status,
                 const char *text)
{
    struct chat_failure failure = read_body(span_of(body), status);
    if (failure.kind != kind || failure.status != told_status || strcmp(failure.text, text) != 0)
        fail_msg("%s under %d: kind %d, status %d, %s\nwanted: kind %d, status %d, %s", body,
                 status, failure.kind, failure.status, failure.text, kind, told_status, text);
}

static void kinds_follow_the_status(void **state)
{
    static const struct {
        int status;
        enum chat_failure_kind kind;
    } table[] = {
        {400, CHAT_REJECTED},     {401, CHAT_UNAUTHORIZED}, {402, CHAT_PAYMENT},
        {403, CHAT_FORBIDDEN},    {404, CHAT_NOT_FOUND},    {405, CHAT_REJECTED},
        {408, CHAT_TIMED_OUT},    {413, CHAT_TOO_LONG},     {422, CHAT_REJECTED},
        {429, CHAT_RATE_LIMITED}, {500, CHAT_SERVER},       {501, CHAT_SERVER},
        {502, CHAT_SERVER},       {503, CHAT_OVERLOADED},   {504, CHAT_TIMED_OUT},
        {529, CHAT_OVERLOADED},   {599, CHAT_SERVER},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct chat_failure failure = read_body(SPAN_LITERAL(""), table[i].status);
        assert_int_equal(failure.kind, table[i].kind);
        assert_int_equal(failure.status, table[i].status);
        assert_int_equal(failure.retry_after_ms, -1);
        // The code in the body is a detail of the same failure; HTTP's own decides.
        failure = read_body(SPAN_LITERAL("{\"error\":{\"code\":418}}"), table[i].status);
        assert_int_equal(failure.kind, table[i].kind);
    }
}

static void shapes(void **state)
{
    static const char page[] = "the provider failed (HTTP 500): it answered with a web page";
    says("{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", 400, CHAT_REJECTED, 400,
         "the provider rejected the request (HTTP 400): m");
    says("{\"error\":\"m\"}", 500, CHAT_SERVER, 500, "the provider failed (HTTP 500): m");
    says("[{\"error\":{\"code\":429,\"message\":\"m\"}}]", 429, CHAT_RATE_LIMITED, 429,
         "the provider asks to slow down (HTTP 429): m");
    says("{\"detail\":\"m\"}", 422, CHAT_REJECTED, 422,
         "the provider rejected the request (HTTP 422): m");
    says("{\"detail\":[{\"msg\":\"m\"}]}", 422, CHAT_REJECTED, 422,
         "the provider rejected the request (HTTP 422): [{\"msg\":\"m\"}]");
    says("{\"object\":\"error\",\"message\":\"m\",\"code\":40303}", 500, CHAT_SERVER, 500,
         "the provider failed (HTTP 500): m");
    says("<!DOCTYPE html><title>502</title>", 500, CHAT_SERVER, 500, page);
    says(" \n<html>", 500, CHAT_SERVER, 500, page);
    says("upstream connect error\n", 503, CHAT_OVERLOADED, 503,
         "the provider is overloaded (HTTP 503): upstream connect error");
    says("{\"odd\":1}", 500, CHAT_SERVER, 500, "the provider failed (HTTP 500): {\"odd\":1}");
    says("{\"error\":{}}", 500, CHAT_SERVER, 500, "the provider failed (HTTP 500): {}");
    says("", 502, CHAT_SERVER, 502, "the provider failed (HTTP 502)");
    says("{\"error\":{\"mess", 502, CHAT_SERVER, 502,
         "the provider failed (HTTP 502): its explanation cannot be read");
}

static void too_long_conversations(void **state)
{
    static const char *const bodies[] = {
        "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"m\"}}",
        "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\"}}",
        "{\"error\":{\"message\":\"exceeds the available context window\"}}",
        "{\"error\":{\"message\":\"m\",\"metadata\":{\"error_type\":\"context_length_exceeded\"}}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_equal(read_body(span_of(bodies[i]), 400).kind, CHAT_TOO_LONG);
        // A server that is down does not become a long conversation by speaking of one.
        assert_int_equal(read_body(span_of(bodies[i]), 503).kind, CHAT_OVERLOADED);
    }
    assert_int_equal(read_body(SPAN_LITERAL("{\"error\":{\"message\":\"m\"}}"), 400).kind,
                     CHAT_REJECTED);
}

static void inside_a_200(const char *json, enum chat_failure_kind kind, int status)
{
    JSON_AUTO doc = JSON_INIT;
    struct chat_failure failure = {.retry_after_ms = -1};
    assert_int_equal(json_parse(&doc, span_of(json), NULL), 0);
    struct json_value error = openai_find_error(json_root(&doc));
    assert_int_not_equal(json_type(error), JSON_ABSENT);
    openai_read_error(error, 0, &failure);
    if (failure.kind != kind || failure.status != status)
        fail_msg("%s: kind %d, status %d", json, failure.kind, failure.status);
}

static void codes_inside_a_200(void **state)
{
    inside_a_200("{\"error\":{\"code\":429}}", CHAT_RATE_LIMITED, 429);
    inside_a_200("{\"error\":{\"code\":\"429\"}}", CHAT_RATE_LIMITED, 429);
    inside_a_200("{\"error\":{\"code\":\"server_error\"}}", CHAT_SERVER, 500);
    inside_a_200("{\"error\":{\"code\":null,\"type\":\"insufficient_quota\"}}", CHAT_PAYMENT, 402);
    inside_a_200("{\"error\":{\"code\":\"insufficient_quota\"}}", CHAT_PAYMENT, 402);
    inside_a_200("{\"error\":{\"type\":\"overloaded_error\"}}", CHAT_OVERLOADED, 529);
    inside_a_200("{\"error\":{\"code\":\"invalid_api_key\"}}", CHAT_UNAUTHORIZED, 401);
    inside_a_200("{\"error\":{\"code\":\"model_not_found\"}}", CHAT_NOT_FOUND, 404);
    inside_a_200("{\"error\":{\"code\":\"context_length_exceeded\"}}", CHAT_TOO_LONG, 413);
    inside_a_200("{\"error\":{\"http_status\":503,\"code\":\"x\"}}", CHAT_OVERLOADED, 503);
    inside_a_200("{\"error\":{\"code\":200}}", CHAT_SERVER, 0);
    inside_a_200("{\"error\":{\"code\":\"-429\"}}", CHAT_SERVER, 0);
    inside_a_200("{\"error\":{\"code\":99999999999}}", CHAT_SERVER, 0);
    inside_a_200("{\"choices\":[{\"error\":{\"code\":502}}]}", CHAT_SERVER, 502);
}

static void what_is_no_error(void **state)
{
    static const char *const answers[] = {
        "{\"choices\":[]}",
        "{\"error\":null,\"choices\":[{\"error\":null,\"message\":{\"content\":\"error\"}}]}",
        "{\"choices\":[{\"message\":{\"error\":1}}],\"detail\":\"d\",\"message\":\"m\"}",
        "[]",
        "{}",
        "7",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        JSON_AUTO doc = JSON_INIT;
        assert_int_equal(json_parse(&doc, span_of(answers[i]), NULL), 0);
        if (json_type(openai_find_error(json_root(&doc))) != JSON_ABSENT)
            fail_msg("%s", answers[i]);
    }
}

// What a provider says ends up on a terminal and in a chat.
static void their_words_are_one_clean_line(void **state)
{
    says("a\r\n\tb\x1b[2Jc\x7f d\xc2\x9b"
         "31me",
         500, CHAT_SERVER, 500, "the provider failed (HTTP 500): a b [2Jc d 31me");
    says("a\xe2\x80\xae\xd8\x9c"
         "b\xe2\x80\xa8",
         500, CHAT_SERVER, 500, "the provider failed (HTTP 500): a b ");
    says("bad \xff\xfe bytes", 500, CHAT_SERVER, 500,
         "the provider failed (HTTP 500): bad \xef\xbf\xbd\xef\xbf\xbd bytes");
    char text[4000];
    for (size_t shift = 0; shift < 4; shift++) { // cut in the middle of each character's bytes
        memset(text, 'x', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\xa5\xa7", 5);
        struct chat_failure failure = read_body(span_of(text), 500);
        assert_null(strstr(failure.text, "\xef\xbf\xbd"));
        assert_true(strlen(failure.text) > 200 && strlen(failure.text) < 300);
    }
    memset(text, '\xff', sizeof text); // each becomes three bytes
    read_body(span_make(text, sizeof text), 500);
    for (size_t i = 0; i < 256; i++)
        text[i] = (char)i;
    for (size_t from = 0; from < 256; from += 16)
        read_body(span_make(text + from, 256 - from), 500);
    memset(text, 'w', sizeof text);
    assert_true(strlen(read_body(span_make(text, sizeof text), 401).text) > 240);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_follow_the_status), cmocka_unit_test(shapes),
        cmocka_unit_test(too_long_conversations),  cmocka_unit_test(codes_inside_a_200),
        cmocka_unit_test(what_is_no_error),        cmocka_unit_test(their_words_are_one_clean_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
