#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/url.h"

static void leads(const char *base, const char *reference, const char *to)
{
    BUF_AUTO out = BUF_INIT(2 * URL_BYTES_MAX);
    bool any = url_resolve(base ? span_of(base) : SPAN_ABSENT, span_of(reference), &out);
    if (any != (to != NULL) || (to && strcmp(buf_text(&out), to) != 0))
        fail_msg("%s from %s leads to %s", reference, base ? base : "nowhere", buf_text(&out));
}

// RFC 3986 §5.4, for http.
static void as_the_rfc_has_it(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http://h", "http://h/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        leads("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void what_people_write(void **state)
{
    (void)state;
    leads("https://h:8/a", "Ö b?c d|e", "https://h:8/%C3%96%20b?c%20d%7Ce");
    leads("https://h", " \t/x\n/y ", "https://h/x/y");
    leads("https://h", "x", "https://h/x");
    leads("https://h?q", "", "https://h/?q");
    leads("https://h/100%/", "50%25%zz%", NULL); // the base is no URL
    leads("https://h/", "50%25%zz%", "https://h/50%25%25zz%25");
    leads("https://h/", "\\\\evil/x", "https://h/%5C%5Cevil/x");
    leads(NULL, "HTTP://h/a/../b", "HTTP://h/b");
    leads(NULL, "https://h\\@evil/", "https://h/%5C@evil/");
    leads(NULL, "/x", NULL);
    leads(NULL, "h/x", NULL);
    leads("https://h/", "mailto:a@b", NULL);
    leads("https://h/", "javascript:x", NULL);
    leads("https://h/", "http:x", NULL);
    leads("https://h/", "//u:p@evil/", NULL);
    leads("https://h/", "http://2130706433/", NULL);
    leads("https://h/", "http://", NULL);
    leads("https://h/", "///x", NULL);
}

static void what_is_too_long(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(2 * URL_BYTES_MAX);
    static char many[URL_BYTES_MAX + 2];
    memset(many, 'x', URL_BYTES_MAX + 1);
    buf_append_text(&out, "before");
    assert_false(url_resolve(SPAN_LITERAL("http://h/"), span_of(many), &out));
    many[URL_BYTES_MAX - 4] = '\0';
    assert_false(url_resolve(SPAN_LITERAL("http://h/"), span_of(many), &out));
    assert_string_equal(buf_text(&out), "before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_rfc_has_it),
        cmocka_unit_test(what_people_write),
        cmocka_unit_test(what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
