#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/url.h"

static void test_parts(void **state)
{
    (void)state;
    struct url url;
    static const char text[] = "https://Api.Example_1.com:8443/v1/a%20b;c?x=[1]&y=/?#f/?";
    assert_int_equal(url_parse(span_of(text), &url, NULL), 0);
    assert_true(span_is(url.scheme, "https") && url.secure);
    assert_true(span_is(url.authority, "Api.Example_1.com:8443"));
    assert_true(span_is(url.host, "Api.Example_1.com") && !url.ipv6);
    assert_true(url.port == 8443 && url.has_port);
    assert_true(span_is(url.path, "/v1/a%20b;c"));
    assert_true(span_is(url.query, "x=[1]&y=/?"));
    assert_true(span_is(url.fragment, "f/?"));

    assert_int_equal(url_parse(SPAN_LITERAL("HTTP://h"), &url, NULL), 0);
    assert_true(url.port == 80 && !url.has_port && !url.secure);
    assert_true(span_is(url.path, "") && !url.query.data && !url.fragment.data);
    assert_int_equal(url_parse(SPAN_LITERAL("http://h?#"), &url, NULL), 0);
    assert_true(span_is(url.path, "") && span_is(url.query, "") && span_is(url.fragment, ""));

    assert_int_equal(url_parse(SPAN_LITERAL("http://[::1]:9/x"), &url, NULL), 0);
    assert_true(url.ipv6 && span_is(url.host, "::1") && url.port == 9);
    assert_true(span_is(url.authority, "[::1]:9"));
    assert_int_equal(url_parse(SPAN_LITERAL("https://[2001:db8::1.2.3.4]"), &url, NULL), 0);
    assert_true(span_is(url.host, "2001:db8::1.2.3.4") && url.port == 443);
    assert_int_equal(url_parse(SPAN_LITERAL("http://10.0.0.1./"), &url, NULL), -EINVAL);
    assert_int_equal(url_parse(SPAN_LITERAL("http://10.0.0.1/"), &url, NULL), 0);
    assert_int_equal(url_parse(SPAN_LITERAL("http://svc.default.svc.cluster.local./"), &url, NULL),
                     0);
}

static void refuses(struct span text, const char *sentence)
{
    struct url url = {.port = 77};
    struct error err = ERROR_INIT;
    if (url_parse(text, &url, &err) != -EINVAL)
        fail_msg("accepted %.*s", (int)text.len, text.data);
    assert_int_equal(url.port, 77); // untouched
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses(SPAN_ABSENT, "must begin with http://");
    refuses(SPAN_LITERAL("ftp://h/"), "must begin with http://");
    refuses(SPAN_LITERAL("http:/h/"), "must begin with http://");
    refuses(SPAN_LITERAL("//h/"), "must begin with http://");
    refuses(SPAN_LITERAL("http://"), "names no host");
    refuses(SPAN_LITERAL("http:///x"), "names no host");
    refuses(SPAN_LITERAL("http://:80/"), "names no host");
    refuses(SPAN_LITERAL("http://a@h/"), "user name or password");
    refuses(SPAN_LITERAL("http://a:b@h/"), "user name or password");
    refuses(SPAN_LITERAL("http://h@evil/"), "user name or password");
    refuses(SPAN_LITERAL("http://h /"), "character 0x20 (byte 8)");
    refuses(SPAN_LITERAL("http://h/\n"), "character 0x0a (byte 9)");
    refuses(SPAN_LITERAL("http://h/\0"), "character 0x00 (byte 9)");
    refuses(SPAN_LITERAL("http://h\\@evil/"), "character 0x5c (byte 8)");
    refuses(SPAN_LITERAL("http://h/\"<>"), "character 0x22");
    refuses(SPAN_LITERAL("http://m\xC3\xBC.de/"), "only ASCII, not byte 8");
    refuses(SPAN_LITERAL("http://h/%"), "two hexadecimal digits");
    refuses(SPAN_LITERAL("http://h/%2"), "two hexadecimal digits");
    refuses(SPAN_LITERAL("http://h/%zz"), "two hexadecimal digits");
    refuses(SPAN_LITERAL("http://h%2e/"), "not '%'");
    refuses(SPAN_LITERAL("http://h:/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://h:0/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://h:65536/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://h:80:80/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://h:+80/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://a..b/"), "a label that is empty");
    refuses(SPAN_LITERAL("http://.b/"), "a label that is empty");
    refuses(SPAN_LITERAL("http://127.1/"), "not an IPv4 address of four numbers");
    refuses(SPAN_LITERAL("http://2130706433/"), "not an IPv4 address");
    refuses(SPAN_LITERAL("http://0x7f000001/"), "not an IPv4 address");
    refuses(SPAN_LITERAL("http://1.2.3.256/"), "not an IPv4 address");
    refuses(SPAN_LITERAL("http://[::1/"), "no IPv6 address");
    refuses(SPAN_LITERAL("http://[]/"), "no IPv6 address");
    refuses(SPAN_LITERAL("http://[::1"), "no IPv6 address");
    refuses(SPAN_LITERAL("http://[fe80::1%25eth0]/"), "no IPv6 address");
    refuses(SPAN_LITERAL("http://[1.2.3.4]/"), "no IPv6 address");
    refuses(SPAN_LITERAL("http://[::1]x/"), "only a port may follow");
    refuses(SPAN_LITERAL("http://[::1]:/"), "a number from 1 to 65535");
    refuses(SPAN_LITERAL("http://h/[x]"), "%5B");
    char longest[URL_BYTES_MAX + 1];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "http://h/", 9);
    refuses(span_make(longest, sizeof longest), "at most 8192 bytes");
    assert_int_equal(url_parse(span_make(longest, URL_BYTES_MAX), &(struct url){0}, NULL), 0);
    memset(longest + 7, 'a', 400);
    refuses(span_make(longest, 400), "longer than 253 bytes");
    refuses(span_make(longest, 100), "longer than 63 bytes");
}

static void joins(const char *base, const char *path, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(256);
    assert_true(url_join_path(span_of(base), span_of(path), &out));
    assert_string_equal(buf_text(&out), wanted);
}

static void test_joining(void **state)
{
    (void)state;
    joins("https://h/v1", "chat/completions", "https://h/v1/chat/completions");
    joins("https://h/v1/", "/chat/completions", "https://h/v1/chat/completions");
    joins("https://h", "models", "https://h/models");
    joins("https://h//", "models", "https://h/models");
    joins("https://h:1/v1?api-version=2#x", "models", "https://h:1/v1/models?api-version=2");
    joins("https://h/?a=1", "m?b=2", "https://h/m?a=1&b=2");
    joins("https://h", "m?b=2", "https://h/m?b=2");
    joins("https://[::1]:8/", "", "https://[::1]:8/");
    BUF_AUTO small = BUF_INIT(20);
    assert_false(
        url_join_path(SPAN_LITERAL("https://h"), SPAN_LITERAL("chat/completions"), &small));
    assert_false(url_join_path(SPAN_LITERAL("nothing"), SPAN_LITERAL("x"), &small));
    assert_int_equal(small.len, 0);
}

static void test_percent_encoding(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(64);
    assert_true(url_encode(SPAN_LITERAL("aZ09-._~ /?&=+%\xC3\xA4\0"), &out));
    assert_string_equal(buf_text(&out), "aZ09-._~%20%2F%3F%26%3D%2B%25%C3%A4%00");
    BUF_AUTO small = BUF_INIT(5);
    assert_false(url_encode(SPAN_LITERAL("  "), &small));
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_joining),
        cmocka_unit_test(test_percent_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
