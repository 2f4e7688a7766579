//
// Whole answers told as streams: every byte that a client reads, and what is no answer.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/wire/reply_stream.h"

#define DONE "data: [DONE]\n\n"
#define USAGE "{\"prompt_tokens\":1,\"cost\":1.0e-3}"

static void becomes(const char *whole, bool usage, const char *events)
{
    BUF_AUTO out = BUF_INIT(REPLY_CONVERT_MAX);
    assert_int_equal(reply_convert(span_of(whole), usage, &out), 0);
    assert_string_equal(buf_text(&out), events);
}

static void a_text(void **state)
{
    (void)state;
    static const char whole[] =
        " {\"id\":\"x\", \"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"
        "{\"role\":\"assistant\",\"content\":\"h\\u00e9\\/\"},\"logprobs\":null,"
        "\"finish_reason\":\"stop\",\"native_finish_reason\":\"STOP\"}],"
        "\"big\":18446744073709551617,\"usage\":" USAGE "}\n";
#define HEAD \
    "data: {\"id\":\"x\",\"big\":18446744073709551617,\"object\":\"chat.completion.chunk\","
    static const char first[] =
        HEAD "\"choices\":[{\"index\":0,\"logprobs\":null,\"delta\":{\"role\":\"assistant\","
             "\"content\":\"h\\u00e9\\/\"},\"finish_reason\":null}]}\n\n" HEAD
             "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\","
             "\"native_finish_reason\":\"STOP\"}]}\n\n";
    BUF_AUTO wanted = BUF_INIT(2000);
    buf_append_text(&wanted, first);
    buf_append_text(&wanted, DONE);
    becomes(whole, false, buf_text(&wanted));
    buf_clear(&wanted);
    buf_append_text(&wanted, first);
    buf_append_text(&wanted, HEAD "\"choices\":[],\"usage\":" USAGE "}\n\n" DONE);
    becomes(whole, true, buf_text(&wanted));
#undef HEAD
}

// Arguments keep their bytes; the index is there once.
static void tool_calls(void **state)
{
    (void)state;
    becomes(
        "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"{\\\"n\\\": 9007199254740993}\"}},{\"index\":7,"
        "\"id\":\"b\"}]},\"finish_reason\":\"tool_calls\"}]}",
        true,
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{"
        "\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"a\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"n\\\": 9007199254740993}\"}},"
        "{\"index\":7,\"id\":\"b\"}]},\"finish_reason\":null}]}\n\n"
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},"
        "\"finish_reason\":\"tool_calls\"}]}\n\n" DONE);
}

static void several_choices(void **state)
{
    (void)state;
    becomes("{\"choices\":[{\"message\":{}},{\"index\":5,\"message\":{\"role\":\"x\"}}]}", true,
            "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{"
            "\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n"
            "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},"
            "\"finish_reason\":null}]}\n\n"
            "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":5,\"delta\":{"
            "\"role\":\"x\"},\"finish_reason\":null}]}\n\n"
            "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":5,\"delta\":{},"
            "\"finish_reason\":null}]}\n\n" DONE);
}

static void a_text_completion(void **state)
{
    (void)state;
    becomes("{\"object\":\"text_completion\",\"choices\":[{\"text\":\"a\",\"index\":0,"
            "\"finish_reason\":\"stop\"}]}",
            true,
            "data: {\"object\":\"text_completion\",\"choices\":[{\"text\":\"a\",\"index\":0,"
            "\"finish_reason\":\"stop\"}]}\n\n" DONE);
}

// A line break between two members must not end a line of the event.
static void a_pretty_answer(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(REPLY_CONVERT_MAX);
    assert_int_equal(
        reply_convert(SPAN_LITERAL("{\"x\": {\n  \"y\":\r\n [1,\n2]},\n \"choices\": [{"
                                   "\n\"message\": {\"a\": {\n}}}]}"),
                      true, &out),
        0);
    struct span rest = buf_span(&out);
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        assert_true(!line.len || span_starts_with(line, "data: "));
        assert_null(memchr(line.data, '\r', line.len));
    }
}

static void what_is_no_answer(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"choices\":null}",
        "{\"choices\":[]}",
        "{\"choices\":[1]}",
        "{\"choices\":[{\"message\":\"x\"}]}",
        "{\"choices\":[{\"text\":1}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        BUF_AUTO out = BUF_INIT(REPLY_CONVERT_MAX);
        if (reply_convert(span_of(texts[i]), true, &out) != -EBADMSG)
            fail_msg("taken: %s", texts[i]);
    }
    BUF_AUTO small = BUF_INIT(50);
    assert_int_equal(reply_convert(SPAN_LITERAL("{\"choices\":[{\"message\":{}}]}"), true, &small),
                     -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text),          cmocka_unit_test(tool_calls),
        cmocka_unit_test(several_choices), cmocka_unit_test(a_text_completion),
        cmocka_unit_test(a_pretty_answer), cmocka_unit_test(what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
