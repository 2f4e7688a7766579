#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec/utf8.h"

#define REPLACED "\xEF\xBF\xBD"

static void test_every_character_there_and_back(void **state)
{
    (void)state;
    char bytes[UTF8_BYTES_MAX];
    for (uint32_t rune = 0; rune <= UTF8_RUNE_MAX; rune++) {
        if (rune >= 0xD800 && rune <= 0xDFFF)
            continue;
        struct span text = {bytes, utf8_encode(rune, bytes)};
        uint32_t back = UINT32_MAX;
        assert_int_equal(utf8_decode(text, &back), text.len);
        assert_int_equal(back, rune);
        assert_true(utf8_valid(text));
        for (size_t cut = 1; cut < text.len; cut++) {
            struct span head = {bytes, cut};
            assert_int_equal(utf8_incomplete_tail(head), cut);
            assert_int_equal(utf8_decode(head, &back), cut);
            assert_int_equal(back, UTF8_INVALID);
        }
        assert_int_equal(utf8_incomplete_tail(text), 0);
    }
    assert_int_equal(utf8_encode(0xD800, bytes), 3);
    assert_memory_equal(bytes, REPLACED, 3);
    assert_int_equal(utf8_encode(0x110000, bytes), 3);
    assert_int_equal(utf8_decode(SPAN_ABSENT, &(uint32_t){0}), 0);
}

static void sanitizes(struct span text, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(256);
    assert_true(utf8_sanitize(text, &out));
    assert_string_equal(buf_text(&out), wanted);
    assert_true(utf8_valid(buf_span(&out)));
    assert_int_equal(utf8_valid(text), span_is(text, wanted));
}

static void test_invalid_bytes(void **state)
{
    (void)state;
    sanitizes(SPAN_LITERAL(""), "");
    sanitizes(SPAN_LITERAL("plain"), "plain");
    sanitizes(SPAN_LITERAL("\x80"), REPLACED);
    sanitizes(SPAN_LITERAL("\xC0\xAF"), REPLACED REPLACED);              // overlong
    sanitizes(SPAN_LITERAL("\xE0\x80\xAF"), REPLACED REPLACED REPLACED); // overlong
    sanitizes(SPAN_LITERAL("\xF0\x80\x80\xAF"), REPLACED REPLACED REPLACED REPLACED);
    sanitizes(SPAN_LITERAL("\xED\xA0\x80"), REPLACED REPLACED REPLACED); // a surrogate
    sanitizes(SPAN_LITERAL("\xF4\x90\x80\x80"), REPLACED REPLACED REPLACED REPLACED);
    sanitizes(SPAN_LITERAL("\xF5\xFE\xFF"), REPLACED REPLACED REPLACED);
    sanitizes(SPAN_LITERAL("a\xF1\x80\x80\xE1\x80\xC2"
                           "b\x80"
                           "c"),
              "a" REPLACED REPLACED REPLACED "b" REPLACED "c"); // the standard's own example
    sanitizes(SPAN_LITERAL("\xE2\x82"), REPLACED);
}

static void test_sanitize_is_all_or_nothing(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(6);
    assert_true(buf_append_text(&out, "ab"));
    assert_false(utf8_sanitize(SPAN_LITERAL("x\xFFyz"), &out));
    assert_string_equal(buf_text(&out), "ab");
    buf_clear(&out);
    assert_true(utf8_sanitize(SPAN_LITERAL("x\xFFyz"), &out));
}

static void test_incomplete_tail(void **state)
{
    (void)state;
    assert_int_equal(utf8_incomplete_tail(SPAN_ABSENT), 0);
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("abc")), 0);
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("a\xF0\x9F\x98")), 3);
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("\xC3\xA4\xC3")), 1);
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("a\xED\xA0")), 0); // can become nothing
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("\xFF")), 0);
    assert_int_equal(utf8_incomplete_tail(SPAN_LITERAL("\x80\x80\x80\x80")), 0);
}

// A stream that holds its tail back never shows half a character, wherever it is cut.
static void test_split_everywhere(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z\xF0\x9F\x91\xA9";
    size_t len = sizeof text - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        char *head = malloc(cut + 1); // its own block, so that the sanitizer sees an over-read
        memcpy(head, text, cut);
        size_t held = utf8_incomplete_tail(span_make(head, cut));
        assert_true(utf8_valid(span_make(head, cut - held)));
        assert_true(utf8_valid(span_make(text + cut - held, len - cut + held)));
        assert_int_equal(utf8_valid_prefix(span_make(head, cut)), cut - held);
        free(head);
    }
}

static void test_long_texts(void **state)
{
    (void)state;
    char text[64];
    memset(text, 'a', sizeof text);
    for (size_t at = 0; at < sizeof text; at++) {
        text[at] = '\xFF';
        assert_int_equal(utf8_valid_prefix(span_make(text, sizeof text)), at);
        text[at] = 'a';
    }
    assert_true(utf8_valid(span_make(text, sizeof text)));
}

static void test_width(void **state)
{
    (void)state;
    assert_int_equal(utf8_width(SPAN_LITERAL("abc")), 3);
    assert_int_equal(utf8_width(SPAN_LITERAL("a\n\x1b\x7f")), 1);
    assert_int_equal(utf8_width(SPAN_LITERAL("e\xCC\x81")), 1); // e and a combining acute
    assert_int_equal(utf8_width(SPAN_LITERAL("\xE6\xBC\xA2\xE5\xAD\x97")), 4); // two ideographs
    assert_int_equal(utf8_width(SPAN_LITERAL("\xF0\x9F\x98\x80")), 2);
    assert_int_equal(utf8_width(SPAN_LITERAL("\xFF")), 1); // shown as U+FFFD
    static const struct {
        uint32_t rune;
        unsigned width;
    } cases[] = {
        {0xA0, 1},    {0xAD, 1},    {0x2FF, 1},   {0x300, 0},   {0x36F, 0},    {0x370, 1},
        {0x1100, 2},  {0x1160, 0},  {0x11FF, 0},  {0x200B, 0},  {0x200D, 0},   {0x2603, 1},
        {0x2614, 2},  {0x3000, 2},  {0x303F, 1},  {0x3099, 0},  {0x4DC0, 1},   {0x4E00, 2},
        {0xAC00, 2},  {0xD7A3, 2},  {0xD7A4, 1},  {0xFE0F, 0},  {0xFEFF, 0},   {0xFF01, 2},
        {0xFF61, 1},  {0xFFFD, 1},  {0x1F600, 2}, {0x1F1E6, 1}, {0x1FAE8, 2},  {0x20000, 2},
        {0x3FFFD, 2}, {0xE0100, 0}, {0xE01EF, 0}, {0xE01F0, 1}, {0x10FFFF, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (utf8_rune_width(cases[i].rune) != cases[i].width)
            fail_msg("U+%X: %u", (unsigned)cases[i].rune, utf8_rune_width(cases[i].rune));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character_there_and_back),
        cmocka_unit_test(test_invalid_bytes),
        cmocka_unit_test(test_sanitize_is_all_or_nothing),
        cmocka_unit_test(test_incomplete_tail),
        cmocka_unit_test(test_split_everywhere),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
