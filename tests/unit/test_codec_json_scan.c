#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json_scan.h"

// Where the first byte behind the text is no longer ours, so that the sanitizer sees an over-read.
static char *exactly(const char *text, size_t len)
{
    char *exact = mem_alloc(len ? len : 1);
    memcpy(exact, text, len);
    return exact;
}

// The last event of a text, which is JSON_EVENT_END or JSON_EVENT_FAULT.
static enum json_event last_of(struct json_scan *scan, const char *text, size_t len)
{
    enum json_event event;
    json_scan_init(scan, span_make(text, len));
    do {
        event = json_scan_next(scan);
    } while (event != JSON_EVENT_END && event != JSON_EVENT_FAULT);
    return event;
}

static void tells_of_all_that_it_finds(void **state)
{
    static const struct {
        enum json_event event;
        enum json_type type;
        const char *key, *text;
        unsigned depth;
        bool key_escaped, escaped;
    } wanted[] = {
        {JSON_EVENT_OPEN, JSON_OBJECT, NULL, "{", 1},
        {JSON_EVENT_VALUE, JSON_NUMBER, "\"a\"", "-1.5e+3", 1},
        {JSON_EVENT_OPEN, JSON_ARRAY, "\"\\u0062\"", "[", 2, true},
        {JSON_EVENT_VALUE, JSON_STRING, NULL, "\"x\\\"]\"", 2, .escaped = true},
        {JSON_EVENT_VALUE, JSON_STRING, NULL, "\"\xff\"", 2},
        {JSON_EVENT_OPEN, JSON_OBJECT, NULL, "{", 3},
        {JSON_EVENT_CLOSE, JSON_OBJECT, NULL, "}", 2},
        {JSON_EVENT_VALUE, JSON_TRUE, NULL, "true", 2},
        {JSON_EVENT_CLOSE, JSON_ARRAY, NULL, "]", 1},
        {JSON_EVENT_VALUE, JSON_FALSE, "\"\"", "false", 1},
        {JSON_EVENT_VALUE, JSON_NULL, "\"c\"", "null", 1},
        {JSON_EVENT_CLOSE, JSON_OBJECT, NULL, "}", 0},
    };
    static const char text[] = " {\"a\" : -1.5e+3,\r\n\"\\u0062\":[ \"x\\\"]\",\"\xff\",{\t},true],"
                               "\"\":false,\"c\":null} ";
    struct json_scan scan;
    json_scan_init(&scan, span_of(text));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_int_equal(json_scan_next(&scan), wanted[i].event);
        assert_int_equal(scan.type, wanted[i].type);
        assert_int_equal(scan.depth, wanted[i].depth);
        assert_true(span_is(span_make(scan.from, (size_t)(scan.at - scan.from)), wanted[i].text));
        assert_int_equal(scan.key.data != NULL, wanted[i].key != NULL);
        if (wanted[i].key) {
            assert_true(span_is(scan.key, wanted[i].key));
            assert_int_equal(scan.key_escaped, wanted[i].key_escaped);
        }
        if (scan.type == JSON_STRING)
            assert_int_equal(scan.escaped, wanted[i].escaped);
    }
    assert_int_equal(json_scan_next(&scan), JSON_EVENT_END);
    assert_int_equal(json_scan_next(&scan), JSON_EVENT_END);
    assert_int_equal(scan.type, JSON_OBJECT);
}

static void tells_where_it_fails(void **state)
{
    static const struct {
        const char *text;
        enum json_want want;
        size_t from, at;
    } faults[] = {
        {"", JSON_WANT_VALUE, 0, 0},
        {" x", JSON_WANT_VALUE, 1, 1},
        {"]", JSON_WANT_VALUE, 0, 0},
        {"[1,tru", JSON_WANT_VALUE, 3, 6},
        {"[1,trap]", JSON_WANT_VALUE, 3, 5},
        {"[1,]", JSON_WANT_VALUE, 3, 3},
        {"{\"a\": }", JSON_WANT_VALUE, 6, 6},
        {"[ ", JSON_WANT_VALUE_OR_END, 2, 2},
        {"[nil]", JSON_WANT_VALUE_OR_END, 1, 2},
        {"[}", JSON_WANT_VALUE_OR_END, 1, 1},
        {"{", JSON_WANT_KEY_OR_END, 1, 1},
        {"{a:1}", JSON_WANT_KEY_OR_END, 1, 1},
        {"{\"a\":1,}", JSON_WANT_KEY, 7, 7},
        {"{\"a\" 1}", JSON_WANT_COLON, 5, 5},
        {"{\"a\"", JSON_WANT_COLON, 4, 4},
        {"[1 2]", JSON_WANT_COMMA_OR_END, 3, 3},
        {"[01]", JSON_WANT_COMMA_OR_END, 2, 2},
        {"{\"a\":1]", JSON_WANT_COMMA_OR_END, 6, 6},
        {"1 ,", JSON_WANT_NOTHING, 2, 2},
        {"[\"ab", JSON_WANT_STRING_END, 1, 4},
        {"{\"ab", JSON_WANT_STRING_END, 1, 4},
        {"\"a\nb\"", JSON_WANT_STRING_TEXT, 2, 2},
        {"\"a\\", JSON_WANT_ESCAPE_END, 2, 3},
        {"\"a\\x\"", JSON_WANT_ESCAPE, 2, 3},
        {"\"\\u12g4\"", JSON_WANT_HEX, 1, 5},
        {"\"\\u1", JSON_WANT_HEX, 1, 4},
        {"[-]", JSON_WANT_DIGIT, 1, 2},
        {"1.e5", JSON_WANT_DIGIT, 0, 2},
        {"1e+", JSON_WANT_DIGIT, 0, 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct json_scan scan;
        size_t len = strlen(faults[i].text);
        char *text = exactly(faults[i].text, len);
        assert_int_equal(last_of(&scan, text, len), JSON_EVENT_FAULT);
        if (scan.want != faults[i].want || (size_t)(scan.from - text) != faults[i].from ||
            (size_t)(scan.at - text) != faults[i].at)
            fail_msg("%s: %d at %zu, %zu", faults[i].text, (int)scan.want,
                     (size_t)(scan.from - text), (size_t)(scan.at - text));
        free(text);
    }
}

// A text that ends too early is wrong at its end, and nothing behind that is read.
static void says_that_a_text_was_cut(void **state)
{
    static const char text[] = "{\"a\\n\":[-1.5e-3,true,null,\"\\u00e4\\n\"],\"b\":{\"c\":false}}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct json_scan scan;
        char *cut = exactly(text, len);
        assert_int_equal(last_of(&scan, cut, len), JSON_EVENT_FAULT);
        assert_ptr_equal(scan.at, scan.end);
        free(cut);
    }
}

// Long strings are passed over in steps: nothing in them is overlooked, wherever it stands.
static void overlooks_nothing_in_long_strings(void **state)
{
    enum { LONGEST = 200 };
    char text[LONGEST + 3];
    for (size_t len = 1; len <= LONGEST; len++)
        for (size_t at = 0; at < len; at++) {
            struct json_scan scan;
            memset(text, 'x', sizeof text);
            text[0] = text[len + 1] = '"';
            char *exact = exactly(text, len + 2);
            assert_int_equal(last_of(&scan, exact, len + 2), JSON_EVENT_END);
            exact[at + 1] = '\x1f';
            assert_int_equal(last_of(&scan, exact, len + 2), JSON_EVENT_FAULT);
            assert_ptr_equal(scan.at, exact + at + 1);
            exact[at + 1] = '"';
            assert_int_equal(last_of(&scan, exact, len + 2), JSON_EVENT_FAULT);
            assert_ptr_equal(scan.at, exact + at + 2);
            exact[at + 1] = '\\';
            assert_int_equal(last_of(&scan, exact, len + 2), JSON_EVENT_FAULT);
            assert_int_equal(scan.want, at + 1 < len ? JSON_WANT_ESCAPE : JSON_WANT_STRING_END);
            free(exact);
        }
}

static void goes_no_deeper_than_it_can_tell(void **state)
{
    char text[JSON_DEPTH_MAX + 1];
    struct json_scan scan;
    memset(text, '[', sizeof text);
    assert_int_equal(last_of(&scan, text, JSON_DEPTH_MAX), JSON_EVENT_FAULT);
    assert_int_equal(scan.want, JSON_WANT_VALUE_OR_END);
    assert_int_equal(last_of(&scan, text, JSON_DEPTH_MAX + 1), JSON_EVENT_FAULT);
    assert_int_equal(scan.want, JSON_WANT_DEPTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_of_all_that_it_finds),
        cmocka_unit_test(tells_where_it_fails),
        cmocka_unit_test(says_that_a_text_was_cut),
        cmocka_unit_test(overlooks_nothing_in_long_strings),
        cmocka_unit_test(goes_no_deeper_than_it_can_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
