//
// What the screen of a small terminal shows, and what is sent to it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "channels/line_editor.h"
#include "codec/utf8.h"
#include "support/terminal.h"

enum { SCREEN_MAX = 4 * 1024 * 1024 };

struct desk {
    struct terminal terminal;
    struct line_editor *editor;
    struct buf screen; // what was sent for the last keys
};

static void flush(struct desk *desk)
{
    assert_false(buf_is_full(&desk->screen));
    terminal_write(&desk->terminal, buf_span(&desk->screen));
}

static void desk_open(struct desk *desk, const char *prompt, unsigned columns)
{
    memset(desk, 0, sizeof *desk);
    desk->terminal.columns = columns;
    buf_init(&desk->screen, SCREEN_MAX);
    desk->editor = line_editor_create(prompt);
    line_editor_set_columns(desk->editor, columns, &desk->screen);
    assert_int_equal(desk->screen.len, 0);
    line_editor_begin(desk->editor, &desk->screen);
    flush(desk);
}

static void desk_close(struct desk *desk)
{
    line_editor_destroy(desk->editor);
    buf_finish(&desk->screen);
}

#define DESK_AUTO CLEANUP(desk_close) struct desk

static enum line_event press_bytes(struct desk *desk, struct span keys)
{
    buf_clear(&desk->screen);
    enum line_event event = line_editor_feed(desk->editor, &keys, &desk->screen);
    assert_int_equal(keys.len, 0);
    flush(desk);
    assert_true(event == LINE_ENTERED || !desk->terminal.crossed_the_edge);
    return event;
}

static enum line_event press(struct desk *desk, const char *keys)
{
    return press_bytes(desk, span_of(keys));
}

static void shows_(struct desk *desk, const char *wanted, unsigned column, int line)
{
    static char out[COLUMNS * CELL_BYTES];
    terminal_row(&desk->terminal, desk->terminal.row, out);
    if (strcmp(out, wanted) != 0 || desk->terminal.column != column)
        fail_msg("line %d: \"%s\" with the cursor at %u, not \"%s\" at %u", line, out,
                 desk->terminal.column, wanted, column);
}

#define shows(desk, wanted, column) shows_(desk, wanted, column, __LINE__)

static void sent_(struct desk *desk, const char *wanted, int line)
{
    if (strcmp(buf_text(&desk->screen), wanted) != 0)
        fail_msg("line %d: sent \"%s\"", line, buf_text(&desk->screen));
}

#define sent(desk, wanted) sent_(desk, wanted, __LINE__)

static void has_text_(struct desk *desk, const char *wanted, int line)
{
    struct span text = line_editor_text(desk->editor);
    if (!span_is(text, wanted))
        fail_msg("line %d: \"%.*s\"", line, (int)text.len, text.data);
}

#define has_text(desk, wanted) has_text_(desk, wanted, __LINE__)

static void test_typing_sends_the_character_alone(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    sent(&desk, "> ");
    shows(&desk, ">", 2);
    press(&desk, "a");
    sent(&desk, "a");
    press(&desk, "漢");
    sent(&desk, "漢");
    press(&desk, "\t\x1a\x1c"); // keys without a meaning
    sent(&desk, "");
    shows(&desk, "> a漢", 5);
    assert_int_equal(press(&desk, "\r"), LINE_ENTERED);
    sent(&desk, "\r\n");
    has_text(&desk, "a漢");
    shows(&desk, "", 0);
    assert_int_equal(desk.terminal.row, 1);
}

static void test_an_event_leaves_the_rest_of_the_input(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    struct span keys = SPAN_LITERAL("one\r\ntwo\n");
    assert_int_equal(line_editor_feed(desk.editor, &keys, &desk.screen), LINE_ENTERED);
    has_text(&desk, "one");
    line_editor_begin(desk.editor, &desk.screen);
    assert_int_equal(line_editor_feed(desk.editor, &keys, &desk.screen), LINE_ENTERED);
    has_text(&desk, "two");
    assert_int_equal(keys.len, 0);
}

static void test_moving_and_deleting(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "abcdef");
    press(&desk, "\033[D\033OD\x02");
    shows(&desk, "> abcdef", 5);
    press(&desk, "X");
    sent(&desk, "Xdef\r\033[6C");
    shows(&desk, "> abcXdef", 6);
    press(&desk, "\x7f\b");
    shows(&desk, "> abdef", 4);
    press(&desk, "\033[3~");
    shows(&desk, "> abef", 4);
    press(&desk, "\x06\033[C\033OC\033[C");
    shows(&desk, "> abef", 6);
    press(&desk, "\x04"); // nothing is under the cursor
    sent(&desk, "");
    assert_int_equal(press(&desk, "\x01\x04"), LINE_MORE);
    shows(&desk, "> bef", 2);
    press(&desk, "\x7f\033[D");
    sent(&desk, "");
}

static void test_killing_and_yanking(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "\x19\x0b\x15"); // nothing yet
    sent(&desk, "");
    press(&desk, "left right\033b\x0b");
    shows(&desk, "> left", 7);
    press(&desk, "\x01\x19 \x19");
    shows(&desk, "> right rightleft", 13);
    press(&desk, "\x15");
    shows(&desk, "> left", 2);
    press(&desk, "\x05\x19");
    shows(&desk, "> left right right", 18);
}

static void test_combining_marks_move_with_their_base(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "\xcc\x81"); // without a base: left out
    sent(&desk, "");
    press(&desk, "e\xcc\x81\xcc\xa3");
    shows(&desk, "> e\xcc\x81\xcc\xa3", 3);
    press(&desk, "x\033[D\033[Da");
    shows(&desk, "> ae\xcc\x81\xcc\xa3x", 3);
    press(&desk, "\033[C\x7f");
    shows(&desk, "> ax", 3);
    press(&desk, "\xcc\x88");
    shows(&desk, "> a\xcc\x88x", 3);
    press(&desk, "\x01\033[3~");
    shows(&desk, "> x", 2);
}

static void test_ends(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "half");
    assert_int_equal(press(&desk, "\x03"), LINE_INTERRUPTED);
    sent(&desk, "\r\n");
    line_editor_begin(desk.editor, &desk.screen); // nothing of it comes back
    sent(&desk, "\r\n> ");
    line_editor_begin(desk.editor, &desk.screen);
    has_text(&desk, "");
    assert_int_equal(press(&desk, "\x04"), LINE_ENDED);
    sent(&desk, "\r\n");
    buf_clear(&desk.screen);
    line_editor_begin(desk.editor, &desk.screen);
    assert_int_equal(press(&desk, "\033OM"), LINE_ENTERED); // of the keypad
    has_text(&desk, "");
}

static void test_history(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "\033[A\x0e\x12");
    sent(&desk, "");
    line_editor_remember(desk.editor, span_of("first"));
    line_editor_remember(desk.editor, span_of("second"));
    line_editor_remember(desk.editor, span_of("second"));
    line_editor_remember(desk.editor, span_of(""));
    line_editor_remember(desk.editor, SPAN_ABSENT);
    press(&desk, "unfin\033[A");
    shows(&desk, "> second", 8);
    press(&desk, "\x10");
    shows(&desk, "> first", 7);
    press(&desk, "\033OA");
    sent(&desk, "");
    press(&desk, "!\x0e");
    shows(&desk, "> second", 8);
    press(&desk, "\033OB");
    shows(&desk, "> unfin", 7);
    press(&desk, "\033[B");
    sent(&desk, "");
    press(&desk, "\x15\x10\x10");
    shows(&desk, "> first", 7); // what was done to it is not kept
    assert_int_equal(press(&desk, "\r"), LINE_ENTERED);
    has_text(&desk, "first");
}

static void test_paste(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "<\033[20");
    press(&desk, "0~one\r\ntwo\rthree\n\nfour\tx\x15\x04\033[31m\033[A\x7f\033[20");
    press(&desk, "1~>");
    shows(&desk, "> <one⏎two⏎three⏎⏎four x>", 25);
    press(&desk, "\033[D\033[D\033[D\033[D\033[D\033[D\033[D\033[D\x7f");
    shows(&desk, "> <one⏎two⏎three⏎four x>", 16 + 1 - 1);
    assert_int_equal(press(&desk, "\r"), LINE_ENTERED);
    has_text(&desk, "<one\ntwo\nthree\nfour\tx>");
    line_editor_remember(desk.editor, line_editor_text(desk.editor));
    line_editor_begin(desk.editor, &desk.screen);
    assert_int_equal(press(&desk, "\033[A\r"), LINE_ENTERED);
    has_text(&desk, "<one\ntwo\nthree\nfour\tx>");
}

static void test_what_does_not_fit_rings(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    BUF_AUTO paste = BUF_INIT(SCREEN_MAX);
    buf_append_text(&paste, "\033[200~");
    for (size_t i = 0; i < LINE_BYTES_MAX - 1; i++)
        buf_append_char(&paste, (char)('a' + i % 26));
    press_bytes(&desk, buf_span(&paste));
    assert_int_equal(desk.terminal.bells, 0);
    assert_true(desk.screen.len < 80); // drawn once
    press(&desk, "é");
    assert_int_equal(desk.terminal.bells, 1);
    press(&desk, "12345\033[201~");
    assert_int_equal(desk.terminal.bells, 2);
    assert_int_equal(line_editor_text(desk.editor).len, LINE_BYTES_MAX);
    press(&desk, "\x15\x19\x19");
    assert_int_equal(desk.terminal.bells, 3);
    assert_int_equal(press(&desk, "\r"), LINE_ENTERED);
    sent(&desk, "\r\n"); // too much to be left behind whole
    assert_int_equal(line_editor_text(desk.editor).len, LINE_BYTES_MAX);
}

static void test_long_lines_scroll(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 13); // ten for the text
    press(&desk, "0123456789");
    shows(&desk, "> 0123456789", 12);
    press(&desk, "a");
    shows(&desk, "> 6789a", 7);
    press(&desk, "b");
    sent(&desk, "b");
    press(&desk, "cdef");
    shows(&desk, "> 6789abcdef", 12);
    press(&desk, "\033[D");
    sent(&desk, "\r\033[11C");
    press(&desk, "\x01");
    shows(&desk, "> 0123456789", 2);
    press(&desk, "\x06\x06\x06\x06\x06\x06\x06\x06\x06");
    shows(&desk, "> 0123456789", 11);
    press(&desk, "\x06");
    shows(&desk, "> 56789abcde", 7);
    press(&desk, "\x02\x02\x02\x02");
    shows(&desk, "> 56789abcde", 3);
    press(&desk, "\x02");
    shows(&desk, "> 0123456789", 7);
    press(&desk, "\x05\x7f\x7f\x7f\x7f\x7f\x7f"); // it fits again
    shows(&desk, "> 0123456789", 12);
}

static void test_an_entered_line_is_left_whole(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 10);
    press(&desk, "abcdefg漢字ijk");
    press(&desk, "\r");
    sent(&desk, "\r\033[2Cabcdefg漢字ijk\r\n");
    char row[COLUMNS * CELL_BYTES];
    assert_string_equal(terminal_row(&desk.terminal, 0, row), "> abcdefg");
    assert_string_equal(terminal_row(&desk.terminal, 1, row), "漢字ijk");
    assert_int_equal(desk.terminal.row, 2);
}

static void test_wide_characters_at_the_edge(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 10); // seven for the text
    press(&desk, "漢字か");
    shows(&desk, "> 漢字か", 8);
    press(&desk, "な");
    shows(&desk, "> な", 4);
    press(&desk, "\x01");
    shows(&desk, "> 漢字か", 2); // no half of the last one
    press(&desk, "a");
    shows(&desk, "> a漢字か", 3);
    press(&desk, "\x7f\x04");
    shows(&desk, "> 字かな", 2);
    press(&desk, "\x04\x04"
                 "ab");
    shows(&desk, "> abな", 4);
}

static void test_narrow_terminals(void **state)
{
    (void)state;
    for (unsigned columns = 4; columns < 12; columns++) {
        DESK_AUTO desk;
        desk_open(&desk, "prompt", columns);
        press(&desk, "漢e\xcc\x81字🦀");
        press(&desk, "\x02\x02\x02\x02\x02\x06\x06\x06\x06\x06\x06");
        press(&desk, "\x01\x04\x05\x7f\x02x\r");
        has_text(&desk, "e\xcc\x81x字");
    }
    DESK_AUTO desk;
    desk_open(&desk, NULL, 4);
    line_editor_set_columns(desk.editor, 1, &desk.screen);
    press(&desk, "漢字");
    shows(&desk, "", 0);
}

static void test_prompts(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "\033[1;32m漢>\033[0m ", 20);
    press(&desk, "ab\033[D");
    shows(&desk, "漢> ab", 5);
    buf_clear(&desk.screen);
    line_editor_set_columns(desk.editor, 7, &desk.screen);
    flush(&desk);
    shows(&desk, "ab", 1); // too narrow for it
    buf_clear(&desk.screen);
    line_editor_set_columns(desk.editor, 8, &desk.screen);
    flush(&desk);
    shows(&desk, "漢> ab", 5);
}

static void test_a_hidden_line(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "half");
    line_editor_hide(desk.editor, &desk.screen);
    flush(&desk);
    shows(&desk, "", 0);
    buf_clear(&desk.screen);
    line_editor_set_columns(desk.editor, 30, &desk.screen);
    sent(&desk, "");
    line_editor_begin(desk.editor, &desk.screen); // nothing of it comes back
    flush(&desk);
    sent(&desk, "> ");
    assert_int_equal(press(&desk, "\x03"), LINE_INTERRUPTED);
    buf_clear(&desk.screen);
    line_editor_set_columns(desk.editor, 40, &desk.screen);
    sent(&desk, "");
}

static void test_clear_screen(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    press(&desk, "one\r");
    buf_clear(&desk.screen);
    line_editor_begin(desk.editor, &desk.screen);
    flush(&desk);
    assert_int_equal(desk.terminal.row, 1);
    press(&desk, "two\x02\x0c");
    shows(&desk, "> two", 4);
    assert_int_equal(desk.terminal.row, 0);
    assert_int_equal(desk.terminal.cells[1][0][0], 0);
}

static void test_a_full_screen_buffer_is_made_good(void **state)
{
    (void)state;
    DESK_AUTO desk;
    desk_open(&desk, "> ", 40);
    BUF_AUTO small = BUF_INIT(3);
    struct span keys = SPAN_LITERAL("abcdef");
    line_editor_feed(desk.editor, &keys, &small);
    assert_true(buf_is_full(&small));
    terminal_write(&desk.terminal, buf_span(&small));
    press(&desk, "g");
    shows(&desk, "> abcdefg", 9);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void random_key(uint32_t *seed, struct buf *out)
{
    static const char keys[] =
        "\x01|\x02|\x04|\x05|\x06|\b|\x0b|\x0c|\x0e|\x10|\x12|\x15|\x17|\x19|\x7f|\r|\n|"
        "\033b|\033f|\033d|\033\x7f|\033[A|\033[B|\033[C|\033[D|\033[H|\033[F|\033[3~|"
        "\033[1;5D|\033[1;5C|\033[20|0~|1~|\033[200~|\033[201~|\033[200~a|\033[[A|\033|\033[|"
        "\033O|a|bc d|words, words| |漢|🦀|é|e\xcc\x81|\xe2\x80\x8d|\xff|\xc2\x85|\xe6|\xbc\xa2|"
        "ﾊﾝｶｸ|한글|\xe1\x85\xa1";
    enum { KEYS = 56 };
    struct span rest = SPAN_LITERAL(keys), key;
    for (uint32_t i = next_random(seed) % KEYS + 1; i > 0; i--)
        key = span_cut(&rest, '|');
    if (next_random(seed) % 16 == 0)
        buf_append_char(out, (char)(next_random(seed) % 256));
    else
        buf_append_span(out, key);
}

// The text as a row of any length would show it.
static void append_signs(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n')
            buf_append_text(out, "⏎");
        else
            buf_append_char(out, text.data[i] == '\t' ? ' ' : text.data[i]);
    }
}

static void check_row(struct desk *desk, const char *prompt)
{
    static char row[COLUMNS * CELL_BYTES], again[COLUMNS * CELL_BYTES];
    struct span text = line_editor_text(desk->editor);
    BUF_AUTO signs = BUF_INIT(SCREEN_MAX);
    append_signs(text, &signs);
    terminal_row(&desk->terminal, desk->terminal.row, row);
    unsigned column = desk->terminal.column;
    assert_true(utf8_valid(text));
    size_t prompt_len = strncmp(row, prompt, strlen(prompt)) == 0 ? strlen(prompt) : 0;
    if (!strstr(buf_text(&signs), row + prompt_len))
        fail_msg("\"%s\" is no piece of \"%s\"", row + prompt_len, buf_text(&signs));

    buf_clear(&desk->screen);
    line_editor_set_columns(desk->editor, desk->terminal.columns, &desk->screen);
    flush(desk);
    terminal_row(&desk->terminal, desk->terminal.row, again);
    assert_string_equal(again, row); // what was changed bit by bit is what is drawn at once
    assert_int_equal(desk->terminal.column, column);
}

// The same keys in one piece give the same lines as in the pieces they were drawn for.
static void check_pieces(struct span keys, struct span lines)
{
    BUF_AUTO screen = BUF_INIT(SCREEN_MAX);
    BUF_AUTO found = BUF_INIT(SCREEN_MAX);
    struct line_editor *editor = line_editor_create("> ");
    for (enum line_event event = LINE_ENTERED; event != LINE_MORE;) {
        event = line_editor_feed(editor, &keys, &screen);
        buf_append_span(&found, line_editor_text(editor));
        buf_append_char(&found, '\0');
        if (event == LINE_ENTERED)
            line_editor_remember(editor, line_editor_text(editor));
        if (event != LINE_MORE)
            line_editor_begin(editor, &screen);
    }
    line_editor_destroy(editor);
    assert_int_equal(found.len, lines.len);
    assert_memory_equal(found.data, lines.data, lines.len);
}

static void fuzz(uint32_t seed, unsigned count)
{
    DESK_AUTO desk;
    desk_open(&desk, "~>", 4 + seed % 40);
    BUF_AUTO all = BUF_INIT(SCREEN_MAX);
    BUF_AUTO lines = BUF_INIT(SCREEN_MAX);
    BUF_AUTO keys = BUF_INIT(SCREEN_MAX);
    for (unsigned i = 0; i < count; i++) {
        random_key(&seed, &keys);
        if (memchr(keys.data, '\x03', keys.len)) // drops the rest of its piece
            buf_clear(&keys);
        if (next_random(&seed) % 3 == 0)
            continue;
        buf_append_span(&all, buf_span(&keys));
        struct span input = buf_span(&keys);
        for (enum line_event event = LINE_ENTERED; event != LINE_MORE;) {
            buf_clear(&desk.screen);
            event = line_editor_feed(desk.editor, &input, &desk.screen);
            flush(&desk);
            assert_true(event == LINE_ENTERED || !desk.terminal.crossed_the_edge);
            desk.terminal.crossed_the_edge = false;
            if (event == LINE_MORE)
                break;
            buf_append_span(&lines, line_editor_text(desk.editor));
            buf_append_char(&lines, '\0');
            if (event == LINE_ENTERED)
                line_editor_remember(desk.editor, line_editor_text(desk.editor));
            buf_clear(&desk.screen);
            line_editor_begin(desk.editor, &desk.screen);
            flush(&desk);
        }
        check_row(&desk, "~>");
        buf_clear(&keys);
        if (next_random(&seed) % 64 == 0) {
            desk.terminal.columns = 4 + next_random(&seed) % 60;
            memset(desk.terminal.cells[desk.terminal.row], 0, sizeof desk.terminal.cells[0]);
            desk.terminal.column = 0;
            buf_clear(&desk.screen);
            line_editor_set_columns(desk.editor, desk.terminal.columns, &desk.screen);
            flush(&desk);
        }
    }
    buf_append_span(&lines, line_editor_text(desk.editor));
    buf_append_char(&lines, '\0');
    check_pieces(buf_span(&all), buf_span(&lines));
}

static void test_random_keys(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 150; seed++)
        fuzz(seed * 2654435761u, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typing_sends_the_character_alone),
        cmocka_unit_test(test_an_event_leaves_the_rest_of_the_input),
        cmocka_unit_test(test_moving_and_deleting),
        cmocka_unit_test(test_killing_and_yanking),
        cmocka_unit_test(test_combining_marks_move_with_their_base),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_paste),
        cmocka_unit_test(test_what_does_not_fit_rings),
        cmocka_unit_test(test_long_lines_scroll),
        cmocka_unit_test(test_an_entered_line_is_left_whole),
        cmocka_unit_test(test_wide_characters_at_the_edge),
        cmocka_unit_test(test_narrow_terminals),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_a_hidden_line),
        cmocka_unit_test(test_clear_screen),
        cmocka_unit_test(test_a_full_screen_buffer_is_made_good),
        cmocka_unit_test(test_random_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
