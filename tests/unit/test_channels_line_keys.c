#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "channels/line_keys.h"
#include "codec/utf8.h"

enum { KEYS_MAX = 64 };

// What came out of one decoder.
struct found {
    struct line_keys keys;
    struct line_key list[KEYS_MAX];
    size_t count;
};

static void feed(struct found *found, struct span bytes)
{
    while (found->count < KEYS_MAX &&
           line_keys_next(&found->keys, &bytes, &found->list[found->count]))
        found->count++;
    assert_int_equal(bytes.len, 0);
}

static void inserts(const char *bytes, const char *wanted)
{
    struct found whole = {0}, pieces = {0};
    feed(&whole, span_of(bytes));
    for (size_t i = 0; bytes[i]; i++)
        feed(&pieces, span_make(bytes + i, 1));
    char text[KEYS_MAX * UTF8_BYTES_MAX];
    size_t len = 0;
    assert_int_equal(whole.count, pieces.count);
    for (size_t i = 0; i < whole.count; i++) {
        assert_int_equal(whole.list[i].command, LINE_DO_INSERT);
        assert_int_equal(pieces.list[i].command, LINE_DO_INSERT);
        assert_int_equal(whole.list[i].rune, pieces.list[i].rune);
        len += utf8_encode(whole.list[i].rune, text + len);
    }
    text[len] = '\0';
    assert_string_equal(text, wanted);
    assert_int_equal(whole.keys.pending_len, pieces.keys.pending_len);
}

static const struct {
    const char *bytes;
    enum line_command command;
} every_key[] = {
    {"\x01", LINE_DO_HOME},
    {"\033[H", LINE_DO_HOME},
    {"\033OH", LINE_DO_HOME},
    {"\033[1~", LINE_DO_HOME},
    {"\033[7~", LINE_DO_HOME},
    {"\x05", LINE_DO_END},
    {"\033[F", LINE_DO_END},
    {"\033OF", LINE_DO_END},
    {"\033[4~", LINE_DO_END},
    {"\033[8~", LINE_DO_END},
    {"\x02", LINE_DO_LEFT},
    {"\033[D", LINE_DO_LEFT},
    {"\033OD", LINE_DO_LEFT},
    {"\033[1;2D", LINE_DO_LEFT},
    {"\x06", LINE_DO_RIGHT},
    {"\033[C", LINE_DO_RIGHT},
    {"\033OC", LINE_DO_RIGHT},
    {"\033b", LINE_DO_WORD_LEFT},
    {"\033[1;5D", LINE_DO_WORD_LEFT},
    {"\033[1;3D", LINE_DO_WORD_LEFT},
    {"\033Od", LINE_DO_WORD_LEFT},
    {"\033f", LINE_DO_WORD_RIGHT},
    {"\033[1;5C", LINE_DO_WORD_RIGHT},
    {"\033[1;3C", LINE_DO_WORD_RIGHT},
    {"\033Oc", LINE_DO_WORD_RIGHT},
    {"\b", LINE_DO_DELETE_LEFT},
    {"\x7f", LINE_DO_DELETE_LEFT},
    {"\033[3~", LINE_DO_DELETE_RIGHT},
    {"\x04", LINE_DO_DELETE_OR_END},
    {"\x0b", LINE_DO_KILL_TO_END},
    {"\x15", LINE_DO_KILL_TO_START},
    {"\x17", LINE_DO_KILL_BLANK_LEFT},
    {"\033\x7f", LINE_DO_KILL_WORD_LEFT},
    {"\033\b", LINE_DO_KILL_WORD_LEFT},
    {"\033d", LINE_DO_KILL_WORD_RIGHT},
    {"\033[3;5~", LINE_DO_KILL_WORD_RIGHT},
    {"\x19", LINE_DO_YANK},
    {"\x0c", LINE_DO_CLEAR_SCREEN},
    {"\x10", LINE_DO_OLDER},
    {"\033[A", LINE_DO_OLDER},
    {"\033OA", LINE_DO_OLDER},
    {"\x0e", LINE_DO_NEWER},
    {"\033[B", LINE_DO_NEWER},
    {"\033OB", LINE_DO_NEWER},
    {"\x12", LINE_DO_SEARCH},
    {"\x03", LINE_DO_INTERRUPT},
    {"\r", LINE_DO_ENTER},
    {"\n", LINE_DO_ENTER},
    {"\r\n", LINE_DO_ENTER}, // once
    {"\033OM", LINE_DO_ENTER},
};

static void test_every_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(every_key); i++) {
        struct found found = {0};
        for (const char *byte = every_key[i].bytes; *byte; byte++)
            feed(&found, span_make(byte, 1));
        assert_int_equal(found.count, 1);
        assert_int_equal(found.list[0].command, every_key[i].command);
        assert_int_equal(found.keys.pending_len, 0);
    }
}

static void test_text_and_what_is_no_text(void **state)
{
    (void)state;
    inserts("aé€🦀", "aé€🦀");
    inserts("\xef\xbf\xbd", "\xef\xbf\xbd"); // typed, not a replacement
    inserts("a\xff\xc3"
            "b\xe2\x82\xed\xa0\x80\xc0\x80\xf5"
            "c",
            "abc");
    inserts("\xf0\x9f\xa6", "");
    inserts("\t\x1a\x1c\x1f", "");
}

static void test_unknown_sequences_are_swallowed(void **state)
{
    (void)state;
    inserts("a\033[5~\033[15~\033[[A\033[Z\033OP\033[?1;2c\033[1;2P\033x\033é\033[I\033]b", "ab");
    inserts("a\033[99999999999999999999999~\033[;;;9~\033[<0;1;1Xb", "ab");
    inserts("\033[1;\033[6~a", "a"); // an unfinished one before another
    inserts("\033\033\033[6~a", "a");
    inserts("\033[1é", "é");
}

static void test_a_control_character_ends_any_sequence(void **state)
{
    (void)state;
    static const char *const begun[] = {"\033",  "\033[",    "\033[1;5",
                                        "\033O", "\xe2\x82", "\033\xe2"};
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        struct found found = {0};
        feed(&found, span_of(begun[i]));
        feed(&found, SPAN_LITERAL("\x03\r"));
        assert_int_equal(found.count, 2);
        assert_int_equal(found.list[0].command, LINE_DO_INTERRUPT);
        assert_int_equal(found.list[1].command, LINE_DO_ENTER);
    }
}

static void test_sequences_are_bounded(void **state)
{
    (void)state;
    struct found found = {0};
    feed(&found, SPAN_LITERAL("\033["));
    for (int i = 0; i < LINE_SEQUENCE_MAX; i++)
        feed(&found, SPAN_LITERAL("1"));
    assert_true(found.count < 3);
    size_t before = found.count;
    feed(&found, SPAN_LITERAL("z"));
    assert_int_equal(found.count, before + 1);
    assert_int_equal(found.list[before].rune, 'z');
}

static void test_paste(void **state)
{
    (void)state;
    inserts("\033[200~one\r\ntwo\rthree\n\nfour\tx\x15\x04\033[31m\033[A\x7f\033[201~.",
            "one\ntwo\nthree\n\nfour\tx.");
    inserts("\033[201~a", "a");
    struct found found = {0};
    feed(&found, SPAN_LITERAL("\033[200~\x03lost\r"));
    assert_int_equal(found.count, 1);
    assert_int_equal(found.list[0].command, LINE_DO_INTERRUPT);
    feed(&found, SPAN_LITERAL("\r"));
    assert_int_equal(found.list[1].command, LINE_DO_ENTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_text_and_what_is_no_text),
        cmocka_unit_test(test_unknown_sequences_are_swallowed),
        cmocka_unit_test(test_a_control_character_ends_any_sequence),
        cmocka_unit_test(test_sequences_are_bounded),
        cmocka_unit_test(test_paste),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
