#include "net/http_parse.h"

#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "net/http_chunked.h"
#include "net/http_field.h"

enum { REQUEST_BYTES_MAX = 2048 }; // feeding byte by byte is slow, and more bytes show nothing new

// As if the bytes came in pieces of `step`, each time at another place.
static ssize_t parse_in_steps(struct http_parse *parse, struct span request, size_t step)
{
    ssize_t r = 0;
    for (size_t len = step; r == 0; len += step) {
        size_t n = len < request.len ? len : request.len;
        char *exact = malloc(n ? n : 1);
        REQUIRE(exact);
        memcpy(exact, request.data, n);
        r = http_parse_head(parse, span_make(exact, n));
        free(exact);
        if (n == request.len)
            break;
    }
    return r;
}

static int decode_in_steps(struct span input, size_t step, struct buf *out, size_t *ret_left)
{
    struct http_chunked chunked = {.strict = true};
    int r = 0;
    while (input.len && r == 0) {
        size_t n = input.len < step ? input.len : step, used, decoded;
        char *exact = malloc(n);
        REQUIRE(exact);
        memcpy(exact, input.data, n);
        r = http_chunked_decode(&chunked, exact, n, &used, &decoded);
        REQUIRE(used <= n && decoded <= used && (r != 0 || used == n));
        REQUIRE(buf_append(out, exact, decoded));
        free(exact);
        input = span_skip(input, used);
    }
    *ret_left = input.len;
    return r;
}

static void check_target(const struct http_parse *parse, struct span head)
{
    char decoded[REQUEST_BYTES_MAX];
    bool broken = false;
    struct span target = span_make(head.data + parse->target_at, parse->target_len);
    struct span path = http_parse_path(target), query = http_parse_query(target);
    REQUIRE(path.len > 0 && (path.data[0] == '/' || span_is(path, "*")));
    REQUIRE(path.len + query.len <= target.len + 1);
    REQUIRE(http_parse_decode(path, false, decoded, &broken) <= path.len);
    REQUIRE(http_parse_decode(query, true, decoded, &broken) <= query.len);
    for (size_t i = 0; i < target.len; i++)
        REQUIRE((unsigned char)target.data[i] > ' ');
}

// No line of what was taken can be read in two ways.
static void check_fields(const struct http_parse *parse, struct span head)
{
    struct span rest = span_skip(head, parse->fields_at), name, value;
    unsigned lengths = 0, codings = 0, hosts = 0;
    while (http_parse_field(&rest, &name, &value)) {
        REQUIRE(http_is_token(name) && http_is_field_value(value));
        lengths += http_same(name, "Content-Length");
        codings += http_same(name, "Transfer-Encoding");
        hosts += http_same(name, "Host");
    }
    REQUIRE(span_is(rest, "\r\n"));
    REQUIRE(lengths + codings <= 1 && hosts <= 1);
    REQUIRE(parse->has_length == (lengths == 1) && parse->is_chunked == (codings == 1));
    REQUIRE(hosts == 1 || parse->is_1_0);
    REQUIRE(parse->content_length == 0 || parse->has_length);
}

static void check_bodies(struct span body)
{
    static const size_t steps[] = {1, 3, 64};
    BUF_AUTO whole = BUF_INIT(REQUEST_BYTES_MAX);
    size_t left;
    int r = decode_in_steps(body, body.len, &whole, &left);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        BUF_AUTO pieces = BUF_INIT(REQUEST_BYTES_MAX);
        size_t left_of_pieces;
        REQUIRE(decode_in_steps(body, steps[i], &pieces, &left_of_pieces) == r);
        REQUIRE(span_equal(buf_span(&pieces), buf_span(&whole)));
        REQUIRE(r < 0 || left == left_of_pieces);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span request = span_make(data, size);
    struct http_parse whole = {0};
    if (size > REQUEST_BYTES_MAX)
        return 0;
    ssize_t r = http_parse_head(&whole, request);
    const size_t steps[] = {1, 3, 64};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct http_parse pieces = {0};
        REQUIRE(parse_in_steps(&pieces, request, steps[i]) == r);
        REQUIRE(pieces.refusal == whole.refusal);
    }
    check_bodies(request);
    if (r <= 0) {
        REQUIRE((r < 0) == (whole.refusal >= 400 && whole.refusal < 600));
        return 0;
    }
    struct span head = span_make(request.data, (size_t)r);
    REQUIRE((size_t)r <= size && span_ends_with(head, "\r\n\r\n"));
    check_target(&whole, head);
    check_fields(&whole, head);
    check_bodies(span_skip(request, (size_t)r));
    return 0;
}
