#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/base64.h"

static void rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        BUF_AUTO out = BUF_INIT(16);
        assert_true(base64_encode(span_of(pairs[i][0]), &out));
        assert_string_equal(buf_text(&out), pairs[i][1]);
        BUF_AUTO back = BUF_INIT(16);
        assert_true(base64_decode(span_of(pairs[i][1]), &back));
        assert_string_equal(buf_text(&back), pairs[i][0]);
    }
    BUF_AUTO small = BUF_INIT(7);
    assert_false(base64_encode(SPAN_LITERAL("foob"), &small));
    assert_int_equal(small.len, 0);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const wrong[] = {"Z",        "Zg",   "Zg=",      "Zm9v=", "=",
                                        "====",     "Z===", "Zg==Zg==", "Zm 9v", "Zm-_",
                                        "Zm9v\x80", "Z=g=", "data:,x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        BUF_AUTO out = BUF_INIT(64);
        if (base64_decode(span_of(wrong[i]), &out) || out.len)
            fail_msg("%s", wrong[i]);
    }
    BUF_AUTO out = BUF_INIT(64), small = BUF_INIT(3);
    assert_true(base64_decode(SPAN_LITERAL("Zm9v\r\nYg==\n"), &out));
    assert_string_equal(buf_text(&out), "foob");
    assert_false(base64_decode(SPAN_LITERAL("Zm9vYmFy"), &small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rfc_4648),
                                       cmocka_unit_test(what_is_none_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
