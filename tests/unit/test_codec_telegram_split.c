#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum { PARTS_MAX = 64 };

struct parts {
    struct buf part[PARTS_MAX];
    size_t count;
};

static void finish(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        buf_finish(&parts->part[i]);
}
#define PARTS_AUTO __attribute__((cleanup(finish))) struct parts

static void split(struct span text, struct parts *ret_parts)
{
    struct telegram_split state = {0};
    ret_parts->count = 0;
    for (bool more = true; more;) {
        struct buf *part = &ret_parts->part[ret_parts->count];
        assert_true(ret_parts->count < PARTS_MAX);
        buf_init(part, TELEGRAM_PART_BYTES_MAX);
        more = telegram_next_part(&state, &text, part);
        ret_parts->count += more;
        BUF_AUTO form = BUF_INIT(1 << 17);
        telegram_markdown(buf_span(part), &form);
        assert_true(telegram_units(buf_span(&form)) <= TELEGRAM_UNITS_MAX);
        assert_true(utf8_valid(buf_span(&form)));
    }
    assert_int_equal(text.len, 0);
}

static void repeat(struct buf *text, const char *piece, size_t times)
{
    while (times-- > 0)
        buf_append_text(text, piece);
}

static struct span part_of(const struct parts *parts, size_t i)
{
    return buf_span(&parts->part[i]);
}

// All parts in their plain form, one behind the other.
static void join(const struct parts *parts, struct buf *ret_plain)
{
    for (size_t i = 0; i < parts->count; i++)
        telegram_plain(part_of(parts, i), ret_plain);
}

static void test_short(void **state)
{
    (void)state;
    PARTS_AUTO none, white, one;
    split(SPAN_ABSENT, &none);
    assert_int_equal(none.count, 0);
    split(SPAN_LITERAL("\n \n```\n```\n"), &white); // nothing to be seen, nothing to be sent
    assert_int_equal(white.count, 0);
    split(SPAN_LITERAL("\n# A\n\nb\n"), &one);
    assert_int_equal(one.count, 1);
    assert_string_equal(buf_text(&one.part[0]), "# A\n\nb");
}

static void test_paragraphs(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "One line of text,\nand another.\n\n", 300);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 3);
    for (size_t i = 0; i < parts.count; i++) {
        assert_true(span_starts_with(part_of(&parts, i), "One line"));
        assert_true(span_ends_with(part_of(&parts, i), "another."));
    }
}

static void test_headings(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "0123456789 12345678\n", 204); // 4080 units
    buf_append_text(&text, "## Heading\n\n");
    repeat(&text, "more text\n", 10);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 2);
    assert_true(span_starts_with(part_of(&parts, 1), "## Heading"));
}

static void test_code(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "~~~~c++\n", 1);
    repeat(&text, "int x = 1; // ```\n", 500);
    repeat(&text, "~~~~\nend *it*\n", 1);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 3);
    for (size_t i = 0; i < parts.count; i++) {
        assert_true(span_starts_with(part_of(&parts, i), "~~~~c++\nint"));
        if (i < 2)
            assert_true(span_ends_with(part_of(&parts, i), "```\n~~~~"));
    }
    assert_true(span_ends_with(part_of(&parts, 2), "~~~~\nend *it*"));
}

static void test_code_line(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17), plain = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "```\n", 1);
    repeat(&text, "é", 5000);
    repeat(&text, "\n```\n", 1);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 2);
    join(&parts, &plain);
    assert_int_equal(plain.len, 10000);
}

static void test_tables(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "Before.\n\n| Name | Value |\n|---|---|\n", 1);
    repeat(&text, "| some name | some value |\n", 300);
    repeat(&text, "\nAfter.\n", 1);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 2);
    assert_true(span_ends_with(part_of(&parts, 0), "value |"));
    assert_true(span_starts_with(part_of(&parts, 1), "| Name | Value |\n|---|---|\n| some"));
    assert_true(span_ends_with(part_of(&parts, 1), "value |\n\nAfter."));
}

// A line longer than a part is cut at spaces outside its markup, and what follows such a cut is not
// taken for an item or a heading.
static void test_long_line(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17), plain = BUF_INIT(1 << 17), whole = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "- # **bold text** `some code` [a b](https://x.org/a) 1. ", 200);
    split(buf_span(&text), &parts);
    assert_in_range(parts.count, 3, 5);
    for (size_t i = 0; i < parts.count; i++) {
        buf_append_char(&plain, ' ');
        telegram_plain(part_of(&parts, i), &plain);
    }
    buf_append_char(&whole, ' ');
    telegram_plain(buf_span(&text), &whole);
    assert_string_equal(buf_text(&plain), buf_text(&whole));
}

static void test_long_quote(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "> ", 1);
    repeat(&text, "said he ", 1000);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 2);
    assert_true(span_starts_with(part_of(&parts, 1), "> "));
}

// One passage of bold that is longer than a part loses its looks, not its text.
static void test_long_bold(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17), plain = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "**", 1);
    repeat(&text, "a.", 4000);
    repeat(&text, "**\n\nb", 1);
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 4); // every full stop is escaped; the paragraph after is its own
    join(&parts, &plain);
    assert_int_equal(plain.len, 8001);
}

static void test_clusters(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17);
    PARTS_AUTO parts;
    repeat(&text, "x", 1);
    repeat(&text, "👩‍👩‍👧‍👦", 800); // 11 units each
    split(buf_span(&text), &parts);
    assert_int_equal(parts.count, 3);
    for (size_t i = 1; i < parts.count; i++)
        assert_true(span_starts_with(part_of(&parts, i), "👩‍👩‍👧‍👦"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short),     cmocka_unit_test(test_paragraphs),
        cmocka_unit_test(test_headings),  cmocka_unit_test(test_code),
        cmocka_unit_test(test_code_line), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_long_line), cmocka_unit_test(test_long_quote),
        cmocka_unit_test(test_long_bold), cmocka_unit_test(test_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
