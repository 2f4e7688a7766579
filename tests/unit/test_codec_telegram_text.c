#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/telegram_text.h"

static void formed_(const char *markdown, const char *want, const char *want_plain, int line)
{
    BUF_AUTO out = BUF_INIT(1 << 16), plain = BUF_INIT(1 << 16);
    telegram_markdown(span_of(markdown), &out);
    telegram_plain(span_of(markdown), &plain);
    if (strcmp(buf_text(&out), want) != 0 || strcmp(buf_text(&plain), want_plain) != 0)
        print_error("line %d: |%s|\n%s\n%s\n", line, markdown, buf_text(&out), buf_text(&plain));
    assert_string_equal(buf_text(&out), want);
    assert_string_equal(buf_text(&plain), want_plain);
}
#define formed(markdown, want, plain) formed_(markdown, want, plain, __LINE__)

static void test_units(void **state)
{
    (void)state;
    assert_int_equal(telegram_units(SPAN_ABSENT), 0);
    assert_int_equal(telegram_units(SPAN_LITERAL("aé世")), 3);
    assert_int_equal(telegram_units(SPAN_LITERAL("👍🏽")), 4);
}

static void test_escaping(void **state)
{
    (void)state;
    formed("", "", "");
    formed(" \n\n", "", "");
    formed("a.b!c-d=e|f{g}h~i>j#k+l", "a\\.b\\!c\\-d\\=e\\|f\\{g\\}h\\~i\\>j\\#k\\+l",
           "a.b!c-d=e|f{g}h~i>j#k+l");
    formed("C:\\dir\\x and \\*no\\*", "C:\\\\dir\\\\x and \\*no\\*", "C:\\dir\\x and *no*");
    formed("&lt;b&gt; <i>x</i>", "&lt;b&gt; <i\\>x</i\\>", "&lt;b&gt; <i>x</i>");
    formed("bell\a\r\n\x7Ftab\t.", "bell\ntab\t\\.", "bell\ntab\t.");
}

static void test_emphasis(void **state)
{
    (void)state;
    formed("**b** __b__ *i* _i_", "*b* *b* _i_ _i_", "b b i i");
    formed("***both*** ~~gone~~", "*_both_* ~gone~", "both gone");
    formed("**a *b* c**", "*a _b_ c*", "a b c");
    formed("*a **b** c*", "_a *b* c_", "a b c");
    formed("*a*_b_", "_ab_", "ab"); // one italic: two would meet as __
    formed("snake_case_name __init__.py", "snake\\_case\\_name *init*\\.py",
           "snake_case_name init.py");
    formed("2*3*4 = 24, 2 * 3 * 4", "2\\*3\\*4 \\= 24, 2 \\* 3 \\* 4", "2*3*4 = 24, 2 * 3 * 4");
    formed("**中文（注）**中文", "*中文（注）*中文", "中文（注）中文");
    formed("**open *and ~~shut", "\\*\\*open \\*and \\~\\~shut", "**open *and ~~shut");
    formed("f(*args, **kwargs)", "f\\(\\*args, \\*\\*kwargs\\)", "f(*args, **kwargs)");
    formed("** no ** ~5 ~6", "\\*\\* no \\*\\* \\~5 \\~6", "** no ** ~5 ~6");
    formed("**a\nb**", "\\*\\*a\nb\\*\\*", "**a\nb**");
    formed("*a _b* c_", "_a \\_b_ c\\_", "a _b c_");
}

static void test_code(void **state)
{
    (void)state;
    formed("`a*b` ``c ` d`` `` ` ``", "`a*b` `c \\` d` `\\``", "a*b c ` d `");
    formed("`a\\b`", "`a\\\\b`", "a\\b");
    formed("`open *a*", "\\`open _a_", "`open a");
    formed("**a `b` c**", "*a *`b`* c*", "a b c"); // code is never part of another entity
    formed("[`c`](https://x.org)", "[c](https://x.org)", "c (https://x.org)");
}

static void test_links(void **state)
{
    (void)state;
    formed("[t.x](https://x.org/a_(b)?c=\\d)", "[t\\.x](https://x.org/a_(b\\)?c=\\\\d)",
           "t.x (https://x.org/a_(b)?c=\\d)");
    formed("[t](<HTTP://x.org> \"title\")", "[t](HTTP://x.org)", "t (HTTP://x.org)");
    formed("![alt](https://x.org/i.png)", "[alt](https://x.org/i.png)",
           "alt (https://x.org/i.png)");
    formed("[a **b**](tg://user?id=1)", "[a *b*](tg://user?id=1)", "a b (tg://user?id=1)");
    formed("**x [y](https://z.org)**", "*x [y](https://z.org)*", "x y (https://z.org)");
    formed("[a](javascript:alert(1)) [b](/c)", "a \\(javascript:alert\\(1\\)\\) b \\(/c\\)",
           "a (javascript:alert(1)) b (/c)");
    formed("[](https://x.org) [https://x.org](https://x.org) [y]()",
           "[https://x\\.org](https://x.org) [https://x\\.org](https://x.org) y",
           "https://x.org https://x.org y");
    formed("<https://x.org/__a__> <me@x.org> <div>",
           "https://x\\.org/\\_\\_a\\_\\_ me@x\\.org <div\\>",
           "https://x.org/__a__ me@x.org <div>");
    formed("https://x.org/__a__/b_c. **https://y.org**",
           "https://x\\.org/\\_\\_a\\_\\_/b\\_c\\. *https://y\\.org*",
           "https://x.org/__a__/b_c. https://y.org");
    formed("[a](b c) [d] (e) [f](g", "\\[a\\]\\(b c\\) \\[d\\] \\(e\\) \\[f\\]\\(g",
           "[a](b c) [d] (e) [f](g");
    formed("[![b](https://x.org/b.svg)](https://x.org)", "[b](https://x.org)", "b (https://x.org)");
}

static void test_lines(void **state)
{
    (void)state;
    formed("# A *b* #\n####### c\n#d", "*A _b_*\n\\#\\#\\#\\#\\#\\#\\# c\n\\#d",
           "A b\n####### c\n#d");
    formed("- a\n  * b\n    + c\n-d", "• a\n  • b\n    • c\n\\-d", "• a\n  • b\n    • c\n-d");
    formed("1. a\n 2) b\n1.5", "1\\. a\n 2\\) b\n1\\.5", "1. a\n 2) b\n1.5");
    formed("- [ ] a\n- [x] b\n1. [X] c\n- [link](https://x.org)",
           "☐ a\n☑ b\n1\\. ☑ c\n• [link](https://x.org)",
           "☐ a\n☑ b\n1. ☑ c\n• link (https://x.org)");
    formed("> a\n>\n> - b **c**\nd", ">a\n>\n>• b *c*\nd", "a\n• b c\nd");
    formed("a\n\n---\n* * *\n\n\nb\n\n", "a\n\n———\n———\n\n\nb", "a\n\n———\n———\n\n\nb");
}

static void test_fences(void **state)
{
    (void)state;
    formed("```python\nx = `a\\b`\n\n*y*\n```\nz", "```python\nx = \\`a\\\\b\\`\n\n*y*\n```\nz",
           "x = `a\\b`\n\n*y*\nz");
    formed("~~~~ c++ title=x\n```\n~~~\n~~~~", "```c++\n\\`\\`\\`\n~~~\n```", "```\n~~~");
    formed("1. a\n   ```sh\n   b\n     c\n   ```", "1\\. a\n```sh\nb\n  c\n```", "1. a\nb\n  c");
    formed("```\nopen\n", "```\nopen\n```", "open");
    formed("a\n```\n```\nb", "a\nb", "a\nb"); // Telegram has no empty code block
    formed("```in line``` x", "`in line` x", "in line x");
    formed("> ```\n> a\n> ```", ">\n>a\n>", "a");
}

static void test_tables(void **state)
{
    (void)state;
    formed("| Name | n |\n|:--|--:|\n| **a** | 1 |\n| `x\\|y` | 22 |\n| 世界 |\n\nz",
           "```\nName |  n\n-----+---\na    |  1\nx|y  | 22\n世界 |\n```\n\nz",
           "Name |  n\n-----+---\na    |  1\nx|y  | 22\n世界 |\n\nz");
    formed("a|b\n:-:|-\nccc|d", "```\n a  | b\n----+--\nccc | d\n```", " a  | b\n----+--\nccc | d");
    formed("a | b\nc | d", "a \\| b\nc \\| d", "a | b\nc | d");
    formed("a | b\n--- | --- | ---", "a \\| b\n\\-\\-\\- \\| \\-\\-\\- \\| \\-\\-\\-",
           "a | b\n--- | --- | ---");
    formed("|Host|Address|What it is for|\n|-|-|-|\n"
           "|one|10.0.0.1|[a](https://x.org/a_long_path) and much else that is said|\n|two||x|y|",
           "*one*\n• Address: 10\\.0\\.0\\.1\n"
           "• What it is for: [a](https://x.org/a_long_path) and much else that is said\n\n"
           "*two*\n• What it is for: x\n• y",
           "one\n• Address: 10.0.0.1\n"
           "• What it is for: a (https://x.org/a_long_path) and much else that is said\n\n"
           "two\n• What it is for: x\n• y");
}

static void test_preview(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(1 << 17), out = BUF_INIT(1 << 17);
    telegram_preview(SPAN_LITERAL("**Half** a sent"), &out);
    assert_string_equal(buf_text(&out), "Half a sent");
    buf_clear(&out);
    telegram_preview(SPAN_LITERAL(" \n"), &out);
    assert_int_equal(out.len, 0);
    telegram_preview(SPAN_LITERAL("```python\n"), &out); // nothing of it can be shown yet
    assert_string_equal(buf_text(&out), "…");
    buf_clear(&out);
    while (text.len < 100000)
        buf_append_text(&text, "👍a");
    telegram_preview(buf_span(&text), &out);
    assert_int_equal(telegram_units(buf_span(&out)), TELEGRAM_UNITS_MAX - 3); // no half 👍
    assert_true(span_ends_with(buf_span(&out), "…"));
    assert_memory_equal(out.data, text.data, out.len - strlen("…"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units),    cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_emphasis), cmocka_unit_test(test_code),
        cmocka_unit_test(test_links),    cmocka_unit_test(test_lines),
        cmocka_unit_test(test_fences),   cmocka_unit_test(test_tables),
        cmocka_unit_test(test_preview),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
