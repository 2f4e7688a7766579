#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"

static void accepts(const char *text)
{
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    if (json_parse(&doc, span_of(text), &err) != 0)
        fail_msg("refused %s: %s", text, err.text);
}

static void refuses(struct span text, int code, const char *sentence)
{
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    assert_int_equal(json_parse(&doc, text, &err), code);
    assert_int_equal(json_type(json_root(&doc)), JSON_ABSENT);
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static void test_what_the_grammar_allows(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",        " true ",
        "\t\r\n[]",    "{}",
        "[1,2]",       "{\"\":{}}",
        "0",           "-0",
        "0.5",         "1e5",
        "1E+05",       "-1.25e-7",
        "\"\"",        "\"\\u0000\"",
        "\"\\ud800\"", "\"\x7f\"",
        "[[[]]]",      "{\"a\":1,\"a\":2}",
        "1e400",       "123456789012345678901234567890",
        "[\"\xff\"]",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        accepts(good[i]);
}

static const char *const bad[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{a:1}",
    "{\"a\" 1}",
    "{1:2}",
    "{\"a\":1]",
    "[1}",
    "01",
    "-",
    "-01",
    "+1",
    ".5",
    "1.",
    "1.e5",
    "1e",
    "1e+",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12G4\"",
    "\"\\",
    "\"\n\"",
    "\"\t\"",
    "'a'",
    "1 1",
    "{} []",
    "// c\n1",
    "\xEF\xBB\xBF"
    "1",
    "\x0c"
    "1",
    "[1]x",
};

static void test_what_the_grammar_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refuses(span_of(bad[i]), -EBADMSG, "not valid JSON");
    refuses(SPAN_ABSENT, -EBADMSG, "ends at byte 0, expected a value");
    refuses(SPAN_LITERAL("[1]\0"), -EBADMSG, "at byte 3: expected nothing more");
    refuses(SPAN_LITERAL("\"a\0b\""), -EBADMSG, "at byte 2: a control character");
    refuses(SPAN_LITERAL("{\"a\":1 \"b\""), -EBADMSG, "byte 7: expected a comma or the end");
    refuses(SPAN_LITERAL("{\"a\" 1}"), -EBADMSG, "byte 5: expected a colon");
    refuses(SPAN_LITERAL("{\"a\""), -EBADMSG, "ends at byte 4, expected a colon");
    refuses(SPAN_LITERAL("[nul]"), -EBADMSG, "byte 1: expected a value or ]");
    refuses(SPAN_LITERAL("[1,nul"), -EBADMSG, "byte 3: expected a value");
    refuses(SPAN_LITERAL("{1}"), -EBADMSG, "byte 1: expected a quoted key or }");
    refuses(SPAN_LITERAL("{\"a\":1,}"), -EBADMSG, "byte 7: expected a quoted key");
    refuses(SPAN_LITERAL("[-1.x]"), -EBADMSG, "byte 1: an unfinished number");
    refuses(SPAN_LITERAL("[\"ab"), -EBADMSG, "byte 1: the string has no end");
    refuses(SPAN_LITERAL("[\"ab\\"), -EBADMSG, "byte 4: the string has no end");
    refuses(SPAN_LITERAL("\"\\x\""), -EBADMSG, "byte 1: an unknown escape in a string");
    refuses(SPAN_LITERAL("\"\\u12"), -EBADMSG, "byte 1: \\u needs four hexadecimal digits");
}

// Every prefix of a document is refused, and reading it touches nothing behind its end.
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1.5e-3,true,null,\"\\u00e4\\n\"],\"b\":{\"c\":false}}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len ? len : 1); // so that the sanitizer sees an over-read
        memcpy(exact, text, len);
        refuses(span_make(exact, len), -EBADMSG, "not valid JSON");
        free(exact);
    }
    accepts(text);
}

static char *repeat(const char *unit, size_t count, const char *middle, const char *tail)
{
    size_t unit_len = strlen(unit), tail_len = strlen(tail), middle_len = strlen(middle);
    char *text = mem_alloc(count * (unit_len + tail_len) + middle_len + 1), *at = text;
    for (size_t i = 0; i < count; i++, at += unit_len)
        memcpy(at, unit, unit_len);
    memcpy(at, middle, middle_len);
    at += middle_len;
    for (size_t i = 0; i < count; i++, at += tail_len)
        memcpy(at, tail, tail_len);
    *at = '\0';
    return text;
}

static void test_depth(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *deepest = repeat("[", JSON_DEPTH_MAX, "", "]");
    CLEANUP(mem_cleanup) char *deeper = repeat("[", JSON_DEPTH_MAX + 1, "", "]");
    CLEANUP(mem_cleanup) char *objects = repeat("{\"k\":", JSON_DEPTH_MAX, "1", "}");
    CLEANUP(mem_cleanup) char *bomb = repeat("[", 1000000, "", "");
    accepts(deepest);
    accepts(objects);
    refuses(span_of(deeper), -EMSGSIZE, "deeper than 128 levels");
    refuses(span_of(bomb), -EMSGSIZE, "deeper than 128 levels");
}

static void test_token_limit(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *most = repeat("1,", JSON_TOKENS_MAX - 2, "1]", "");
    CLEANUP(mem_cleanup) char *more = repeat("1,", JSON_TOKENS_MAX - 1, "1]", "");
    CLEANUP(mem_cleanup) char *most_array = mem_printf("[%s", most);
    CLEANUP(mem_cleanup) char *more_array = mem_printf("[%s", more);
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, span_of(most_array), NULL), 0);
    assert_int_equal(json_count(json_root(&doc)), JSON_TOKENS_MAX - 1);
    refuses(span_of(more_array), -EMSGSIZE, "more than 1048576 values");
}

static void test_lookups_chain(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc,
                                SPAN_LITERAL(" {\"a\":[{\"b\":[1,[2,3],{}]}, 7],"
                                             "\"\\u0061b\":\"x\",\"d\":1,\"d\":2} "),
                                NULL),
                     0);
    struct json_value root = json_root(&doc);
    assert_int_equal(json_count(root), 4);
    struct json_value b = json_get(json_at(json_get(root, "a"), 0), "b");
    assert_int_equal(json_count(b), 3);
    assert_true(span_is(json_raw(json_at(b, 1)), "[2,3]"));
    assert_true(span_is(json_raw(b), "[1,[2,3],{}]"));
    assert_true(json_is(json_get(root, "ab"), "x"));          // the key was written with an escape
    assert_true(span_is(json_raw(json_get(root, "d")), "2")); // the last one wins
    assert_int_equal(json_type(json_at(b, 3)), JSON_ABSENT);
    assert_int_equal(json_type(json_get(b, "b")), JSON_ABSENT);
    assert_int_equal(json_type(json_at(root, 0)), JSON_ABSENT);
    struct json_value none = json_get(json_get(json_at(root, 9), "x"), "y");
    assert_int_equal(json_count(none), 0);
    assert_null(json_raw(none).data);
    assert_false(json_is(none, ""));
    assert_int_equal(json_type(json_root(NULL)), JSON_ABSENT);
}

static void test_iteration(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(
        json_parse(&doc, SPAN_LITERAL("{\"a\":[1,2],\"b\":{\"x\":0},\"c\":null}"), NULL), 0);
    struct json_iter it = json_iter_init(json_root(&doc));
    struct json_value key, value;
    assert_true(json_iter_next(&it, &key, &value));
    assert_true(span_is(json_raw(key), "\"a\"") && span_is(json_raw(value), "[1,2]"));
    assert_true(json_iter_next(&it, NULL, &value));
    assert_int_equal(json_type(value), JSON_OBJECT);
    assert_true(json_iter_next(&it, &key, &value));
    assert_int_equal(json_type(value), JSON_NULL);
    assert_false(json_iter_next(&it, &key, &value));
    assert_false(json_iter_next(&it, &key, &value));

    it = json_iter_init(json_get(json_root(&doc), "a"));
    assert_true(json_iter_next(&it, &key, &value));
    assert_int_equal(json_type(key), JSON_ABSENT);
    assert_true(span_is(json_raw(value), "1"));
    it = json_iter_init(json_get(json_root(&doc), "c"));
    assert_false(json_iter_next(&it, &key, &value));
    it = json_iter_init(JSON_VALUE_ABSENT);
    assert_false(json_iter_next(&it, &key, &value));
}

static void decodes(struct span json, struct span wanted)
{
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(json_parse(&doc, json, NULL), 0);
    assert_true(buf_append_text(&out, "<"));
    assert_true(json_string(json_root(&doc), &out));
    struct span got = span_skip(buf_span(&out), 1);
    if (!span_equal(got, wanted))
        fail_msg("%.*s gave %.*s", (int)json.len, json.data, (int)got.len, got.data);
    assert_int_equal(span_equal(got, span_of(got.data)), !memchr(wanted.data, 0, wanted.len));
}

static void test_strings(void **state)
{
    (void)state;
    decodes(SPAN_LITERAL("\"\""), SPAN_LITERAL(""));
    decodes(SPAN_LITERAL("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), SPAN_LITERAL("\"\\/\b\f\n\r\t"));
    decodes(SPAN_LITERAL("\"a\\u0000b\""), SPAN_LITERAL("a\0b"));
    decodes(SPAN_LITERAL("\"\\u00e4\\u20AC\""), SPAN_LITERAL("\xC3\xA4\xE2\x82\xAC"));
    decodes(SPAN_LITERAL("\"\\ud83d\\ude00!\""), SPAN_LITERAL("\xF0\x9F\x98\x80!"));
    decodes(SPAN_LITERAL("\"\\ud83d\""), SPAN_LITERAL("\xEF\xBF\xBD"));
    decodes(SPAN_LITERAL("\"\\ud83dx\\ude00\""), SPAN_LITERAL("\xEF\xBF\xBDx\xEF\xBF\xBD"));
    decodes(SPAN_LITERAL("\"\\ud83d\\ud83d\\ude00\""),
            SPAN_LITERAL("\xEF\xBF\xBD\xF0\x9F\x98\x80"));
    decodes(SPAN_LITERAL("\"\\ud83d\\u0041\""), SPAN_LITERAL("\xEF\xBF\xBD"
                                                             "A"));
    decodes(SPAN_LITERAL("\"\\udbff\\udfff\""), SPAN_LITERAL("\xF4\x8F\xBF\xBF"));
    decodes(SPAN_LITERAL("\"a\xff\\n\xE2\x82\""), SPAN_LITERAL("a\xEF\xBF\xBD\n\xEF\xBF\xBD"));
    decodes(SPAN_LITERAL("\"\xED\xA0\x80\""), SPAN_LITERAL("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
}

static void test_strings_that_do_not_fit(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, SPAN_LITERAL("[\"abc\\n\",\"a\\u0000\",5]"), NULL), 0);
    struct json_value text = json_at(json_root(&doc), 0);
    BUF_AUTO out = BUF_INIT(3);
    assert_false(json_string(text, &out));
    assert_int_equal(out.len, 0);
    assert_true(buf_is_full(&out));
    assert_null(json_strdup(text, 3));
    CLEANUP(mem_cleanup) char *copy = json_strdup(text, 4);
    assert_string_equal(copy, "abc\n");
    assert_null(json_strdup(json_at(json_root(&doc), 1), 100)); // a C string would be cut
    assert_null(json_strdup(json_at(json_root(&doc), 2), 100));
    assert_false(json_string(json_at(json_root(&doc), 2), &out));
    assert_true(json_is(text, "abc\n"));
    assert_false(json_is(text, "abc"));
    assert_false(json_is(text, "abc\nd"));
    assert_false(json_is(json_at(json_root(&doc), 1), "a"));
}

static void test_huge_string(void **state)
{
    (void)state;
    enum { HUGE_UNITS = 1 << 20 };
    CLEANUP(mem_cleanup) char *body = repeat("abcdefgh\\n", HUGE_UNITS, "", "");
    CLEANUP(mem_cleanup) char *json = mem_printf("\"%s\"", body);
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO out = BUF_INIT(9u * HUGE_UNITS);
    assert_int_equal(json_parse(&doc, span_of(json), NULL), 0);
    assert_true(json_string(json_root(&doc), &out));
    assert_int_equal(out.len, 9u * HUGE_UNITS);
}

static struct json_value number(struct json *doc, const char *text)
{
    assert_int_equal(json_parse(doc, span_of(text), NULL), 0);
    return json_root(doc);
}

static void test_integers(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    int64_t i = 77;
    assert_true(json_int64(number(&doc, "9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(json_int64(number(&doc, "-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(json_int64(number(&doc, "-0"), &i) && i == 0);
    i = 77;
    static const char *const refused[] = {"9223372036854775808",
                                          "-9223372036854775809",
                                          "1.0",
                                          "1e2",
                                          "\"1\"",
                                          "true",
                                          "1e400",
                                          "null"};
    for (size_t n = 0; n < ARRAY_LEN(refused); n++)
        assert_false(json_int64(number(&doc, refused[n]), &i));
    assert_false(json_int64(JSON_VALUE_ABSENT, &i));
    assert_int_equal(i, 77);
}

static void test_fixed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned digits;
        int64_t value;
    } cases[] = {
        {"1.5", 3, 1500},
        {"1e-05", 9, 10000},
        {"1.5E-3", 6, 1500},
        {"-0.0000015", 9, -1500},
        {"2.5e-7", 6, 0},
        {"1.9", 0, 1},
        {"-1.9", 0, -1},
        {"123e3", 0, 123000},
        {"0.000123e6", 0, 123},
        {"0e999999999999999999999", 9, 0},
        {"0.0e-99999", 0, 0},
        {"1e-999999999999999999999", 9, 0},
        {"-0", 6, 0},
        {"9.223372036854775807", 18, INT64_MAX},
        {"-9.223372036854775808", 18, INT64_MIN},
        {"0.0000000000000000000000000000015e30", 1, 15},
    };
    JSON_AUTO doc = JSON_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 77;
        if (!json_fixed(number(&doc, cases[i].text), cases[i].digits, &value) ||
            value != cases[i].value)
            fail_msg("%s: %lld", cases[i].text, (long long)value);
    }
    int64_t value = 77;
    assert_false(json_fixed(number(&doc, "1e400"), 0, &value));
    assert_false(json_fixed(number(&doc, "1e999999999999999999999"), 0, &value));
    assert_false(json_fixed(number(&doc, "9.223372036854775808"), 18, &value));
    assert_false(json_fixed(number(&doc, "\"1\""), 0, &value));
    assert_int_equal(value, 77);
}

static void test_bool(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    bool value = false;
    assert_true(json_bool(number(&doc, "true"), &value) && value);
    assert_true(json_bool(number(&doc, "false"), &value) && !value);
    assert_false(json_bool(number(&doc, "1"), &value));
}

static void test_memory_is_kept(void **state)
{
    (void)state;
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, SPAN_LITERAL("[1,2,3]"), NULL), 0);
    const struct json_token *tokens = doc.tokens;
    assert_int_equal(json_parse(&doc, SPAN_LITERAL("{\"a\":"), NULL), -EBADMSG);
    assert_int_equal(json_parse(&doc, SPAN_LITERAL("{\"a\":1}"), NULL), 0);
    assert_ptr_equal(doc.tokens, tokens);
    json_finish(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_grammar_allows),
        cmocka_unit_test(test_what_the_grammar_refuses),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_token_limit),
        cmocka_unit_test(test_lookups_chain),
        cmocka_unit_test(test_iteration),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_strings_that_do_not_fit),
        cmocka_unit_test(test_huge_string),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_memory_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
