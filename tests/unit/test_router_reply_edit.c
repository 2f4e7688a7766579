#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "router/wire/pieces.h"
#include "router/wire/reply_edit.h"

static void writes_errors(void **state)
{
    BUF_AUTO out = BUF_INIT(1 << 20);
    struct error_body error = {"RateLimitError", SPAN_LITERAL("slow \"down\""), "throttling_error",
                               NULL, 429};
    assert_true(error_body_write(&out, &error));
    assert_string_equal(buf_text(&out),
                        "{\"error\":{\"message\":\"litellm.RateLimitError: slow \\\"down\\\"\","
                        "\"type\":\"throttling_error\",\"param\":null,\"code\":\"429\"}}");
    buf_clear(&out);
    error = (struct error_body){NULL, SPAN_LITERAL("m"), NULL, "model", 400};
    assert_true(error_body_write(&out, &error));
    assert_string_equal(buf_text(&out), "{\"error\":{\"message\":\"m\",\"type\":null,"
                                        "\"param\":\"model\",\"code\":\"400\"}}");
    buf_clear(&out); // from a proxy like this one behind us
    error = (struct error_body){"Timeout", SPAN_LITERAL("litellm.Timeout: x"), "None", "None", 408};
    assert_true(error_body_write(&out, &error));
    assert_non_null(strstr(buf_text(&out), "\"message\":\"litellm.Timeout: x\",\"type\":\"None\""));
}

static void bounds_errors(void **state)
{
    BUF_AUTO out = BUF_INIT(1 << 20), small = BUF_INIT(40);
    char *text = mem_alloc(2 * ERROR_BODY_MAX);
    for (size_t i = 0; i < 2 * ERROR_BODY_MAX; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[1] = '\xff';
    const struct error_body error = {"APIError", {text, 2 * ERROR_BODY_MAX}, NULL, NULL, 500};
    assert_true(error_body_write(&out, &error));
    assert_true(out.len < ERROR_BODY_MAX + 512 && utf8_valid(buf_span(&out)));
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, buf_span(&out), NULL), 0);

    buf_append_text(&small, "before");
    assert_false(error_body_write(&small, &error));
    assert_false(reply_edit_error(&small, &error, true));
    assert_string_equal(buf_text(&small), "before");
    free(text);
}

static void ends_streams(void **state)
{
    BUF_AUTO out = BUF_INIT(1 << 16);
    const struct error_body error = {"APIConnectionError", SPAN_LITERAL("cut"), NULL, NULL, 500};
    assert_true(reply_edit_error(&out, &error, false));
    assert_string_equal(buf_text(&out),
                        "data: {\"error\":{\"message\":\"litellm.APIConnectionError: cut\","
                        "\"type\":null,\"param\":null,\"code\":\"500\"}}\n\n");
    buf_clear(&out);
    assert_true(reply_edit_error(&out, &error, true));
    assert_true(span_starts_with(buf_span(&out), "\n\ndata: {"));
    buf_clear(&out);
    assert_string_equal(REPLY_DONE, "data: [DONE]\n\n");
    assert_true(span_starts_with(span_of(REPLY_KEEP_ALIVE), ":"));
    assert_true(span_ends_with(span_of(REPLY_KEEP_ALIVE), "\n\n"));
}

static void joins_neighbours(void **state)
{
    static const char text[] = "abcdefgh";
    struct pieces pieces = {0};
    pieces_add(&pieces, span_make(text, 2));
    pieces_add(&pieces, span_make(text + 2, 0));
    pieces_add(&pieces, span_make(text + 2, 3));
    assert_int_equal(pieces.count, 1);
    pieces_add(&pieces, span_make(text + 6, 1));
    assert_int_equal(pieces.count, 2);
    assert_int_equal(pieces.bytes, 6);
    pieces_clear(&pieces);
    assert_int_equal(pieces.count, 0);
    for (unsigned i = 0; i < 100; i++)
        pieces_add(&pieces, span_make(text + i % 2 * 4, 1));
    assert_int_equal(pieces.count, 100);
    pieces_finish(&pieces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_errors),
        cmocka_unit_test(bounds_errors),
        cmocka_unit_test(ends_streams),
        cmocka_unit_test(joins_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
