//
// The text of a line, and the lines before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "channels/line_history.h"
#include "channels/line_text.h"

enum { TEXT_MAX = 64, LINES_MAX = 500 };

#define TEXT_AUTO CLEANUP(line_text_finish) struct line_text
#define HISTORY_AUTO CLEANUP(line_history_finish) struct line_history

// `wanted` has the cursor as "|".
static void is(const struct line_text *text, const char *wanted)
{
    BUF_AUTO shown = BUF_INIT(2 * TEXT_MAX);
    struct span bytes = buf_span(&text->bytes);
    buf_append(&shown, bytes.data, text->cursor);
    buf_append_char(&shown, '|');
    buf_append_span(&shown, span_skip(bytes, text->cursor));
    assert_string_equal(buf_text(&shown), wanted);
}

static void test_words(void **state)
{
    (void)state;
    TEXT_AUTO text;
    line_text_init(&text, TEXT_MAX);
    line_text_set(&text, span_of("one-two  drei.vier äöü "));
    static const char *const stops[] = {"one-two  drei.vier |äöü ", "one-two  drei.|vier äöü ",
                                        "one-two  |drei.vier äöü ", "one-|two  drei.vier äöü ",
                                        "|one-two  drei.vier äöü ", "|one-two  drei.vier äöü "};
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        text.cursor = line_text_word_left(&text);
        is(&text, stops[i]);
    }
    text.cursor = line_text_word_right(&text);
    is(&text, "one|-two  drei.vier äöü ");
    text.cursor = line_text_word_right(&text);
    is(&text, "one-two|  drei.vier äöü ");
    line_text_kill(&text, line_text_word_right(&text));
    is(&text, "one-two|.vier äöü ");
    text.cursor = text.bytes.len;
    assert_int_equal(line_text_word_right(&text), text.bytes.len);
    line_text_kill(&text, line_text_blank_left(&text));
    is(&text, "one-two.vier |");
    line_text_kill(&text, line_text_blank_left(&text));
    is(&text, "|");
    assert_true(line_text_yank(&text));
    is(&text, "one-two.vier |");
}

static void test_what_a_text_does_not_hold(void **state)
{
    (void)state;
    TEXT_AUTO text;
    line_text_init(&text, TEXT_MAX);
    line_text_set(&text, SPAN_LITERAL("\xcc\x81\xe2\x80\x8d"
                                      "a\033[\r\n\t\0\x7f\xc2\x9b"
                                      "b\xcc\x81"));
    is(&text, "a[\n\tb\xcc\x81|");
    text.cursor = line_text_left(&text);
    is(&text, "a[\n\t|b\xcc\x81");
    line_text_delete(&text, line_text_left(&text));
    is(&text, "a[\n|b\xcc\x81");
    line_text_delete(&text, line_text_right(&text));
    is(&text, "a[\n|");
    line_text_set(&text, span_of("a\u202eb\u2028c\u061cd\u200ce")); // no bidi controls; a joiner
    is(&text, "abcd\u200ce|");
}

static void test_a_full_text(void **state)
{
    (void)state;
    TEXT_AUTO text;
    line_text_init(&text, 4);
    line_text_set(&text, span_of("ab漢c"));
    is(&text, "ab|");
    assert_true(line_text_insert(&text, 'c'));
    assert_false(line_text_insert(&text, 0xe9));
    assert_true(line_text_insert(&text, 'd'));
    assert_false(line_text_insert(&text, 'e'));
    line_text_kill(&text, 0);
    is(&text, "|");
    assert_true(line_text_yank(&text));
    assert_false(line_text_yank(&text));
    is(&text, "abcd|");
}

static void test_history_is_bounded_by_lines(void **state)
{
    (void)state;
    HISTORY_AUTO history;
    line_history_init(&history, LINES_MAX);
    char line[32];
    for (int i = 0; i < LINES_MAX + 10; i++) {
        snprintf(line, sizeof line, "line %d", i);
        line_history_add(&history, span_of(line));
    }
    struct span oldest = SPAN_ABSENT;
    size_t count = 0;
    for (struct span next; (next = line_history_older(&history, SPAN_LITERAL(""))).data; count++)
        oldest = next;
    assert_int_equal(count, LINES_MAX);
    assert_true(span_is(oldest, "line 10"));
}

static void test_history_is_bounded_by_bytes(void **state)
{
    (void)state;
    HISTORY_AUTO history;
    line_history_init(&history, LINES_MAX);
    enum { LARGE = LINE_HISTORY_BYTES_MAX / 4 };
    CLEANUP(mem_cleanup) char *line = mem_zalloc(LINE_HISTORY_BYTES_MAX + 2);
    memset(line, 'x', LINE_HISTORY_BYTES_MAX + 1);
    for (char c = 'a'; c <= 'f'; c++) {
        line[0] = c;
        line_history_add(&history, span_make(line, LARGE));
    }
    assert_int_equal(history.count, 4);
    assert_int_equal(history.lines[0][0], 'c');
    line_history_add(&history, SPAN_LITERAL("cut\0here"));
    assert_int_equal(history.count, 4);
    assert_string_equal(history.lines[3], "cut");
    line_history_add(&history, span_of(line)); // too large for all of it
    assert_int_equal(history.count, 4);
    line_history_add(&history, span_make(line, LINE_HISTORY_BYTES_MAX));
    assert_int_equal(history.count, 1);
    assert_int_equal(history.bytes, LINE_HISTORY_BYTES_MAX);
}

static void test_search(void **state)
{
    (void)state;
    HISTORY_AUTO history;
    line_history_init(&history, LINES_MAX);
    line_history_add(&history, span_of("deploy the relay"));
    line_history_add(&history, span_of("list files"));
    line_history_add(&history, span_of("now deploy"));
    line_history_add(&history, span_of("something"));
    assert_null(line_history_search(&history, span_of("zzz")).data);
    assert_null(line_history_newer(&history).data);
    struct span found = line_history_search(&history, span_of("dep"));
    assert_true(span_is(found, "now deploy"));
    found = line_history_search(&history, found);
    assert_true(span_is(found, "deploy the relay"));
    assert_null(line_history_search(&history, found).data);
    assert_true(span_is(line_history_newer(&history), "list files"));
    assert_true(span_is(line_history_newer(&history), "now deploy"));
    assert_true(span_is(line_history_newer(&history), "something"));
    assert_true(span_is(line_history_newer(&history), "dep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_a_text_does_not_hold),
        cmocka_unit_test(test_a_full_text),
        cmocka_unit_test(test_history_is_bounded_by_lines),
        cmocka_unit_test(test_history_is_bounded_by_bytes),
        cmocka_unit_test(test_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
