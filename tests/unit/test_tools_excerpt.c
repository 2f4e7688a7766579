#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "tools/excerpt.h"

static void shows(const char *text, size_t characters, size_t bytes, const char *shown)
{
    BUF_AUTO out = BUF_INIT(1000);
    bool cut = excerpt_append(span_of(text), characters, bytes, &out);
    assert_int_equal(cut, strcmp(text, shown) != 0);
    if (strcmp(buf_text(&out), shown) != 0)
        fail_msg("%s", buf_text(&out));
}

static void what_fits_is_whole(void **state)
{
    (void)state;
    shows("", 0, 0, "");
    shows("abcdefgh", 8, 8, "abcdefgh");
    shows("\xc3\xbc\xc3\xbc", 2, 4, "\xc3\xbc\xc3\xbc");
}

static void head_and_tail(void **state)
{
    (void)state;
    shows("abcdefghijkl", 8, 100, "abcdef\n\n[4 of 12 characters are left out here]\n\nkl");
    shows("abcdefghijkl", 100, 8, "abcdef\n\n[4 of 12 characters are left out here]\n\nkl");
    shows("\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", 4, 100,
          "\xc3\xbc\xc3\xbc\xc3\xbc\n\n[1 of 5 characters are left out here]\n\n\xc3\xbc");
    shows("abcdef", 0, 100, "\n\n[6 of 6 characters are left out here]\n\n");
}

// Wherever it is cut, there is no half of a character, and nothing twice.
static void any_limits(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8d"
                               "b\xf0\x9f\x8c\x8d\xe2\x82\xac\xc3\xbc";
    for (size_t characters = 0; characters < 12; characters++)
        for (size_t bytes = 0; bytes < sizeof text + 2; bytes++) {
            BUF_AUTO out = BUF_INIT(1000);
            excerpt_append(span_of(text), characters, bytes, &out);
            assert_true(utf8_valid(buf_span(&out)));
            assert_true(out.len <= sizeof text + 60);
        }
    BUF_AUTO out = BUF_INIT(1000);
    excerpt_append(SPAN_LITERAL("\x80\x80\x80\xc3"), 0, 2, &out); // none of it is UTF-8
    assert_true(out.len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_whole),
        cmocka_unit_test(head_and_tail),
        cmocka_unit_test(any_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
