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
    }
    BUF_AUTO small = BUF_INIT(7);
    assert_false(base64_encode(SPAN_LITERAL("foob"), &small));
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rfc_4648)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
