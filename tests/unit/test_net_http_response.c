// links: net/http_response.c net/http_chunked.c net/http_field.c
// links: base/buf.c base/error.c base/mem.c base/span.c
//
// Answers whole, cut into two at every byte, and byte by byte: what comes out is the same.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "net/http_response.h"

enum { BYTES_MAX = 64 * 1024 };

enum end { OPEN, COMPLETE, WRONG }; // what became of it

struct answer {
    enum end end;
    int status;
    bool keep, more; // bytes that belong to no answer
    struct buf lines, body, raw;
    bool head_told;
    struct http_response response;
    struct error err;
};

static void answer_init(struct answer *answer, bool to_head)
{
    *answer = (struct answer){
        .lines = BUF_INIT(BYTES_MAX), .body = BUF_INIT(BYTES_MAX), .raw = BUF_INIT(BYTES_MAX)};
    answer->response = (struct http_response){.to_head = to_head};
}

static void answer_finish(struct answer *answer)
{
    buf_finish(&answer->lines);
    buf_finish(&answer->body);
    buf_finish(&answer->raw);
}
#define ANSWER_AUTO CLEANUP(answer_finish) struct answer

static void feed_body(struct answer *answer)
{
    size_t used, decoded;
    int r =
        http_response_body(&answer->response, answer->raw.data, answer->raw.len, &used, &decoded);
    buf_append(&answer->body, answer->raw.data, decoded);
    buf_consume(&answer->raw, used);
    if (r < 0)
        answer->end = WRONG;
    else if (r > 0)
        answer->end = COMPLETE;
    else
        assert_int_equal(answer->raw.len, 0);
}

static void feed(struct answer *answer, struct span piece)
{
    if (answer->end != OPEN) {
        answer->more |= answer->end == COMPLETE && piece.len;
        return;
    }
    buf_append_span(&answer->raw, piece);
    while (!answer->head_told) {
        struct span lines;
        size_t len;
        int r = http_response_head(&answer->response, buf_span(&answer->raw), &len, &lines,
                                   &answer->err);
        if (r < 0)
            answer->end = WRONG;
        if (r <= 0)
            return;
        answer->status = answer->response.status;
        answer->head_told = answer->status >= 200;
        if (answer->head_told)
            buf_append_span(&answer->lines, lines);
        buf_consume(&answer->raw, len);
    }
    feed_body(answer);
    answer->keep = answer->response.keep;
    answer->more |= answer->end == COMPLETE && answer->raw.len;
}

static void check_same(const struct answer *a, const struct answer *b, struct span text, size_t at)
{
    if (a->end != b->end || a->status != b->status || a->more != b->more || a->keep != b->keep ||
        !span_equal(buf_span(&a->body), buf_span(&b->body)) ||
        !span_equal(buf_span(&a->lines), buf_span(&b->lines)))
        fail_msg("cut at %zu it is another answer: %.*s", at, (int)text.len, text.data);
}

static void run(struct answer *whole, struct span text, bool to_head)
{
    answer_init(whole, to_head);
    feed(whole, text);
    for (size_t at = 0; at <= text.len; at++) {
        ANSWER_AUTO cut;
        answer_init(&cut, to_head);
        feed(&cut, span_make(text.data, at));
        feed(&cut, span_skip(text, at));
        check_same(whole, &cut, text, at);
    }
    ANSWER_AUTO drip;
    answer_init(&drip, to_head);
    for (size_t at = 0; at < text.len; at++)
        feed(&drip, span_make(text.data + at, 1));
    check_same(whole, &drip, text, text.len);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *text, *body;
    int status;
    bool keep, more;
} complete[] = {
    {OK "Content-Length: 5\r\n\r\nhello", "hello", 200, true, false},
    {OK "content-LENGTH:5\r\n\r\nhello", "hello", 200, true, false},
    {OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, false},
    {OK "Content-Length: 5\r\n\r\nhello!", "hello", 200, true, true},
    {OK "Content-Length: 0\r\n\r\n", "", 200, true, false},
    {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "hello", 200, true, false},
    {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false},
    {"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false},
    {"HTTP/1.1 404 Nicht gefunden\r\nContent-Length: 1\r\n\r\nx", "x", 404, true, false},
    {OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", "x", 200, false, false},
    {OK "Connection: a, Close ,b\r\nContent-Length: 1\r\n\r\nx", "x", 200, false, false},
    {OK "Connection: closed\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, false, false},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", "x", 200, true,
     false},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "", 304, true, false},
    {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", 204, true, false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 3\r\n\r\n" OK
     "Content-Length: 5\r\n\r\nhello",
     "hello", 200, true, false},
    {CHUNKED "5\r\nhello\r\n0\r\n\r\n", "hello", 200, true, false},
    {CHUNKED "5\r\nhello\r\n00000\r\n\r\nHTTP", "hello", 200, true, true},
    {CHUNKED "5;a=\"b\r\n", NULL, 200, true, false},
    {CHUNKED "5 ;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: 1\r\nY: 2\r\n\r\n", "hello0123456789",
     200, true, false},
    {CHUNKED "0\r\n\r\n", "", 200, true, false},
    {OK "Transfer-Encoding: CHUNKED\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x", 200,
     false, false}, // what counts is the coding, and the connection is not trusted any more
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
     "0\r\n\r\n",
     "x", 200, false, false},
};

static void whole_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof complete / sizeof complete[0]; i++) {
        ANSWER_AUTO answer;
        run(&answer, span_of(complete[i].text), false);
        enum end end = complete[i].body ? COMPLETE : OPEN;
        if (answer.end != end || answer.status != complete[i].status ||
            answer.keep != complete[i].keep || answer.more != complete[i].more)
            fail_msg("%s\nis %d %d %d %d: %s", complete[i].text, answer.end, answer.status,
                     answer.keep, answer.more, answer.err.text);
        if (complete[i].body)
            assert_string_equal(buf_text(&answer.body), complete[i].body);
    }
}

static const char *const wrong[] = {
    "220 mail.example ESMTP\r\n",
    "H220",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.x 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 -20 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 200 O\x01K\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    OK "Content-Length: 5, 5\r\n\r\nhello",
    OK "Content-Length: +5\r\n\r\nhello",
    OK "Content-Length: -5\r\n\r\nhello",
    OK "Content-Length: 0x5\r\n\r\nhello",
    OK "Content-Length:\r\n\r\nhello",
    OK "Content-Length: 9223372036854775808\r\n\r\nhello",
    OK "Content-Length : 5\r\n\r\nhello",
    OK "Content-Length: 5\r\n X: folded\r\n\r\nhello",
    OK "NoColon\r\n\r\n",
    OK ": nameless\r\n\r\n",
    OK "X: a\rb\r\n\r\n",
    OK "X: a\x7f\r\n\r\n",
    OK "Transfer-Encoding: gzip\r\n\r\n",
    OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK "Transfer-Encoding: chunked, chunked\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK "Transfer-Encoding: identity\r\n\r\n",
    OK "Transfer-Encoding:\r\n\r\n",
    CHUNKED "xyz\r\n",
    CHUNKED "\r\n",
    CHUNKED ";a\r\n",
    CHUNKED "-1\r\n",
    CHUNKED " 5\r\nhello\r\n",
    CHUNKED "5\nhello\r\n",
    CHUNKED "5\r\nhello\n0\r\n\r\n",
    CHUNKED "5\r\nhelloo\r\n",
    CHUNKED "5\r\nhello\r\r",
    CHUNKED "0x5\r\nhello\r\n",
    CHUNKED "1000000000000000\r\n",
    CHUNKED "5;a\x01\r\nhello\r\n",
    CHUNKED "0\r\nX: 1\n\r\n",
    CHUNKED "0\r\n\rX",
};

static void what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ANSWER_AUTO answer;
        run(&answer, span_of(wrong[i]), false);
        if (answer.end != WRONG)
            fail_msg("%s\nis taken (%d, %d)", wrong[i], answer.end, answer.status);
        if (!answer.head_told)
            assert_memory_equal(answer.err.text, "it ", 3);
    }
}

// What the connection's end makes of an answer.
static void what_only_its_end_ends(void **state)
{
    (void)state;
    ANSWER_AUTO answer;
    run(&answer, span_of(OK "X: 1\r\n\r\nhello"), false);
    assert_int_equal(answer.end, OPEN);
    assert_string_equal(buf_text(&answer.body), "hello");
    assert_string_equal(buf_text(&answer.lines), "X: 1\r\n\r\n");
    assert_int_equal(answer.response.framing, HTTP_BODY_UNTIL_CLOSE);
    assert_false(answer.response.keep);

    static const char *const cut[] = {OK "X: 1\r\n", OK "Content-Length: 5\r\n\r\nhell",
                                      CHUNKED "5\r\nhello\r\n", CHUNKED "5\r\nhello\r\n0\r\n", ""};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        ANSWER_AUTO open;
        run(&open, span_of(cut[i]), false);
        assert_int_equal(open.end, OPEN);
        assert_int_not_equal(open.response.framing, HTTP_BODY_UNTIL_CLOSE);
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    static const char *const heads[] = {OK "Content-Length: 5\r\n\r\n", CHUNKED, OK "\r\n"};
    for (size_t i = 0; i < 3; i++) {
        ANSWER_AUTO answer;
        run(&answer, span_of(heads[i]), true);
        assert_int_equal(answer.end, COMPLETE);
        assert_int_equal(answer.body.len, 0);
        assert_true(answer.keep);
    }
}

static void lines_without_an_end(void **state)
{
    (void)state;
    char line[HTTP_CHUNK_TRAILER_MAX + 64];
    struct http_chunked chunked = {0};
    size_t used, decoded;
    memset(line, 'a', sizeof line);
    memcpy(line, "1;", 2);
    assert_int_equal(http_chunked_decode(&chunked, line, sizeof line, &used, &decoded), -EBADMSG);
    assert_true(used <= HTTP_CHUNK_LINE_MAX + 1);
    chunked = (struct http_chunked){0};
    memset(line, 'a', sizeof line);
    memcpy(line, "0\r\n", 3);
    assert_int_equal(http_chunked_decode(&chunked, line, sizeof line, &used, &decoded), -EBADMSG);
    assert_true(used <= HTTP_CHUNK_TRAILER_MAX + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_answers),          cmocka_unit_test(what_is_refused),
        cmocka_unit_test(what_only_its_end_ends), cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(lines_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
