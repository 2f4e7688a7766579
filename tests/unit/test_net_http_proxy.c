// links: net/http_proxy.c base/buf.c base/error.c base/mem.c base/span.c
// libraries: curl mbedcrypto
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/http_proxy.h"

static const char *environment[8]; // "name=value"

static char *read_variable(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < 8 && environment[i]; i++)
        if (strncmp(environment[i], name, len) == 0 && environment[i][len] == '=')
            return (char *)environment[i] + len + 1;
    return NULL;
}

static struct http_proxies of(const char *a, const char *b, const char *c)
{
    struct http_proxies proxies;
    environment[0] = a;
    environment[1] = b;
    environment[2] = c;
    http_proxies_init(&proxies, read_variable);
    return proxies;
}
#define PROXIES_AUTO CLEANUP(http_proxies_finish) struct http_proxies

static void nothing_is_set(void **state)
{
    (void)state;
    PROXIES_AUTO proxies = of(NULL, NULL, NULL);
    assert_null(http_proxies_find(&proxies, false, "a"));
    assert_null(http_proxies_find(&proxies, true, "a"));
    PROXIES_AUTO empty = of("http_proxy=", "https_proxy=", "HTTP_PROXY=http://x:1");
    assert_null(http_proxies_find(&empty, false, "a"));
    assert_null(http_proxies_find(&empty, true, "a"));
}

static void one_for_each(void **state)
{
    (void)state;
    PROXIES_AUTO proxies = of("http_proxy=http://one:1", "HTTPS_PROXY=two:2/", "ALL_PROXY=three");
    const struct http_proxy *proxy = http_proxies_find(&proxies, false, "a");
    assert_string_equal(proxy->host, "one");
    assert_int_equal(proxy->port, 1);
    assert_string_equal(proxy->authority, "one:1");
    assert_null(proxy->authorization);
    proxy = http_proxies_find(&proxies, true, "a");
    assert_string_equal(proxy->host, "two");
    assert_int_equal(proxy->port, 2);
    assert_string_equal(proxy->variable, "HTTPS_PROXY");
}

static void one_for_all(void **state)
{
    (void)state;
    PROXIES_AUTO proxies = of("all_proxy=HTTP://[::1]", "https_proxy=", "ALL_PROXY=no");
    for (int secure = 0; secure < 2; secure++) {
        const struct http_proxy *proxy = http_proxies_find(&proxies, secure, "a");
        assert_string_equal(proxy->host, "::1");
        assert_int_equal(proxy->port, HTTP_PROXY_PORT);
    }
}

static void credentials(void **state)
{
    (void)state;
    PROXIES_AUTO proxies = of("http_proxy=http://Aladdin:open%20sesame@h:1", NULL, NULL);
    const struct http_proxy *proxy = http_proxies_find(&proxies, false, "a");
    assert_string_equal(proxy->authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_string_equal(proxy->authority, "h:1"); // for messages
}

static void every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *value, *url, *user, *password;
        bool http, secure;
    } cases[] = {
        {"all_proxy=h:1", "http://h:1", NULL, NULL, true, false},
        {"all_proxy=https://h", "https://h:443", NULL, NULL, true, true},
        {"all_proxy=socks5://h", "socks5://h:1080", NULL, NULL, false, false},
        {"all_proxy=SOCKS5h://[::1]:9/", "socks5h://[::1]:9", NULL, NULL, false, false},
        {"all_proxy=socks4a://me@h:1", "socks4a://h:1", "me", NULL, false, false},
        {"all_proxy=socks5h://m%40e:p%3Aq@h:1", "socks5h://h:1", "m@e", "p:q", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        PROXIES_AUTO proxies = of(cases[i].value, NULL, NULL);
        const struct http_proxy *proxy = http_proxies_find(&proxies, true, "a");
        assert_string_equal(proxy->url, cases[i].url);
        assert_int_equal(proxy->http, cases[i].http);
        assert_int_equal(proxy->secure, cases[i].secure);
        assert_string_equal(proxy->user ? proxy->user : "", cases[i].user ? cases[i].user : "");
        assert_string_equal(proxy->password ? proxy->password : "",
                            cases[i].password ? cases[i].password : "");
    }
}

static void what_is_no_proxy(void **state)
{
    (void)state;
    static const char *const values[] = {
        "all_proxy=ftp://h:1", "all_proxy=socks6://h:1", "all_proxy=http://",   "all_proxy=a b",
        "all_proxy=h:99999",   "all_proxy=h:0",          "all_proxy=socks5h://"};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        PROXIES_AUTO proxies = of(values[i], NULL, NULL);
        const struct http_proxy *proxy = http_proxies_find(&proxies, true, "a");
        assert_non_null(proxy); // never passed over
        assert_null(proxy->url);
        assert_string_equal(proxy->variable, "all_proxy");
    }
}

static void hosts_that_are_spared(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        bool spared;
    } cases[] = {
        {"*", "a", true},
        {"*,b", "a", false}, // as curl has it
        {"", "a", false},
        {"example.com", "example.com", true},
        {"example.com", "EXAMPLE.com", true},
        {"example.com", "www.example.com", true},
        {"example.com.", "www.example.com", true},
        {"example.com", "www.example.com.", true},
        {".example.com", "example.com", true},
        {".example.com", "www.example.com", true},
        {"example.com", "notexample.com", false},
        {"www.example.com", "example.com", false},
        {"a b,c\td", "d", true},
        {"a,, b", "b", true},
        {"a,b", "c", false},
        {".", "a", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.33", false},
        {"2.3", "10.1.2.3", false}, // an address has no end that counts
        {"10.0.0.0/8", "10.200.1.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.43.128.0/17", "10.43.127.1", false},
        {"10.43.128.0/17", "10.43.200.1", true},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"10.0.0.0/33", "10.0.0.0", false},
        {"10.0.0.0/x", "10.0.0.0", false},
        {"10.0.0.0/8", "ten.example", false},
        {"::1", "::1", true},
        {"[::1]", "::1", true},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "10.0.0.1", false},
        {"localhost,127.0.0.0/8", "127.0.0.1", true},
        {"localhost,127.0.0.0/8", "localhost", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char none[64];
        snprintf(none, sizeof none, "NO_PROXY=%s", cases[i].list);
        PROXIES_AUTO proxies = of("all_proxy=h", none, NULL);
        if (!http_proxies_find(&proxies, true, cases[i].host) != cases[i].spared)
            fail_msg("%s of %s", cases[i].host, cases[i].list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_set),
        cmocka_unit_test(one_for_each),
        cmocka_unit_test(one_for_all),
        cmocka_unit_test(credentials),
        cmocka_unit_test(every_kind),
        cmocka_unit_test(what_is_no_proxy),
        cmocka_unit_test(hosts_that_are_spared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
