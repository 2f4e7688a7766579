#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "codec/dotenv.h"

static int record(void *ctx, struct span key, struct span value, unsigned line)
{
    buf_printf(ctx, "%u %.*s=<", line, (int)key.len, key.data);
    buf_append_span(ctx, value);
    buf_append_text(ctx, ">\n");
    return 0;
}

static void gives(const char *text, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    if (dotenv_parse(span_of(text), record, &out, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(buf_text(&out), wanted);
}

static void refuses(const char *text, const char *sentence)
{
    BUF_AUTO out = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    assert_int_equal(dotenv_parse(span_of(text), record, &out, &err), -EBADMSG);
    assert_string_equal(err.text, sentence);
}

static void test_lines(void **state)
{
    (void)state;
    gives("", "");
    gives("\n\r\n# c\n  # c\nA=1\r\nB=2\rC=3", "5 A=<1>\n6 B=<2>\n7 C=<3>\n");
    gives("\xEF\xBB\xBF"
          "A=1\n",
          "1 A=<1>\n");
    gives("export A=1\nexport\tB = 2 \nexport=3\nexported=4\n  C=5",
          "1 A=<1>\n2 B=<2>\n3 export=<3>\n4 exported=<4>\n5 C=<5>\n");
    gives("A=\nB= \nC\nD # x\nexport E\n", "1 A=<>\n2 B=<>\n");
}

static void test_plain_values(void **state)
{
    (void)state;
    gives("A=x y  # comment\nB=x#y\nC=#z\nD=a=b==\nE=it's \"so\"\nF=a\\nb\nG=${X}/y\n",
          "1 A=<x y>\n2 B=<x#y>\n3 C=<>\n4 D=<a=b==>\n5 E=<it's \"so\">\n6 F=<a\\nb>\n"
          "7 G=<${X}/y>\n");
}

static void test_quoted_values(void **state)
{
    (void)state;
    gives("A=\"a b\" # c\nB='a\\nb\\'c\\\\d'#c\nC=\"\\\"\\n\\t\\\\\\x\\'\"\nD=\"\"\nE=''\n",
          "1 A=<a b>\n2 B=<a\\nb'c\\d>\n3 C=<\"\n\t\\\\x'>\n4 D=<>\n5 E=<>\n");
    gives("A=\"x # y\nz\"\nB='\n\n'\nC=1", "1 A=<x # y\nz>\n3 B=<\n\n>\n6 C=<1>\n");
}

static void test_errors_name_the_line(void **state)
{
    (void)state;
    refuses("A=1\n\nB=\"x\ny\n", "line 3: the quote that begins here is never closed");
    refuses("A='x\\", "line 1: the quote that begins here is never closed");
    refuses("A='x' y\n", "line 1: only a comment may follow the closing quote");
    refuses("A=1\n=2\n", "line 2: a line must be KEY=VALUE or begin with #");
    refuses("A=1\nB C=2\n", "line 2: a key holds letters, digits and _ only, and = follows it");
    refuses("sk-secret!\n", "line 1: a key holds letters, digits and _ only, and = follows it");
}

static int stop(void *ctx, struct span key, struct span value, unsigned line)
{
    (void)key, (void)value;
    *(unsigned *)ctx = line;
    return line == 2 ? 17 : 0;
}

static void test_limits_and_stopping(void **state)
{
    (void)state;
    unsigned last = 0;
    assert_int_equal(dotenv_parse(SPAN_LITERAL("A=1\nB=2\nC=3\n"), stop, &last, NULL), 17);
    assert_int_equal(last, 2);

    BUF_AUTO text = BUF_INIT(2u * DOTENV_BYTES_MAX);
    buf_append_text(&text, "A=1\nB=");
    while (text.len < DOTENV_VALUE_MAX + 100)
        buf_append_char(&text, 'x');
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(1 << 20);
    assert_int_equal(dotenv_parse(buf_span(&text), record, &out, &err), -EMSGSIZE);
    assert_string_equal(err.text, "line 2: a value of more than 65536 bytes");
    while (text.len <= DOTENV_BYTES_MAX)
        buf_append_char(&text, 'x');
    assert_int_equal(dotenv_parse(buf_span(&text), record, &out, &err), -EMSGSIZE);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF# c\nexport A='x\\'' # d\r\nB=\"\\n\ny\"\nC = z #\n";
    for (size_t len = 0; len < sizeof text; len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, text, len);
        BUF_AUTO out = BUF_INIT(1 << 16);
        dotenv_parse(span_make(exact, len), record, &out, NULL);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_plain_values),
        cmocka_unit_test(test_quoted_values),
        cmocka_unit_test(test_errors_name_the_line),
        cmocka_unit_test(test_limits_and_stopping),
        cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
