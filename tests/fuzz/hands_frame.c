#include "sandbox/hands_frame.h"

#include <string.h>

#include "fuzz.h"

// What one side may send the other: frames, one behind another. Whatever is read is within bounds,
// and becomes the same bytes again or the same values.
enum { OUT_MAX = 2 * HANDS_REQUEST_MAX };

static size_t count(const char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    return count;
}

static void require_same(const char *const *one, const char *const *other)
{
    REQUIRE(count(one) == count(other));
    for (size_t i = 0; one[i]; i++)
        REQUIRE(strcmp(one[i], other[i]) == 0);
}

static void check_request(struct span bytes)
{
    BUF_AUTO out = BUF_INIT(OUT_MAX);
    struct hands_request request = {0}, again = {0};
    struct hands_frame frame;
    if (hands_request_read(bytes, &request) < 0)
        return;
    REQUIRE(count(request.argv) > 0 && count(request.argv) <= HANDS_LIST_MAX);
    REQUIRE(count(request.environment) <= HANDS_LIST_MAX);
    REQUIRE(count(request.read) <= HANDS_PATHS_MAX && count(request.write) <= HANDS_PATHS_MAX);
    REQUIRE(request.memory >= 0 && request.tasks >= 0);
    // Numbers may have been written with zeros before them, and be shorter now.
    REQUIRE(hands_request_write(&out, &request));
    REQUIRE(hands_frame_read(buf_span(&out), &frame) == 1 && frame.kind == HANDS_REQUEST);
    REQUIRE(hands_request_read(frame.bytes, &again) == 0);
    REQUIRE(again.memory == request.memory && again.tmp == request.tmp);
    REQUIRE(strcmp(again.directory, request.directory) == 0);
    require_same(again.argv, request.argv);
    require_same(again.environment, request.environment);
    require_same(again.read, request.read);
    require_same(again.write, request.write);
    hands_request_finish(&again);
    hands_request_finish(&request);
}

static void check_end(struct span bytes)
{
    BUF_AUTO out = BUF_INIT(OUT_MAX);
    struct hands_end end, again;
    struct hands_frame frame;
    if (hands_end_read(bytes, &end) < 0)
        return;
    REQUIRE(end.failure <= 0 && span_printable(span_of(end.text)) == strlen(end.text));
    hands_end_write(&out, &end);
    REQUIRE(hands_frame_read(buf_span(&out), &frame) == 1 && frame.kind == HANDS_END);
    REQUIRE(hands_end_read(frame.bytes, &again) == 0);
    REQUIRE(again.status == end.status && again.failure == end.failure);
    REQUIRE(strcmp(again.text, end.text) == 0);
}

static void check_hello(struct span bytes)
{
    struct hands_hello hello;
    if (hands_hello_read(bytes, &hello) == 0)
        REQUIRE(hello.memory >= 0 && isolation_name(hello.isolation));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make(data, size);
    struct hands_frame frame;
    while (hands_frame_read(rest, &frame) > 0) {
        BUF_AUTO out = BUF_INIT(OUT_MAX);
        size_t len = HANDS_HEADER + frame.bytes.len;
        REQUIRE(len <= rest.len);
        hands_frame_write(&out, frame.kind, frame.bytes);
        REQUIRE(span_equal(buf_span(&out), span_make(rest.data, len)));
        if (frame.kind == HANDS_REQUEST)
            check_request(frame.bytes);
        else if (frame.kind == HANDS_END)
            check_end(frame.bytes);
        else if (frame.kind == HANDS_HELLO)
            check_hello(frame.bytes);
        rest = span_skip(rest, len);
    }
    return 0;
}
