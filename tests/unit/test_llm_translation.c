#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "llm/translation.h"

// From openai_chat into itself, which shows what the neutral chat model keeps.

static int create(const char *body, const char *params, struct translation **ret, struct error *err)
{
    struct span parts[] = {span_of(body)};
    return translation_create(&wire_openai_chat, parts, 1, params ? span_of(params) : SPAN_ABSENT,
                              ret, err);
}

static struct translation *begin(bool stream)
{
    struct translation *t;
    const char *body = stream ? "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
                              : "{\"model\":\"m\",\"messages\":[]}";
    assert_int_equal(create(body, NULL, &t, NULL), 0);
    translation_begin(t, stream ? span_of("text/event-stream") : span_of("application/json"));
    return t;
}

#define BODY(members) \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" members "}"
#define SAID(members) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"," members "}]}"
#define ANSWERED(members) "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\"," members "}]}"
#define CALL(members) "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\"," members "}]"

#define PNG "iVBORw0KGgo=" // its first 8 bytes
#define IMAGE(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define SOUND(format) "{\"type\":\"input_audio\",\"input_audio\":{" format "\"data\":\"SUQzBAA=\"}}"

static void what_has_a_place_arrives(void **state)
{
    static const struct {
        const char *body, *params, *part;
    } cases[] = {
        {BODY(",\"max_tokens\":1e3"), NULL, "\"max_tokens\":1000}"},
        {BODY(",\"max_completion_tokens\":7.0"), NULL, "\"max_tokens\":7}"},
        {BODY(",\"max_tokens\":-1"), NULL, "\"content\":\"hi\"}]}"},
        {BODY(",\"temperature\":0.50"), "{\"temperature\":1}", ",\"temperature\":0.50}"},
        {SAID(
             "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]"),
         NULL, "\"content\":\"ab\""},
        {SAID("\"content\":[{\"type\":\"text\",\"text\":\"a\"}," IMAGE(
             "data:text/html;base64," PNG) "]"),
         NULL,
         "\"content\":[{\"type\":\"text\",\"text\":\"a\"}," IMAGE(
             "data:image/png;base64," PNG) "]}]"},
        {SAID("\"content\":[" SOUND("") "]"), NULL,
         "\"text\":\"\"}," SOUND("\"format\":\"mp3\",") "]}]"},
        {ANSWERED(
             "\"content\":null,\"refusal\":null," CALL("\"arguments\":\"{}\"},\"sig\":{\"x\":1}")),
         NULL, "\"arguments\":\"{}\"},\"sig\":{\"x\":1}}"},
        {ANSWERED("\"reasoning_details\":[{\"s\":1}]," CALL("\"arguments\":\"{}\"}")), NULL,
         "],\"reasoning_details\":[{\"s\":1}]}"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"x\"}]}", NULL,
         "{\"role\":\"system\",\"content\":\"x\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct translation *t;
        struct error err = ERROR_INIT;
        if (create(cases[i].body, cases[i].params, &t, &err) < 0)
            fail_msg("%s: %s", cases[i].body, err.text);
        if (span_find(*translation_request(t), span_of(cases[i].part)) < 0)
            fail_msg("%s became %.*s", cases[i].body, (int)translation_request(t)->len,
                     translation_request(t)->data);
        translation_destroy(t);
    }
}

// Nothing is left out, and nothing becomes something else.
static void what_has_no_place_is_refused(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *text;
    } cases[] = {
        {BODY(",\"temperature\":1"), -ENOTSUP, "\"temperature\""},
        {BODY(",\"max_tokens\":1.5"), -ENOTSUP, "\"max_tokens\" that is no whole number"},
        {BODY(",\"max_tokens\":\"many\""), -ENOTSUP, "that is no whole number"},
        {BODY(",\"tools\":[],\"tools\":[]"), -EBADMSG, "twice"},
        {BODY(",\"tools\":{\"a\":1}"), -EBADMSG, "must be lists"},
        {BODY(",\"tools\":[{\"type\":\"custom\",\"function\":{\"name\":\"f\"}}]"), -EBADMSG,
         "no function with a name"},
        {SAID("\"content\":\"a\\u0000b\""), -EBADMSG, "U+0000"},
        {SAID("\"content\":\"\",\"content\":\"x\""), -EBADMSG, "twice in one"},
        {ANSWERED(CALL("\"arguments\":\"{}\"}") "," CALL("\"arguments\":\"{}\"}")), -EBADMSG,
         "twice in one"},
        {SAID("\"content\":{\"text\":\"x\"}"), -EBADMSG, "no text"},
        {SAID("\"content\":[{\"type\":\"text\",\"text\":7}]"), -EBADMSG, "no text"},
        {SAID("\"content\":[{\"type\":\"file\"}]"), -ENOTSUP, "\"file\" in a message"},
        {SAID("\"content\":[{\"type\":\"image_url\"}]"), -ENOTSUP, "not within the request"},
        {SAID("\"content\":[" IMAGE("https://example.com/a.png") "]"), -ENOTSUP,
         "not within the request"},
        {SAID("\"content\":[" IMAGE("data:image/png,abc") "]"), -ENOTSUP, "not within the request"},
        {ANSWERED("\"content\":[" IMAGE("data:image/png;base64," PNG) "]"), -ENOTSUP,
         "in a user's message"},
        {SAID("\"content\":[" IMAGE("data:image/png;base64,%%%") "]"), -EBADMSG,
         "none that is known"},
        {SAID("\"content\":[" IMAGE("data:image/png;base64,PGh0bWw+") "]"), -EBADMSG,
         "none that is known"},
        {SAID("\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" PNG "\"}}]"),
         -EBADMSG, "none that is known"},
        {SAID("\"content\":\"x\",\"name\":\"Ann\""), -ENOTSUP, "\"name\" in a message"},
        {ANSWERED("\"function_call\":{}"), -ENOTSUP, "\"function_call\" in a message"},
        {ANSWERED(CALL("\"arguments\":{\"a\":1}}")), -EBADMSG, "no text of arguments"},
        {ANSWERED(CALL("\"arguments\":\"{}\"},\"type\":\"custom\"")), -ENOTSUP, "\"custom\""},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"function\",\"content\":\"x\"}]}", -EBADMSG,
         "a role is none of"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"x\"}]}", -EBADMSG, "a role is none of"},
        {"{\"messages\":[]}", -EBADMSG, "names no model"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct translation *t = NULL;
        struct error err = ERROR_INIT;
        int r = create(cases[i].body, "{\"top_p\":1}", &t, &err);
        translation_destroy(t);
        if (r != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%s: %d, %s", cases[i].body, r, err.text);
    }
}

static bool gives(struct span bytes, const char *part)
{
    return span_find(bytes, span_of(part)) >= 0;
}

#define USAGE "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}"

// What it had used up by the time it broke is not what it used up.
static void the_usage_of_a_broken_stream_is_not_told(void **state)
{
    struct span bytes;
    struct translation *t = begin(true);
    const char *event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]," USAGE "}\n\n";
    assert_null(translation_feed(t, span_of(event), &bytes));
    assert_true(gives(bytes, "\"content\":\"a\""));
    assert_non_null(translation_feed(t, span_of("data: {\"error\":\"x\"}\n\n"), &bytes));
    assert_false(gives(bytes, "usage"));
    translation_destroy(t);

    t = begin(true);
    assert_null(translation_feed(t, span_of(event), &bytes));
    assert_int_equal(translation_end(t, &bytes)->kind, CHAT_INTERRUPTED);
    assert_false(gives(bytes, "usage"));
    translation_destroy(t);

    t = begin(true); // it has ended well, and is paid
    event = "data: {\"choices\":[{\"finish_reason\":\"length\"}]," USAGE "}\n\ndata: [DONE]\n\n";
    assert_null(translation_feed(t, span_of(event), &bytes));
    assert_int_equal(translation_end(t, &bytes)->kind, CHAT_EMPTY);
    assert_true(gives(bytes, "\"prompt_tokens\":7"));
    translation_destroy(t);
}

// Not told before it is whole, but the server is not silent meanwhile.
static void a_tool_call_in_the_making_is_said(void **state)
{
    struct span bytes;
    struct translation *t = begin(true);
    size_t before = translation_bytes(t);
    const char *event =
        "data: {\"model\":\"real\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
        "\"id\":\"c\",\"sig\":\"s\",\"function\":{\"name\":\"f\",\"arguments\":\" \"}}]}}]}\n\n";
    assert_null(translation_model(t));
    assert_null(translation_feed(t, span_of("data: {\"choices\":[{\"delta\":{}}]}\n\n"), &bytes));
    assert_int_equal(translation_said(t), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_null(translation_feed(t, span_of(event), &bytes));
        assert_int_equal(bytes.len, 0);
        assert_int_equal(translation_said(t), i);
    }
    assert_true(translation_bytes(t) >= before + 3 * strlen(event));
    assert_string_equal(translation_model(t), "real");
    assert_null(translation_feed(t, span_of("data: [DONE]\n\n"), &bytes));
    assert_null(translation_end(t, &bytes));
    assert_true(gives(bytes, "\"sig\":\"s\"") && gives(bytes, "\"model\":\"real\""));
    assert_string_equal(translation_model(t), "real");
    translation_destroy(t);
}

// Pauses and the frames around a text are not kept, and the request is no part of the answer.
static void only_what_is_kept_counts(void **state)
{
    enum { LARGE = 1 << 20, SMALL = 64 * 1024, EVENTS = 4096 };
    struct span bytes;
    BUF_AUTO body = BUF_INIT(2 * LARGE);
    buf_append_text(&body, "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                           "\"content\":\"");
    for (int i = 0; i < LARGE; i++)
        buf_append_char(&body, 'x');
    buf_append_text(&body, "\"}]}");
    struct translation *t;
    assert_int_equal(create(buf_text(&body), NULL, &t, NULL), 0);
    translation_begin(t, span_of("text/event-stream"));
    for (int i = 0; i < EVENTS; i++) {
        assert_null(
            translation_feed(t, span_of(": still at it, and has been for a while\n\n"), &bytes));
        assert_null(translation_feed(
            t, span_of("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"), &bytes));
    }
    assert_true(translation_bytes(t) >= EVENTS);
    assert_true(translation_bytes(t) < SMALL);
    translation_destroy(t);
}

// Half of an answer is none.
static void an_answer_that_does_not_fit_fails(void **state)
{
    enum { EVENT = 1 << 20, EVENTS = 5 };
    BUF_AUTO stream = BUF_INIT((size_t)EVENTS * 8 * EVENT);
    struct span bytes;
    struct translation *t = begin(true);
    for (int i = 0; i < EVENTS; i++) {
        buf_append_text(&stream, "data: {\"choices\":[{\"delta\":{\"content\":\"");
        for (int n = 0; n < EVENT; n++)
            buf_append_text(&stream, "\\u0001");
        buf_append_text(&stream, "\"}}]}\n\n");
    }
    const struct chat_failure *failure = translation_feed(t, buf_span(&stream), &bytes);
    assert_non_null(failure);
    assert_int_equal(failure->kind, CHAT_TOO_LARGE);
    assert_int_equal(bytes.len, 0);
    translation_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_a_place_arrives),
        cmocka_unit_test(what_has_no_place_is_refused),
        cmocka_unit_test(the_usage_of_a_broken_stream_is_not_told),
        cmocka_unit_test(a_tool_call_in_the_making_is_said),
        cmocka_unit_test(only_what_is_kept_counts),
        cmocka_unit_test(an_answer_that_does_not_fit_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
