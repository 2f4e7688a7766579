#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "support/reply_record.h"

// What the dialects' samples do not show: odd tool calls, odd endings, limits.

static void check(const char *body, struct reply_feeding feeding, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(1 << 20);
    reply_record(span_of(body), feeding, &out);
    if (strcmp(buf_text(&out), wanted) != 0)
        fail_msg("type %s, step %zu, cut %zu:\n%s\nwanted:\n%s",
                 feeding.type ? feeding.type : "(none)", feeding.step, feeding.cut, buf_text(&out),
                 wanted);
}

static void gives(const char *body, const char *wanted)
{
    size_t len = strlen(body);
    check(body, (struct reply_feeding){NULL, 1, 0}, wanted);
    for (size_t cut = 0; cut <= len; cut++)
        check(body, (struct reply_feeding){NULL, 0, cut}, wanted);
}

#define CHUNK(delta) "data: {\"choices\":[{\"delta\":{" delta "}}]}\n\n"
#define CALLS(fragments) CHUNK("\"tool_calls\":[" fragments "]")
#define FINISH(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":" reason "}]}\n\n"
#define TEXT(text) CHUNK("\"content\":\"" text "\"")
#define DONE "data: [DONE]\n\n"
#define PLAIN "|unknown|-,-,-,-,-|(none)"
#define CALLED "|tool_calls|-,-,-,-,-|(none)"

static void calls_without_an_index(void **state)
{
    gives(CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\"\"}}")
              CALLS("{\"function\":{\"arguments\":\":1}\"}}")
                  CALLS("{\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
                      FINISH("\"tool_calls\""),
          "text=(none)|f[a]{\"x\":1}|f[b]{}" CALLED);
    // Fragments of two calls that only the id tells apart.
    gives(CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},"
                "{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"[\"}}")
              CALLS("{\"id\":\"a\",\"function\":{\"arguments\":\"}\"}},"
                    "{\"id\":\"b\",\"function\":{\"arguments\":\"]\"}}") FINISH("\"tool_calls\""),
          "text=(none)|f[a]{}|g[b][]" CALLED);
}

static void calls_without_an_id(void **state)
{
    gives(CALLS("{\"index\":1,\"function\":{\"name\":\"g\",\"arguments\":\"{\"}},"
                "{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}")
              CALLS("{\"index\":0,\"function\":{\"arguments\":\"1}\"}},"
                    "{\"index\":1,\"function\":{\"arguments\":\"}\"}}") FINISH("\"tool_calls\""),
          "text=(none)|g[made-up]{}|f[made-up]{\"a\":1}" CALLED);
    gives(CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                "{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}") FINISH("\"stop\"") DONE,
          "text=(none)|f[made-up]{}|f[made-up]{}|stop|-,-,-,-,-|(none)");
    gives(CALLS("{\"index\":0,\"id\":null,\"function\":{\"name\":\"f\",\"arguments\":null}}")
              FINISH("\"tool_calls\""),
          "text=(none)|f[made-up]{}" CALLED);
}

static void calls_that_are_all_number_zero(void **state)
{
    gives(CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
              CALLS("{\"index\":0,\"function\":{\"arguments\":\"}\"}}")
                  CALLS("{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"f\"}}")
                      CALLS("{\"index\":0,\"function\":{\"arguments\":\"{\\\"n\\\":2}\"}}")
                          FINISH("\"tool_calls\""),
          "text=(none)|f[a]{}|f[b]{\"n\":2}" CALLED);
    // Nor have they ids: another name begins a call, and so do arguments after whole ones, wherever
    // braces and quotes stand in them.
    gives(CALLS("{\"index\":0,\"function\":{\"name\":\"f\","
                "\"arguments\":\"{\\\"q\\\":\\\"\\\\\\\"}{\\\"}\"}}")
              CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"n\\\":2}\"}}")
                  CALLS("{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}")
                      FINISH("\"tool_calls\""),
          "text=(none)|f[made-up]{\"q\":\"\\\"}{\"}|f[made-up]{\"n\":2}|g[made-up]{}" CALLED);
}

static void fragments_that_repeat_themselves(void **state)
{
    // The name with every fragment, the id too, and at the end once more with nothing.
    gives(
        CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}") CALLS(
            "{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
            CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"}\"}}")
                CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")
                    CALLS(
                        "{\"index\":0,\"id\":\"\",\"function\":{\"name\":\"\",\"arguments\":\"\"}}")
                        FINISH("\"tool_calls\""),
        "text=(none)|f[a]{}" CALLED);
    // One id for two calls with an index each (a server whose ids are the names): what answers them
    // must be told apart, so the second gets another.
    gives(CALLS("{\"index\":0,\"id\":\"f\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
                "{\"index\":1,\"id\":\"f\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"{\\\"a\\\":1}\"}}") FINISH("\"tool_calls\""),
          "text=(none)|f[f]{}|f[made-up]{\"a\":1}" CALLED);
}

static void arguments_of_other_types(void **state)
{
    gives(CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
                "\"arguments\":{\"id\": 9223372036854775807, \"x\":1.50}}}")
              FINISH("\"tool_calls\""),
          "text=(none)|f[a]{\"id\": 9223372036854775807, \"x\":1.50}" CALLED);
    gives(CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":[1]}}")
              FINISH("\"tool_calls\""),
          "text=(none)|f[a][1]" CALLED);
    gives("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
          "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"not JSON\"}}]},"
          "\"finish_reason\":\"tool_calls\"}]}",
          "text=(none)|f[a]not JSON" CALLED);
}

static void endings(void **state)
{
    gives(TEXT("a") DONE, "text=a" PLAIN);
    gives(TEXT("a") FINISH("\"stop\""), "text=a|stop|-,-,-,-,-|(none)");
    gives(TEXT("a") FINISH("\"eos_token\""), "text=a" PLAIN);
    gives(TEXT("a") FINISH("\"stop\"") DONE TEXT("b"), "text=a|stop|-,-,-,-,-|(none)");
    // The last event without its blank line, or even its line break.
    gives(
        TEXT(
            "a") "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}",
        "text=ab|stop|-,-,-,-,-|(none)");
    gives(TEXT("a") "data: [DONE]", "text=a" PLAIN);
    gives(TEXT("a"), "failed 2 0: the answer was cut off before its end");
    gives(TEXT("a") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]",
          "failed 2 0: the answer was cut off before its end");
    // "None" on every chunk, in two spellings, is no reason.
    gives("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}\n\n",
          "failed 2 0: the answer was cut off before its end");
    gives("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"null\"}]}\n\n",
          "failed 2 0: the answer was cut off before its end");
}

static void answers_with_nothing_in_them(void **state)
{
    gives("", "failed 13 0: the provider sent an empty answer");
    gives(" \n\r\n\t ", "failed 13 0: the provider sent an empty answer");
    gives(": ping\n\n", "failed 13 0: the provider ended the stream without an answer");
    gives(DONE, "failed 13 0: the provider sent an empty answer");
    gives(FINISH("\"stop\"") DONE, "failed 13 0: the provider sent an empty answer");
    gives(FINISH("\"content_filter\""),
          "failed 6 0: the provider's content filter withheld the answer");
    gives(FINISH("\"length\""), "failed 13 0: the model used up its tokens before it answered; "
                                "raise model.max_tokens");
    gives(CHUNK("\"reasoning\":\"Hm\"") FINISH("\"stop\""),
          "(Hm)failed 13 0: the model thought, but gave no answer");
    gives("{\"choices\":[]}", "failed 13 0: the provider sent an empty answer");
    gives("{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}",
          "failed 13 0: the provider sent an empty answer");
}

static void answers_that_are_not_the_protocol(void **state)
{
    gives("<html>no</html>", "failed 12 0: the provider answered with something that is neither "
                             "JSON nor an event stream");
    gives("date: x\n\n", "failed 12 0: the provider answered with something that is neither "
                         "JSON nor an event stream");
    gives("dat", "failed 12 0: the provider sent something that is not JSON");
    gives("{\"choices\":", "failed 12 0: the provider sent something that is not JSON");
    gives("[]", "failed 12 0: the provider sent JSON that is not an answer");
    gives("data: {\"choices\":\n\n", "failed 12 0: the provider sent something that is not JSON");
    gives(TEXT("a") "data: 7\n\n", "failed 12 0: the provider sent JSON that is not an answer");
}

static void errors_inside_a_200(void **state)
{
    gives("{\"error\":{\"code\":402,\"message\":\"Insufficient credits\"}}",
          "failed 5 402: the account has no credit left, or the key has reached its limit "
          "(HTTP 402): Insufficient credits");
    gives("{\"error\":\"no such model\"}", "failed 11 0: the provider failed: no such model");
    gives("{\"detail\":\"Not found\"}", "failed 11 0: the provider failed: Not found");
    gives("{\"object\":\"error\",\"message\":\"too busy\",\"code\":503}",
          "failed 10 503: the provider is overloaded (HTTP 503): too busy");
    gives(TEXT("a") "event: error\ndata: {\"error\":{\"type\":\"overloaded_error\"}}\n\n",
          "failed 10 529: the provider is overloaded (HTTP 529): {\"type\":\"overloaded_error\"}");
    gives(TEXT("a") FINISH("\"error\""),
          "failed 11 0: the provider failed in the middle of the answer");
    gives(TEXT("a") "data: {\"error\":null,\"choices\":[{\"error\":null,\"delta\":{}}]}\n\n" DONE,
          "text=a" PLAIN);
    // The last chunk had its reason to end, and the error came after it.
    gives(TEXT("a") FINISH("\"stop\"") "data: {\"error\":{\"code\":502}}\n\n",
          "failed 11 502: the provider failed (HTTP 502): {\"code\":502}");
}

static void texts(void **state)
{
    gives(
        "\n\n{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"image\"},{\"type\":\"text\",\"text\":\"b\"}]},\"finish_reason\":\"stop\"}]}\n",
        "text=ab|stop|-,-,-,-,-|(none)");
    gives(CHUNK("\"refusal\":\"I will not.\"") FINISH("\"stop\""),
          "text=I will not.|stop|-,-,-,-,-|(none)");
    // What a C string could not hold is not silently the end of the text.
    gives(TEXT("a\\u0000b") DONE, "text=a b" PLAIN);
    gives(TEXT("a\\ud83e\\udd67\\ud83eb") DONE, "text=a🥧\xef\xbf\xbd"
                                                "b" PLAIN);
    gives("retry: 5\nid: 7\n" TEXT("a") DONE, "text=a" PLAIN);
    gives("data: {\"usage\":{\"prompt_tokens\":1.5,\"cost\":1e-6},\"choices\":[]}\n\n" TEXT("a")
              DONE,
          "text=a|unknown|-,-,-,-,1000000|(none)");
}

static void fails_with(struct span body, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(64 << 20);
    reply_record(body, (struct reply_feeding){NULL, 1 << 16, 0}, &out);
    if (strcmp(buf_text(&out), wanted) != 0)
        fail_msg("%.500s\nwanted:\n%s", buf_text(&out), wanted);
}

static void repeat(struct buf *out, const char *text, size_t times)
{
    while (times--)
        assert_true(buf_append_text(out, text));
}

static void limits(void **state)
{
    BUF_AUTO body = BUF_INIT(128 << 20);
    BUF_AUTO piece = BUF_INIT(2 << 20);
    repeat(&piece, "0123456789abcdef", 1 << 16); // 1 MiB
    for (int i = 0; i < 17; i++) {
        buf_append_text(&body, "data: {\"choices\":[{\"delta\":{\"content\":\"");
        buf_append_span(&body, buf_span(&piece));
        buf_append_text(&body, "\"}}]}\n\n");
    }
    BUF_AUTO out = BUF_INIT(64 << 20);
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 1 << 16, 0}, &out);
    assert_string_equal(buf_text(&out), "failed 14 0: the answer is larger than 12 MiB");

    buf_clear(&body);
    for (int i = 0; i < 5; i++) {
        buf_append_text(&body, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
                               "\"function\":{\"arguments\":\"");
        buf_append_span(&body, buf_span(&piece));
        buf_append_text(&body, "\"}}]}}]}\n\n");
    }
    fails_with(buf_span(&body), "failed 14 0: the model sent a tool call that is too large");

    buf_clear(&body);
    buf_append_text(&body, "data: ");
    for (int i = 0; i < 9; i++)
        buf_append_span(&body, buf_span(&piece));
    fails_with(buf_span(&body), "failed 14 0: the provider sent an event that is too large");

    buf_clear(&body);
    buf_append_text(&body, "{\"choices\":");
    for (int i = 0; i < 33; i++)
        buf_append_span(&body, buf_span(&piece));
    fails_with(buf_span(&body), "failed 14 0: the answer is larger than 24 MiB");

    buf_clear(&body);
    for (int i = 0; i <= CHAT_CALLS_MAX; i++)
        buf_append_text(&body, CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"));
    fails_with(buf_span(&body), "failed 14 0: the model asked for more than 64 tool calls at once");
    buf_clear(&body);
    buf_clear(&out);
    repeat(&body, CALLS("{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"), CHAT_CALLS_MAX);
    buf_append_text(&body, DONE);
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 1 << 16, 0}, &out);
    assert_int_equal(strncmp(buf_text(&out), "text=(none)|f[made-up]{}|f[", 27), 0);

    buf_clear(&body);
    buf_append_text(&body,
                    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"");
    repeat(&body, "n", CHAT_NAME_MAX + 1);
    buf_append_text(&body, "\"}}]}}]}\n\n");
    fails_with(buf_span(&body), "failed 14 0: the model sent a tool call that is too large");
}

// A server that means harm must not keep the loop busy with them.
static void a_text_of_nothing_but_nuls(void **state)
{
    enum { NULS = 1200 * 1000 };
    BUF_AUTO body = BUF_INIT(8 << 20);
    BUF_AUTO out = BUF_INIT(8 << 20);
    buf_append_text(&body, "data: {\"choices\":[{\"delta\":{\"content\":\"");
    repeat(&body, "\\u0000", NULS);
    buf_append_text(&body, "\"}}]}\n\n" DONE);
    clock_t before = clock();
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 1 << 16, 0}, &out);
    assert_true(clock() - before < 5 * CLOCKS_PER_SEC);
    assert_int_equal(strspn(buf_text(&out) + strlen("text="), " "), NULS);
}

// A proxy hides thought signatures in ids, which are then thousands of bytes long.
static void long_ids_are_kept(void **state)
{
    BUF_AUTO body = BUF_INIT(1 << 20);
    BUF_AUTO wanted = BUF_INIT(1 << 20);
    BUF_AUTO out = BUF_INIT(1 << 20);
    BUF_AUTO id = BUF_INIT(CHAT_ID_MAX);
    repeat(&id, "x", 9000);
    buf_printf(&body,
               "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"%s\",\"function\":{"
               "\"name\":\"f\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
               buf_text(&id));
    buf_printf(&wanted, "text=(none)|f[%s]{}" CALLED, buf_text(&id));
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 7, 0}, &out);
    assert_string_equal(buf_text(&out), buf_text(&wanted));
}

// White space before an answer keeps a connection alive for minutes, and must cost nearly nothing.
static void white_space_before_an_answer(void **state)
{
    BUF_AUTO body = BUF_INIT(64 << 20);
    repeat(&body, "\n                                                               ", 1 << 19);
    buf_append_text(&body, TEXT("a") DONE);
    BUF_AUTO out = BUF_INIT(1 << 20);
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 512, 0}, &out);
    assert_string_equal(buf_text(&out), "text=a" PLAIN);
}

static void a_million_tiny_deltas(void **state)
{
    BUF_AUTO body = BUF_INIT(128 << 20);
    repeat(&body, TEXT("x"), 1000000);
    buf_append_text(&body, DONE);
    BUF_AUTO out = BUF_INIT(4 << 20);
    reply_record(buf_span(&body), (struct reply_feeding){NULL, 1400, 0}, &out);
    assert_int_equal(out.len, strlen("text=" PLAIN) + 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_without_an_index),
        cmocka_unit_test(calls_without_an_id),
        cmocka_unit_test(calls_that_are_all_number_zero),
        cmocka_unit_test(fragments_that_repeat_themselves),
        cmocka_unit_test(arguments_of_other_types),
        cmocka_unit_test(endings),
        cmocka_unit_test(answers_with_nothing_in_them),
        cmocka_unit_test(answers_that_are_not_the_protocol),
        cmocka_unit_test(errors_inside_a_200),
        cmocka_unit_test(texts),
        cmocka_unit_test(limits),
        cmocka_unit_test(a_text_of_nothing_but_nuls),
        cmocka_unit_test(long_ids_are_kept),
        cmocka_unit_test(white_space_before_an_answer),
        cmocka_unit_test(a_million_tiny_deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
