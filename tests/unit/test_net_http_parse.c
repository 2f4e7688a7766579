// links: net/http_parse.c net/http_field.c net/http_chunked.c base/span.c
//
// The request's head and its chunks: what is taken, what is refused, and that it makes no
// difference in which pieces the bytes come.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/http_chunked.h"
#include "net/http_parse.h"

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: x\r\n"

// Whole, and then byte by byte; both must agree.
static ssize_t parse(struct http_parse *ret_parse, struct span head)
{
    struct http_parse slow = {0};
    ssize_t r = 0;
    *ret_parse = (struct http_parse){0};
    ssize_t whole = http_parse_head(ret_parse, head);
    for (size_t len = 1; len <= head.len && r == 0; len++) {
        char *exact = malloc(len); // it may lie elsewhere each time
        memcpy(exact, head.data, len);
        r = http_parse_head(&slow, span_make(exact, len));
        free(exact);
    }
    assert_int_equal(r, whole);
    assert_int_equal(slow.refusal, ret_parse->refusal);
    assert_int_equal(slow.content_length, ret_parse->content_length);
    return whole;
}

static struct http_parse good(const char *head)
{
    struct http_parse p;
    ssize_t r = parse(&p, span_of(head));
    if (r != (ssize_t)strlen(head))
        fail_msg("%zd (%u) for: %s", r, p.refusal, head);
    return p;
}

static void heads_that_are_fine(void **state)
{
    (void)state;
    struct http_parse p = good("POST /a?b=c HTTP/1.1\r\n" HOST "content-LENGTH:\t12 \r\n\r\n");
    assert_int_equal(p.content_length, 12);
    assert_true(p.has_length && !p.is_chunked && !p.is_1_0 && !p.says_close);
    assert_int_equal(p.method_len, 4);
    assert_int_equal(p.target_len, 6);
    p = good("\r\n" LINE HOST "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n");
    assert_true(p.is_chunked && p.expects_continue && !p.expects_more);
    assert_int_equal(p.method_at, 2);
    p = good(LINE HOST "Connection: foo, Close\r\nX:\r\nY: \xc3\xa4\x80\r\n\r\n");
    assert_true(p.says_close);
    assert_true(good("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").says_keep_alive);
    assert_true(good("GET / HTTP/1.0\r\n\r\n").is_1_0);
    assert_false(good("GET / HTTP/1.9\r\nHost:\r\n\r\n").is_1_0);
    assert_true(good(LINE HOST "Expect: tea\r\n\r\n").expects_more);
    good("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    good("GET http://a.b:80/c?d HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    good("BREW /pot HTTP/1.1\r\n" HOST "\r\n");
}

static void heads_that_are_not_whole(void **state)
{
    (void)state;
    static const char *const heads[] = {"", "G", "\r", LINE, LINE HOST, LINE HOST "\r"};
    struct http_parse p;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        assert_int_equal(parse(&p, span_of(heads[i])), 0);
}

static const struct {
    unsigned status;
    const char *head;
} bad_heads[] = {
    // Two lengths, or a length beside chunks: two readers, two ends of the request.
    {400, LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {400, LINE HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
    {400, LINE HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
    {400, LINE HOST "Content-Length: 5, 5\r\n\r\n"},
    {400, LINE HOST "Content-Length: +5\r\n\r\n"},
    {400, LINE HOST "Content-Length: -1\r\n\r\n"},
    {400, LINE HOST "Content-Length: 0x5\r\n\r\n"},
    {400, LINE HOST "Content-Length: 5 5\r\n\r\n"},
    {400, LINE HOST "Content-Length:\r\n\r\n"},
    {400, LINE HOST "Content-Length: 18446744073709551616\r\n\r\n"},
    {400, LINE HOST "Content-Length: 9223372036854775808\r\n\r\n"},
    {400, LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, LINE HOST "Transfer-Encoding: identity\r\n\r\n"},
    {501, LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {501, LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"},
    {501, LINE HOST "Transfer-Encoding: xchunked\r\n\r\n"},
    {400, LINE HOST "Transfer-Encoding:\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
    {400, LINE HOST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n"},
    // Names and line ends.
    {400, LINE HOST "Content-Length : 5\r\n\r\n"},
    {400, LINE HOST "Transfer-Encoding\t: chunked\r\n\r\n"},
    {400, LINE HOST "X: a\r\n b\r\n\r\n"},
    {400, LINE " " HOST "\r\n"},
    {400, LINE HOST "X\r\n\r\n"},
    {400, LINE HOST ": x\r\n\r\n"},
    {400, LINE HOST "X\xc3: x\r\n\r\n"},
    {400, LINE HOST "X: a\rb\r\n\r\n"},
    {400, LINE HOST "X: a\nY: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\nHost: x\n\n"},
    {400, LINE HOST "\n"},
    {400, "\n" LINE HOST "\r\n"},
    {400, "\r\n\r\n" LINE HOST "\r\n"},
    {400, LINE HOST "X: \x01\r\n\r\n"},
    {400, LINE HOST "X: \x7f\r\n\r\n"},
    // The request line.
    {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
    {400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"},
    {400, " GET / HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /a b HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET / http/1.1\r\n" HOST "\r\n"},
    {400, "GET / HTTP/11\r\n" HOST "\r\n"},
    {400, "GET / HTTP/1.10\r\n" HOST "\r\n"},
    {400, "GET /\r\n" HOST "\r\n"},
    {400, "GET\r\n\r\n"},
    {400, "G(T / HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET x HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET ftp://x/ HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET http:// HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET http:///a HTTP/1.1\r\n" HOST "\r\n"},
    {400, "GET http://?a HTTP/1.1\r\n" HOST "\r\n"},
    {501, "CONNECT x:443 HTTP/1.1\r\n" HOST "\r\n"},
    {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\n"},
    {505, "GET / HTTP/0.9\r\n\r\n"},
    {400, "\x16\x03\x01\x02\r\n"}, // TLS
    // Host.
    {400, LINE "\r\n"},
    {400, LINE HOST HOST "\r\n"},
    {400, LINE "Host: a b\r\n\r\n"},
    {400, LINE "Host: a/b\r\n\r\n"},
    {400, LINE "Host: u@h\r\n\r\n"},
    {400, LINE "Host: a,b\r\n\r\n"},
};

static void heads_that_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_heads); i++) {
        struct http_parse p;
        ssize_t r = parse(&p, span_of(bad_heads[i].head));
        if (r != -EBADMSG || p.refusal != bad_heads[i].status)
            fail_msg("%zd, %u for: %s", r, p.refusal, bad_heads[i].head);
    }
    struct http_parse p;
    assert_int_equal(parse(&p, SPAN_LITERAL(LINE HOST "X: a\0b\r\n\r\n")), -EBADMSG);
    assert_int_equal(parse(&p, SPAN_LITERAL("GET /\0 HTTP/1.1\r\n" HOST "\r\n")), -EBADMSG);
    assert_int_equal(parse(&p, SPAN_LITERAL(LINE "Ho\0st: x\r\n\r\n")), -EBADMSG);
}

static void what_follows_is_not_touched(void **state)
{
    (void)state;
    struct http_parse p = {0};
    static const char two[] = LINE HOST "\r\n" LINE HOST "\n\n\n";
    assert_int_equal(http_parse_head(&p, SPAN_LITERAL(two)), (sizeof LINE HOST "\r\n") - 1);
}

static void fields_one_by_one(void **state)
{
    (void)state;
    static const char head[] = LINE HOST "A:1\r\nbb: \t2 3 \r\nC:\r\n\r\n";
    struct http_parse p = good(head);
    struct span rest = span_skip(SPAN_LITERAL(head), p.fields_at), name, value;
    static const char *const wanted[][2] = {{"Host", "x"}, {"A", "1"}, {"bb", "2 3"}, {"C", ""}};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_true(http_parse_field(&rest, &name, &value));
        assert_true(span_is(name, wanted[i][0]));
        assert_true(span_is(value, wanted[i][1]));
    }
    assert_false(http_parse_field(&rest, &name, &value));
}

static void paths_and_queries(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"/a?b", "/a", "b"},
        {"/a??", "/a", "?"},
        {"http://h?x=/y", "/", "x=/y"},
        {"HTTPS://h:1/a//b?", "/a//b", ""},
        {"http://h", "/", NULL},
        {"/http://x/", "/http://x/", NULL},
        {"*", "*", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span query = http_parse_query(span_of(cases[i][0]));
        assert_true(span_is(http_parse_path(span_of(cases[i][0])), cases[i][1]));
        assert_int_equal(query.data == NULL, cases[i][2] == NULL);
        assert_true(!cases[i][2] || span_is(query, cases[i][2]));
    }
}

static void decode(const char *text, bool form, const char *wanted, bool wanted_broken)
{
    char out[100];
    bool broken = false;
    size_t len = http_parse_decode(span_of(text), form, out, &broken);
    assert_true(span_is(span_make(out, len), wanted));
    assert_int_equal(broken, wanted_broken);
}

static void escapes(void **state)
{
    (void)state;
    decode("a%20b%2Fc%2f+", false, "a b/c/+", false);
    decode("a+b%2B", true, "a b+", false);
    decode("%", false, "%", true);
    decode("%4", false, "%4", true);
    decode("%zz%41", false, "%zzA", true);
    decode("%41%", false, "A%", true);
    char out[4];
    bool broken = false;
    assert_int_equal(http_parse_decode(SPAN_LITERAL("%00"), false, out, &broken), 1);
    assert_true(broken);
}

enum { MORE = 0, END = 1 };

// Returns the outcome; what is left and the data are appended to `out` with a | between.
static int chunks_in_steps(struct span input, size_t step, char *out, size_t room)
{
    struct http_chunked chunked = {.strict = true};
    int r = MORE;
    size_t len = 0;
    while (input.len && r == MORE) {
        size_t n = input.len < step ? input.len : step, used, decoded;
        char *exact = malloc(n);
        memcpy(exact, input.data, n);
        r = http_chunked_decode(&chunked, exact, n, &used, &decoded);
        assert_true(len + decoded < room);
        memcpy(out + len, exact, decoded);
        len += decoded;
        input = span_skip(input, used);
        free(exact);
    }
    snprintf(out + len, room - len, "|%.*s", (int)input.len, input.len ? input.data : "");
    return r;
}

static int chunks(const char *text, char *out, size_t room)
{
    static const size_t steps[] = {1, 2, 3, 5, 1000};
    char other[1000];
    int first = chunks_in_steps(span_of(text), 1000, out, room);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        assert_int_equal(chunks_in_steps(span_of(text), steps[i], other, sizeof other), first);
        if (first >= 0)
            assert_string_equal(out, other);
    }
    return first;
}

static void bodies_in_chunks(void **state)
{
    (void)state;
    static const struct {
        int outcome;
        const char *text, *out;
    } cases[] = {
        {END, "0\r\n\r\n", "|"},
        {END, "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\nGET", "abc0123456789|GET"},
        {END, "1;x=\"y\"\r\na\r\n0;z\r\nT: 1\r\nU: 2\r\n\r\n", "a|"},
        {END, "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n|"},
        {MORE, "5\r\nab", "ab|"},
        {MORE, "0\r\n", "|"},
        {-EBADMSG, "\r\n", NULL},
        {-EBADMSG, ";\r\n", NULL},
        {-EBADMSG, "g\r\n", NULL},
        {-EBADMSG, "0x5\r\nabcde", NULL},
        {-EBADMSG, "-1\r\n", NULL},
        {-EBADMSG, "+1\r\na\r\n", NULL},
        {-EBADMSG, " 1\r\na\r\n", NULL},
        {-EBADMSG, "1 \r\na\r\n", NULL},
        {-EBADMSG, "1\na\r\n", NULL},
        {-EBADMSG, "1\r\rna", NULL},
        {-EBADMSG, "1;x\na\r\n", NULL},
        {-EBADMSG, "1;x\ry\r\na", NULL},
        {-EBADMSG, "1\r\nab\r\n", NULL},
        {-EBADMSG, "1\r\na\n0\r\n", NULL},
        {-EBADMSG, "1\r\na\r0\r\n", NULL},
        {-EBADMSG, "0\r\nT: a\nb\r\n\r\n", NULL},
        {-EBADMSG, "0\r\n T: a\r\n\r\n", NULL},
        {-EBADMSG, "0\r\nGET / HTTP/1.1\r\n\r\n", NULL},
        {-EBADMSG, "0\r\nT : a\r\n\r\n", NULL},
        {-EBADMSG, "0\r\n: a\r\n\r\n", NULL},
        {-EBADMSG, "0\r\nT\r\n\r\n", NULL},
        {END, "0\r\nT:\r\nU-1: a: b\r\n\r\n", "|"},
        {-EBADMSG, "0\r\n\n", NULL},
        {-EBADMSG, "10000000000000000\r\n", NULL},
        {-EBADMSG, "FFFFFFFFFFFFFFFF\r\n", NULL},
        {-EBADMSG, "1\t;x\r\na\r\n", NULL},
        {END, "0000000000000001\r\na\r\n0\r\n\r\n", "a|"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[1000];
        int r = chunks(cases[i].text, out, sizeof out);
        if (r != cases[i].outcome || (cases[i].out && strcmp(out, cases[i].out) != 0))
            fail_msg("%d, %s for: %s", r, out, cases[i].text);
    }
}

static void what_is_dropped_is_bounded(void **state)
{
    (void)state;
    static const char *const begins[] = {"1;", "0\r\nT: "};
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        struct http_chunked chunked = {.strict = true};
        char noise[1000];
        size_t used, decoded, dropped = 0, len = strlen(begins[i]);
        memcpy(noise, begins[i], len);
        int r = http_chunked_decode(&chunked, noise, len, &used, &decoded);
        memset(noise, 'n', sizeof noise);
        for (; r == MORE; dropped += sizeof noise)
            r = http_chunked_decode(&chunked, noise, sizeof noise, &used, &decoded);
        assert_int_equal(r, -EBADMSG);
        assert_true(dropped <= HTTP_CHUNK_TRAILER_MAX + sizeof noise);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_are_fine),
        cmocka_unit_test(heads_that_are_not_whole),
        cmocka_unit_test(heads_that_are_refused),
        cmocka_unit_test(what_follows_is_not_touched),
        cmocka_unit_test(fields_one_by_one),
        cmocka_unit_test(paths_and_queries),
        cmocka_unit_test(escapes),
        cmocka_unit_test(bodies_in_chunks),
        cmocka_unit_test(what_is_dropped_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
