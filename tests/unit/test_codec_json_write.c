#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/json_write.h"

static void test_commas_by_itself(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(4096);
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "a", "x");
    json_write_key(&w, "b");
    json_write_array_begin(&w);
    json_write_int(&w, INT64_MIN);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_null(&w);
    json_write_array_end(&w);
    assert_false(json_write_done(&w));
    json_write_member_bool(&w, "c", false);
    json_write_member_raw(&w, "d", SPAN_LITERAL("{\"z\": 1e400}"));
    json_write_member_raw(&w, "e", SPAN_ABSENT);
    json_write_member_int(&w, "f", -1);
    json_write_member_text(&w, "g", NULL);
    json_write_member_string(&w, "h\"", SPAN_LITERAL("a\0b"));
    json_write_object_end(&w);
    assert_true(json_write_done(&w));
    assert_string_equal(buf_text(&out),
                        "{\"a\":\"x\",\"b\":[-9223372036854775808,[],{},null],"
                        "\"c\":false,\"d\":{\"z\": 1e400},\"e\":null,\"f\":-1,\"g\":null,"
                        "\"h\\\"\":\"a\\u0000b\"}");
}

static void writes(struct span text, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(4096);
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_string(&w, text);
    assert_true(json_write_done(&w));
    assert_string_equal(buf_text(&out), wanted);
}

static void test_strings(void **state)
{
    (void)state;
    writes(SPAN_LITERAL(""), "\"\"");
    writes(SPAN_ABSENT, "\"\"");
    writes(SPAN_LITERAL("\"\\/\b\f\n\r\t\x1f\x7f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\x7f\"");
    writes(SPAN_LITERAL("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\"");
    writes(SPAN_LITERAL("a\xC3"), "\"a\xEF\xBF\xBD\"");
    writes(SPAN_LITERAL("\xFF\n\xED\xA0\x80"),
           "\"\xEF\xBF\xBD\\n\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void writes_fixed(int64_t units, unsigned digits, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(100);
    JSON_AUTO doc = JSON_INIT;
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_fixed(&w, units, digits);
    assert_string_equal(buf_text(&out), wanted);
    int64_t back = 0;
    assert_int_equal(json_parse(&doc, buf_span(&out), NULL), 0);
    assert_true(json_fixed(json_root(&doc), digits, &back) && back == units);
}

static void test_fixed(void **state)
{
    (void)state;
    writes_fixed(0, 0, "0");
    writes_fixed(0, 9, "0");
    writes_fixed(1500, 6, "0.0015");
    writes_fixed(-1500000, 6, "-1.5");
    writes_fixed(1, 19, "0.0000000000000000001");
    writes_fixed(INT64_MIN, 19, "-0.9223372036854775808");
    writes_fixed(INT64_MIN, 0, "-9223372036854775808");
    writes_fixed(INT64_MAX, 9, "9223372036.854775807");
    writes_fixed(10, 1, "1");
}

static bool misuse(void (*use)(struct json_writer *w))
{
    BUF_AUTO out = BUF_INIT(4096);
    struct json_writer w;
    json_writer_init(&w, &out);
    use(&w);
    return !json_write_done(&w);
}

static void two_roots(struct json_writer *w)
{
    json_write_int(w, 1);
    json_write_int(w, 2);
}

static void key_outside(struct json_writer *w)
{
    json_write_array_begin(w);
    json_write_key(w, "k");
    json_write_int(w, 2);
    json_write_array_end(w);
}

static void value_without_key(struct json_writer *w)
{
    json_write_object_begin(w);
    json_write_int(w, 2);
    json_write_object_end(w);
}

static void wrong_end(struct json_writer *w)
{
    json_write_object_begin(w);
    json_write_array_end(w);
}

static void key_without_value(struct json_writer *w)
{
    json_write_object_begin(w);
    json_write_key(w, "k");
    json_write_object_end(w);
}

static void end_without_begin(struct json_writer *w)
{
    json_write_object_end(w);
}

static void too_deep(struct json_writer *w)
{
    for (int i = 0; i <= JSON_DEPTH_MAX; i++)
        json_write_array_begin(w);
    for (int i = 0; i <= JSON_DEPTH_MAX; i++)
        json_write_array_end(w);
}

static void as_deep_as_allowed(struct json_writer *w)
{
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_write_array_begin(w);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_write_array_end(w);
}

static void test_misuse_is_noticed(void **state)
{
    (void)state;
    assert_true(misuse(two_roots));
    assert_true(misuse(key_outside));
    assert_true(misuse(value_without_key));
    assert_true(misuse(wrong_end));
    assert_true(misuse(key_without_value));
    assert_true(misuse(end_without_begin));
    assert_true(misuse(too_deep));
    assert_false(misuse(as_deep_as_allowed));
}

static void test_full_is_noticed(void **state)
{
    (void)state;
    for (size_t max = 0; max < 12; max++) {
        BUF_AUTO out = BUF_INIT(max);
        struct json_writer w;
        json_writer_init(&w, &out);
        json_write_array_begin(&w);
        json_write_text(&w, "a\n\xff"
                            "b");
        json_write_array_end(&w);
        assert_int_equal(json_write_done(&w), max >= 11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_by_itself),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_misuse_is_noticed),
        cmocka_unit_test(test_full_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
