#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "channels/telegram_answer.h"

static struct telegram_answer read_answer(int status, const char *body)
{
    struct telegram_answer answer;
    struct json doc = JSON_INIT;
    telegram_answer_read(status, span_of(body), &doc, &answer);
    json_finish(&doc);
    answer.result = JSON_VALUE_ABSENT;
    return answer;
}

static void test_success_hands_over_the_result(void **state)
{
    (void)state;
    struct telegram_answer answer;
    struct json doc = JSON_INIT;
    int64_t id = 0;
    telegram_answer_read(200, span_of("{\"ok\":true,\"result\":{\"message_id\":9007199254740993}}"),
                         &doc, &answer);
    assert_int_equal(answer.outcome, TELEGRAM_OK);
    assert_true(json_int64(json_get(answer.result, "message_id"), &id));
    assert_int_equal(id, 9007199254740993);
    assert_string_equal(answer.text, "");
    json_finish(&doc);
}

// What the Bot API was seen to say, and what it means.
static const struct {
    int status;
    const char *body;
    enum telegram_outcome outcome;
} refusals[] = {
    {401, "{\"ok\":false,\"error_code\":401,\"description\":\"Unauthorized\"}",
     TELEGRAM_UNAUTHORIZED},
    {404, "{\"ok\":false,\"error_code\":404,\"description\":\"Not Found\"}", TELEGRAM_UNAUTHORIZED},
    {409,
     "{\"ok\":false,\"error_code\":409,\"description\":\"Conflict: terminated by other "
     "getUpdates request; make sure that only one bot instance is running\"}",
     TELEGRAM_CONFLICT},
    {409,
     "{\"ok\":false,\"error_code\":409,\"description\":\"Conflict: can't use getUpdates method "
     "while webhook is active; use deleteWebhook to delete the webhook first\"}",
     TELEGRAM_WEBHOOK},
    {400,
     "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message is not modified: "
     "specified new message content\"}",
     TELEGRAM_UNCHANGED},
    {400,
     "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message to edit not "
     "found\"}",
     TELEGRAM_NO_MESSAGE},
    {400,
     "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message can't be "
     "edited\"}",
     TELEGRAM_NO_MESSAGE},
    {400,
     "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: can't parse entities: "
     "Character '.' is reserved\"}",
     TELEGRAM_BAD_MARKUP},
    {400, "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message is too long\"}",
     TELEGRAM_TOO_LONG},
    {400, "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: chat not found\"}",
     TELEGRAM_NO_CHAT},
    {400,
     "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: message thread not "
     "found\"}",
     TELEGRAM_NO_THREAD},
    {403,
     "{\"ok\":false,\"error_code\":403,\"description\":\"Forbidden: bot was blocked by the "
     "user\"}",
     TELEGRAM_NO_CHAT},
    {400, "{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: something new\"}",
     TELEGRAM_REFUSED},
    {500, "{\"ok\":false,\"error_code\":500,\"description\":\"Internal Server Error\"}",
     TELEGRAM_UNAVAILABLE},
    {200, "{\"ok\":false,\"error_code\":500,\"description\":\"Internal Server Error\"}",
     TELEGRAM_UNAVAILABLE},
    {502, "<html>Bad Gateway</html>", TELEGRAM_UNAVAILABLE},
    {403, "<html>a proxy's page</html>", TELEGRAM_UNAVAILABLE},
    {413, "<html>a proxy's page</html>", TELEGRAM_TOO_LONG},
    {302, "", TELEGRAM_UNAVAILABLE},
    {200, "", TELEGRAM_UNKNOWN},
    {200, "{\"ok\":true,\"result\":{\"mess", TELEGRAM_UNKNOWN},
    {200, "{\"ok\":\"yes\",\"result\":[]}", TELEGRAM_UNKNOWN},
    {200, "[]", TELEGRAM_UNKNOWN},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct telegram_answer answer = read_answer(refusals[i].status, refusals[i].body);
        if (answer.outcome != refusals[i].outcome)
            fail_msg("%d %s: %d instead of %d", refusals[i].status, refusals[i].body,
                     (int)answer.outcome, (int)refusals[i].outcome);
        assert_string_not_equal(answer.text, "");
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    struct telegram_answer answer =
        read_answer(429, "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests: "
                         "retry after 7\",\"parameters\":{\"retry_after\":7}}");
    assert_int_equal(answer.outcome, TELEGRAM_LIMITED);
    assert_int_equal(answer.retry_after_ms, 7000);
    answer = read_answer(429, "{\"ok\":false,\"error_code\":429,\"description\":\"x\","
                              "\"parameters\":{\"retry_after\":9223372036854775807}}");
    assert_int_equal(answer.retry_after_ms, TELEGRAM_RETRY_AFTER_MAX_MS);
    answer = read_answer(429, "<html>slow down</html>");
    assert_int_equal(answer.outcome, TELEGRAM_LIMITED);
    assert_true(answer.retry_after_ms > 0);
}

static void test_what_was_lost_may_have_arrived(void **state)
{
    (void)state;
    static const struct {
        enum http_failure failure;
        bool connecting;
        enum telegram_outcome outcome;
    } cases[] = {
        {HTTP_UNRESOLVED, true, TELEGRAM_UNREACHABLE},
        {HTTP_UNREACHABLE, true, TELEGRAM_UNREACHABLE},
        {HTTP_UNTRUSTED, true, TELEGRAM_UNREACHABLE},
        {HTTP_MISUSED, true, TELEGRAM_UNREACHABLE},
        {HTTP_TIMED_OUT, true, TELEGRAM_UNREACHABLE},
        {HTTP_TIMED_OUT, false, TELEGRAM_UNKNOWN},
        {HTTP_CUT, true, TELEGRAM_UNKNOWN},
        {HTTP_STOPPED, false, TELEGRAM_UNKNOWN},
        {HTTP_UNREADABLE, false, TELEGRAM_NO_FILE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct telegram_answer answer;
        telegram_answer_lost(cases[i].failure, cases[i].connecting, "why", &answer);
        assert_int_equal(answer.outcome, cases[i].outcome);
        assert_string_equal(answer.text, "why");
    }
}

static void test_the_token_is_hidden(void **state)
{
    (void)state;
    static const char token[] = "123456789:AAbbCCddEEff";
    char whole[] = "no path /bot123456789:AAbbCCddEEff/getMe here";
    telegram_redact(whole, token);
    assert_string_equal(whole, "no path /bot**********************/getMe here");
    char cut[] = "no path /bot123456789:AAbb";
    telegram_redact(cut, token);
    assert_string_equal(cut, "no path /bot**************");
    char without[] = "nothing";
    telegram_redact(without, NULL);
    assert_string_equal(without, "nothing");
}

static void test_a_token_is_hidden_where_a_description_was_cut(void **state)
{
    (void)state;
    static const char token[] = "123456789:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQ";
    for (int before = 100; before < 260; before++) {
        char body[1024], words[300];
        memset(words, 'w', (size_t)before);
        words[before] = '\0';
        snprintf(body, sizeof body,
                 "{\"ok\":false,\"error_code\":404,\"description\":\"%s/bot%s/getMe\"}", words,
                 token);
        struct telegram_answer answer = read_answer(404, body);
        telegram_redact(answer.text, token);
        assert_null(strstr(answer.text, "123456789:"));
    }
}

static void test_a_long_description_is_cut_within_bounds(void **state)
{
    (void)state;
    char body[4096], words[3000];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    snprintf(body, sizeof body, "{\"ok\":false,\"error_code\":400,\"description\":\"%s\"}", words);
    struct telegram_answer answer = read_answer(400, body); // longer than is decoded
    assert_int_equal(answer.outcome, TELEGRAM_REFUSED);
    assert_true(strlen(answer.text) < TELEGRAM_ANSWER_TEXT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_hands_over_the_result),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_what_was_lost_may_have_arrived),
        cmocka_unit_test(test_the_token_is_hidden),
        cmocka_unit_test(test_a_token_is_hidden_where_a_description_was_cut),
        cmocka_unit_test(test_a_long_description_is_cut_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
