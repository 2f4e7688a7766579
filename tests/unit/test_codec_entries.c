#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/entries.h"

#define S "\xc2\xa7" // the section sign

// The entries joined with |, and whether all of them are there.
static bool parse(struct span text, struct buf *out, struct entries *ret_entries)
{
    bool all = entries_parse(text, ret_entries);
    buf_clear(out);
    for (size_t i = 0; i < ret_entries->count; i++) {
        buf_append_text(out, i ? "|" : "");
        buf_append_span(out, ret_entries->items[i]);
    }
    return all;
}

static void parses(const char *text, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(64 * 1024);
    struct entries entries;
    assert_true(parse(span_of(text), &out, &entries));
    assert_string_equal(buf_text(&out), wanted);
}

static void separators(void **state)
{
    parses("", "");
    parses("\n\n", "");
    parses("a", "a");
    parses("a\n", "a");
    parses("a\n" S "\nb", "a|b");
    parses("a\nsecond\n" S "\n b \n", "a\nsecond|b");
    parses(S "\na\n" S, "a");
    parses(S "\n" S "\n" S "\n", "");
    parses("\n" S "\n\n a\n\n" S "\n" S "\nb\n" S "\n", "a|b");
    parses("a\r\n" S "\r\nb\r\n", "a|b");
    parses("a\r\nsecond\r\n" S "\r\nb", "a\r\nsecond|b");
    parses("a\n  " S "\t\nb", "a|b");
    parses("\xef\xbb\xbf"
           "a\n" S "\nb",
           "a|b");
}

static void what_is_no_separator(void **state)
{
    parses("a " S " b", "a " S " b");
    parses("see " S "\nb", "see " S "\nb");
    parses(S "1\nb", S "1\nb");
    parses("a\n" S S "\nb", "a\n" S S "\nb");
    parses("a\n\xa7\nb", "a\n\xa7\nb"); // the sign in Latin-1
}

static void writing_is_the_same_again(void **state)
{
    static const char text[] = "a\nsecond\n" S "\nb \xc3\xa4\n" S "\nc\n";
    BUF_AUTO out = BUF_INIT(1024);
    struct entries entries;
    assert_true(entries_parse(span_of(text), &entries));
    entries_write(&entries, &out);
    assert_string_equal(buf_text(&out), text);
    assert_int_equal(entries_characters(&entries), 8 + 3 + 3 + 3 + 1);
    entries.count = 0;
    buf_clear(&out);
    entries_write(&entries, &out);
    assert_int_equal(out.len, 0);
    assert_int_equal(entries_characters(&entries), 0);
}

static void bytes_are_kept(void **state)
{
    static const char text[] = "a\0b\xff\xfe\n" S "\n\x80";
    BUF_AUTO out = BUF_INIT(1024);
    struct entries entries;
    assert_true(parse(span_make(text, sizeof text - 1), &out, &entries));
    assert_int_equal(entries.count, 2);
    assert_int_equal(entries.items[0].len, 5);
    assert_memory_equal(entries.items[0].data, text, 5);
    assert_int_equal(entries_characters(&entries), 5 + 3 + 1);
}

static void too_many(void **state)
{
    BUF_AUTO text = BUF_INIT(64 * 1024);
    struct entries entries;
    for (int i = 0; i < ENTRIES_MAX; i++)
        buf_printf(&text, "%d\n" S "\n", i);
    assert_true(entries_parse(buf_span(&text), &entries));
    assert_int_equal(entries.count, ENTRIES_MAX);
    buf_append_text(&text, "more\n");
    assert_false(entries_parse(buf_span(&text), &entries));
    assert_int_equal(entries.count, ENTRIES_MAX);
    assert_true(span_is(entries.items[ENTRIES_MAX - 1], "511"));
}

static void counting_and_cutting(void **state)
{
    struct span text = SPAN_LITERAL("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xff.");
    assert_int_equal(entries_count(text), 6);
    static const size_t bytes[] = {0, 1, 3, 6, 10, 11, 12, 12};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        assert_int_equal(entries_cut(text, i), bytes[i]);
}

static void lines_that_would_split(void **state)
{
    assert_true(entries_would_split(SPAN_LITERAL("a\n" S "\nb")));
    assert_true(entries_would_split(SPAN_LITERAL(S)));
    assert_true(entries_would_split(SPAN_LITERAL("a\r\n" S "\r\n")));
    assert_false(entries_would_split(SPAN_LITERAL("a " S " b\nc")));
    assert_false(entries_would_split(SPAN_LITERAL("")));
}

static void hidden_characters(void **state)
{
    static const char *const fine[] = {"", "plain\ttext\r\n", "\xc3\xa4\xe6\xbc\xa2",
                                       "\xe2\x9d\xa4\xef\xb8\x8f", "\xf0\x9f\x98\x80"};
    uint32_t rune;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_false(entries_find_hidden(span_of(fine[i]), &rune));
    static const struct {
        const char *text;
        uint32_t rune;
    } hidden[] = {
        {"a\xe2\x80\x8b", 0x200b},
        {"a\xe2\x80\xae"
         "b",
         0x202e},
        {"\xef\xbb\xbf"
         "a",
         0xfeff},
        {"a\xf3\xa0\x81\x81", 0xe0041},
        {"\x1b[2J", 0x1b},
        {"a\xc2\x9b", 0x9b},
        {"a\xe2\x81\xa6", 0x2066},
        {"soft\xc2\xadhyphen", 0xad},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        assert_true(entries_find_hidden(span_of(hidden[i].text), &rune));
        assert_int_equal(rune, hidden[i].rune);
    }
    assert_true(entries_find_hidden(span_make("a\0", 2), &rune));
}

static void numbers(void **state)
{
    static const struct {
        uint64_t number;
        const char *text;
    } cases[] = {
        {0, "0"},          {999, "999"},           {1474, "1,474"},
        {22000, "22,000"}, {1234567, "1,234,567"}, {UINT64_MAX, "18,446,744,073,709,551,615"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        BUF_AUTO out = BUF_INIT(64);
        entries_write_number(cases[i].number, &out);
        assert_string_equal(buf_text(&out), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separators),
        cmocka_unit_test(what_is_no_separator),
        cmocka_unit_test(writing_is_the_same_again),
        cmocka_unit_test(bytes_are_kept),
        cmocka_unit_test(too_many),
        cmocka_unit_test(counting_and_cutting),
        cmocka_unit_test(lines_that_would_split),
        cmocka_unit_test(hidden_characters),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
