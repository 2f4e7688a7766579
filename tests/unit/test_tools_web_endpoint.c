#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/url.h"
#include "tools/web_endpoint.h"

static const struct option_pair pairs[] = {
    {"0.name", "wiki", false, 1},
    {"0.url", "https://wiki.example/api/v1", false, 2},
    {"0.methods.0", "GET", false, 3},
    {"0.methods.1", "POST", false, 3},
    {"0.headers.Authorization", "Bearer secret-of-wiki", true, 4},
    {"0.headers.X-Two", "2", true, 5},
    {"1.name", "bare", false, 6},
    {"1.url", "http://10.0.0.1:8080", false, 7},
    {"2.name", "query", false, 8},
    {"2.url", "http://h/x/?key=k", false, 9},
    {"2.methods.0", "PUT", false, 10},
    {"2.methods.1", "DELETE", false, 11},
    {"2.headers.Token", "${NOT_SET}", true, 12},
};
static const struct option_map settings = {pairs, ARRAY_LEN(pairs)};

static void found(void **state)
{
    (void)state;
    struct web_endpoint endpoint;
    assert_true(web_endpoint_find(&settings, "query", &endpoint));
    assert_int_equal(endpoint.place, 2);
    assert_true(web_endpoint_allows(&endpoint, "DELETE") && web_endpoint_allows(&endpoint, "PUT"));
    assert_false(web_endpoint_allows(&endpoint, "GET"));
    assert_true(web_endpoint_find(&settings, "wiki", &endpoint));
    assert_true(web_endpoint_allows(&endpoint, "POST"));
    assert_false(web_endpoint_allows(&endpoint, "PUT"));
    assert_false(web_endpoint_allows(&endpoint, "get"));
    assert_true(web_endpoint_find(&settings, "bare", &endpoint));
    assert_true(web_endpoint_allows(&endpoint, "GET"));
    assert_false(web_endpoint_allows(&endpoint, "POST"));
    assert_false(web_endpoint_find(&settings, "Wiki", &endpoint));
    assert_false(web_endpoint_find(&settings, "", &endpoint));
    assert_int_equal(web_endpoints_check(&settings, NULL), 0);
}

static void headers(void **state)
{
    (void)state;
    struct web_endpoint endpoint;
    struct error err = ERROR_INIT;
    char *lines[WEB_ENDPOINT_HEADERS_MAX];
    size_t count;
    web_endpoint_find(&settings, "wiki", &endpoint);
    assert_int_equal(web_endpoint_headers(&endpoint, lines, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_equal(lines[0], "Authorization: Bearer secret-of-wiki");
    assert_string_equal(lines[1], "X-Two: 2");
    while (count)
        free(lines[--count]);
    web_endpoint_find(&settings, "query", &endpoint);
    assert_int_equal(web_endpoint_headers(&endpoint, lines, &count, &err), -ENOENT);
    assert_int_equal(count, 0);
    assert_non_null(strstr(err.text, "NOT_SET"));
}

static void leads(const char *name, const char *path, const char *query, const char *to)
{
    struct web_endpoint endpoint;
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(URL_BYTES_MAX);
    assert_true(web_endpoint_find(&settings, name, &endpoint));
    int r = web_endpoint_url(&endpoint, span_of(path), span_of(query), &out, &err);
    if ((r == 0) != (to != NULL) || (to && strcmp(buf_text(&out), to) != 0))
        fail_msg("%s?%s leads to %s (%s)", path, query ? query : "", buf_text(&out), err.text);
    assert_true(r == 0 || err.text[0]);
}

static void paths(void **state)
{
    (void)state;
    leads("wiki", "", NULL, "https://wiki.example/api/v1");
    leads("wiki", "pages", NULL, "https://wiki.example/api/v1/pages");
    leads("wiki", "/pages/7/", "a=b&c=%20d", "https://wiki.example/api/v1/pages/7/?a=b&c=%20d");
    leads("wiki", "x?y=1", "z=2", "https://wiki.example/api/v1/x?y=1&z=2");
    leads("wiki", "a b/\xc3\xbc", NULL, "https://wiki.example/api/v1/a%20b/%C3%BC");
    leads("wiki", "a%20b/@x:y", NULL, "https://wiki.example/api/v1/a%20b/@x:y");
    leads("wiki", "...", NULL, "https://wiki.example/api/v1/...");
    leads("wiki", "?q", NULL, "https://wiki.example/api/v1/?q");
    leads("bare", "x", NULL, "http://10.0.0.1:8080/x");
    leads("bare", "@evil/", NULL, "http://10.0.0.1:8080/@evil/");
    leads("query", "y", "z=1", "http://h/x/y?key=k&z=1");
}

static void paths_that_lead_out(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "..",           "../x",  "a/../../x", "a/..",     "./a",       "a/./b",      "//evil",
        "a//b",         "/..",   "%2e%2e/x",  "a/%2E./x", "..%2fx",    "a%2Fb",      "a%5cb",
        "a\\..\\b",     "%252e", "a%25",      "%",        "%zz",       "a%0d%0ab",   "a\nb",
        "a%00",         "..;/x", "..;a=b/x",  "a\r",      "%2e%2e%2f", "\\\\evil/x", "//",
        "a/../../../x", "a%7f",  "..%3b/x",   "a#b\x01",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        leads("wiki", bad[i], NULL, NULL);
        leads("bare", bad[i], NULL, NULL);
    }
    leads("wiki", "x", "a#b", NULL);
    leads("wiki", "x", "a\nb", NULL);
    leads("wiki", "x?a\r", NULL, NULL);
    leads("wiki", "#x", NULL, "https://wiki.example/api/v1/%23x");
}

static void a_path_of_any_bytes(void **state)
{
    (void)state;
    struct web_endpoint endpoint;
    static const char alphabet[] = "./%\\;?#@:2eEfF5c \xc3\n";
    uint32_t seed = 7;
    assert_true(web_endpoint_find(&settings, "wiki", &endpoint));
    for (int i = 0; i < 100000; i++) {
        char path[8];
        size_t len = 0;
        for (; len < sizeof path; len++) {
            seed = seed * 1664525 + 1013904223;
            path[len] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        BUF_AUTO out = BUF_INIT(URL_BYTES_MAX);
        struct url url;
        if (web_endpoint_url(&endpoint, span_make(path, len), SPAN_ABSENT, &out, NULL) < 0)
            continue;
        assert_int_equal(url_parse(buf_span(&out), &url, NULL), 0);
        assert_true(span_is(url.authority, "wiki.example"));
        assert_true(span_starts_with(url.path, "/api/v1"));
        while (url.path.len) {
            struct span segment = span_cut(&url.path, '/');
            assert_false(span_is(segment, ".") || span_is(segment, ".."));
        }
    }
}

static void refuses(const char *name, const char *value, const char *sentence)
{
    struct option_pair bad[] = {
        {"0.name", "a", false, 1}, {"0.url", "http://h", false, 2}, {name, value, false, 3}};
    struct option_map map = {bad, 3};
    struct error err = ERROR_INIT;
    assert_int_equal(web_endpoints_check(&map, &err), -EINVAL);
    if (!strstr(err.text, sentence))
        fail_msg("%s", err.text);
}

static void mistakes(void **state)
{
    (void)state;
    refuses("1.name", "b", "number 2 (b): it has no url");
    refuses("1.url", "http://x", "number 2 (no name): it has no name");
    refuses("0.methods.0", "FETCH", "\"FETCH\" is not one of");
    refuses("0.headers.Host", "x", "\"Host\" is not a header that can be set");
    refuses("0.headers.a b", "x", "is not a header that can be set");
    struct option_pair twice[] = {{"0.name", "a", false, 1},
                                  {"0.url", "http://h", false, 2},
                                  {"1.name", "a", false, 3},
                                  {"1.url", "http://h", false, 4}};
    struct error err = ERROR_INIT;
    assert_int_equal(web_endpoints_check(&(struct option_map){twice, 4}, &err), -EINVAL);
    assert_non_null(strstr(err.text, "there are two of this name"));
    twice[3].value = "ftp://h";
    twice[2].value = "b";
    assert_int_equal(web_endpoints_check(&(struct option_map){twice, 4}, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),
        cmocka_unit_test(headers),
        cmocka_unit_test(paths),
        cmocka_unit_test(paths_that_lead_out),
        cmocka_unit_test(a_path_of_any_bytes),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
