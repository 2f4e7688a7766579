#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/option.h"

static void expect_number(enum option_type type, const char *text, int64_t wanted)
{
    const struct option option = {.key = "k", .type = type};
    struct error err = ERROR_INIT;
    union option_value value = {.number = -77};
    if (option_parse(&option, span_of(text), &value, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(value.number, wanted);
}

static void expect_error(const struct option *option, const char *text, int code,
                         const char *wanted)
{
    struct error err = ERROR_INIT;
    union option_value value = {.number = -77};
    assert_int_equal(option_parse(option, span_of(text), &value, &err), code);
    assert_string_equal(err.text, wanted);
    assert_int_equal(value.number, -77);
}

static void test_numbers(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_INT};
    expect_number(OPTION_INT, "0", 0);
    expect_number(OPTION_INT, " 42 ", 42);
    expect_number(OPTION_INT, "-9223372036854775807", -INT64_MAX);
    expect_error(&option, "abc", -EINVAL, "\"abc\" is not a whole number");
    expect_error(&option, "", -EINVAL, "\"\" is not a whole number");
    expect_error(&option, "1.5", -EINVAL, "\"1.5\" is not a whole number");
    expect_error(&option, "0x10", -EINVAL, "\"0x10\" is not a whole number");
    expect_error(&option, "9223372036854775808", -EINVAL,
                 "\"9223372036854775808\" is not a whole number");
    expect_error(&option, "a\x1b[31m\n", -EINVAL, "\"a?[31m?\" is not a whole number");
}

static void test_sizes(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_BYTES};
    expect_number(OPTION_BYTES, "512", 512);
    expect_number(OPTION_BYTES, "512B", 512);
    expect_number(OPTION_BYTES, "64k", 64000);
    expect_number(OPTION_BYTES, "64 KB", 64000);
    expect_number(OPTION_BYTES, "64Ki", 65536);
    expect_number(OPTION_BYTES, "64KiB", 65536);
    expect_number(OPTION_BYTES, "32Mi", 32 << 20);
    expect_number(OPTION_BYTES, "1.5M", 1500000);
    expect_number(OPTION_BYTES, "2Gi", 2LL << 30);
    expect_error(&option, "12x", -EINVAL, "\"12x\" is not a size (such as 512k, 32Mi or 1G)");
    expect_error(&option, "k", -EINVAL, "\"k\" is not a size (such as 512k, 32Mi or 1G)");
    expect_error(&option, "-1", -EINVAL, "\"-1\" is not a size (such as 512k, 32Mi or 1G)");
    expect_error(&option, "9000000000G", -EINVAL,
                 "\"9000000000G\" is not a size (such as 512k, 32Mi or 1G)");
}

static void test_durations(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_DURATION};
    expect_number(OPTION_DURATION, "30", 30000);
    expect_number(OPTION_DURATION, "0.3", 300);
    expect_number(OPTION_DURATION, "250ms", 250);
    expect_number(OPTION_DURATION, "30s", 30000);
    expect_number(OPTION_DURATION, "5m", 300000);
    expect_number(OPTION_DURATION, "1.5h", 5400000);
    expect_number(OPTION_DURATION, "7d", 604800000);
    expect_error(&option, "soon", -EINVAL,
                 "\"soon\" is not a time (such as 250ms, 30s, 5m or 1.5h; "
                 "a bare number is seconds)");
    expect_error(&option, "-5s", -EINVAL,
                 "\"-5s\" is not a time (such as 250ms, 30s, 5m or 1.5h; "
                 "a bare number is seconds)");
}

static void test_booleans(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_BOOL};
    union option_value value;
    assert_int_equal(option_parse(&option, span_of("On"), &value, NULL), 0);
    assert_true(value.boolean);
    assert_int_equal(option_parse(&option, span_of("no"), &value, NULL), 0);
    assert_false(value.boolean);
    expect_error(&option, "maybe", -EINVAL, "\"maybe\" is not yes or no (true, false, on, off)");
}

static void test_ranges(void **state)
{
    (void)state;
    const struct option both = {.type = OPTION_INT, .min = 1, .max = 10};
    const struct option low = {.type = OPTION_INT, .min = 1};
    const struct option below = {.type = OPTION_INT, .min = -5, .max = 0};
    const struct option time = {.type = OPTION_DURATION, .min = 1000, .max = 5400000};
    const struct option size = {.type = OPTION_BYTES, .min = 0, .max = 32 << 20};
    union option_value value;
    expect_error(&both, "0", -ERANGE, "\"0\" is out of range (1 to 10)");
    expect_error(&both, "11", -ERANGE, "\"11\" is out of range (1 to 10)");
    assert_int_equal(option_parse(&both, span_of("10"), &value, NULL), 0);
    expect_error(&low, "0", -ERANGE, "\"0\" is out of range (at least 1)");
    assert_int_equal(option_parse(&low, span_of("99999"), &value, NULL), 0);
    expect_error(&below, "1", -ERANGE, "\"1\" is out of range (-5 to 0)");
    expect_error(&time, "10ms", -ERANGE, "\"10ms\" is out of range (1s to 90m)");
    expect_error(&size, "1G", -ERANGE, "\"1G\" is out of range (0 to 32Mi)");
}

static void test_choices(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_STRING, .choices = "off, new, all"};
    union option_value value;
    assert_int_equal(option_parse(&option, span_of("new"), &value, NULL), 0);
    expect_error(&option, "nwe", -EINVAL, "\"nwe\" is not one of off, new, all");
    expect_error(&option, "off, new", -EINVAL, "\"off, new\" is not one of off, new, all");
}

static void test_a_zone_has_a_name_that_is_known(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_STRING, .flags = OPTION_ZONE};
    union option_value value;
    assert_int_equal(option_parse(&option, span_of("Europe/Vienna"), &value, NULL), 0);
    assert_int_equal(option_parse(&option, span_of(" utc "), &value, NULL), 0);
    assert_int_equal(option_parse(&option, span_of(""), &value, NULL), 0);
    expect_error(&option, "Europe/Wien", -ENOENT,
                 "there is no time zone \"Europe/Wien\"; did you mean \"Europe/Kiev\"?");
}

static void test_a_secret_is_not_repeated(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_STRING, .choices = "a", .flags = OPTION_SECRET};
    expect_error(&option, "hunter2", -EINVAL, "its value is not one of a");
}

static void test_a_long_value_is_cut_in_the_sentence(void **state)
{
    (void)state;
    const struct option option = {.type = OPTION_INT};
    char text[500];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct error err = ERROR_INIT;
    union option_value value;
    assert_int_equal(option_parse(&option, span_of(text), &value, &err), -EINVAL);
    assert_true(strlen(err.text) < 100);
    assert_non_null(strstr(err.text, "zzz...\" is not"));
}

static void test_words(void **state)
{
    (void)state;
    struct span rest = span_of(" a, ,b c ,"), word;
    assert_true(option_next_word(&rest, &word));
    assert_true(span_is(word, "a"));
    assert_true(option_next_word(&rest, &word));
    assert_true(span_is(word, "b c"));
    assert_false(option_next_word(&rest, &word));
    assert_true(option_words_have("a,b", SPAN_LITERAL("b")));
    assert_false(option_words_have("a,b", SPAN_LITERAL("a,b")));
    assert_false(option_words_have(NULL, SPAN_LITERAL("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_a_zone_has_a_name_that_is_known),
        cmocka_unit_test(test_a_secret_is_not_repeated),
        cmocka_unit_test(test_a_long_value_is_cut_in_the_sentence),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
