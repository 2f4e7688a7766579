#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "config/substitute.h"

static const char *fake_get(void *context, const char *name)
{
    static const char *const variables[][2] = {
        {"HOST", "pi"},       {"_x9", "under"},
        {"EMPTY", ""},        {"NESTED", "${HOST} os.environ/HOST"},
        {"YAML", "{a: [1]}"},
    };
    (void)context;
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if (strcmp(variables[i][0], name) == 0)
            return variables[i][1];
    return NULL;
}

static const struct config_environment fake = {fake_get, NULL};

struct seen {
    char log[1024]; // "+HOST", "-MISSING", "!${a b}", each followed by a blank
};

static void note(void *context, enum substitute_event event, const char *name)
{
    static const char marks[] = {'+', '-', '!'};
    struct seen *seen = context;
    size_t len = strlen(seen->log);
    snprintf(seen->log + len, sizeof seen->log - len, "%c%s ", marks[event], name);
}

static void expect(const char *text, const char *wanted, const char *wanted_log)
{
    struct seen seen = {""};
    const struct substitute_observer observer = {note, &seen};
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(config_substitute(span_of(text), &fake, &out, &observer, NULL), 0);
    assert_string_equal(buf_text(&out), wanted);
    assert_string_equal(seen.log, wanted_log);
}

static void test_plain_text_is_untouched(void **state)
{
    (void)state;
    expect("", "", "");
    expect("nothing here", "nothing here", "");
    expect("$HOST costs $5, 100% {x}", "$HOST costs $5, 100% {x}", "");
    expect("$$ and $", "$$ and $", "");
}

static void test_references_anywhere(void **state)
{
    (void)state;
    expect("${HOST}", "pi", "+HOST ");
    expect("http://${HOST}:80/${env:_x9}", "http://pi:80/under", "+HOST +_x9 ");
    expect("${HOST}${HOST}", "pipi", "+HOST +HOST ");
    expect("$${HOST}", "$pi", "+HOST ");
}

static void test_litellm_form_is_the_whole_text(void **state)
{
    (void)state;
    expect("os.environ/HOST", "pi", "+HOST ");
    expect("os.environ/NOPE", "os.environ/NOPE", "-NOPE ");
    expect(" os.environ/HOST", " os.environ/HOST", "");
    expect("see os.environ/HOST", "see os.environ/HOST", "");
    expect("os.environ/HOST/x", "os.environ/HOST/x", "!os.environ/HOST/x ");
    expect("os.environ/", "os.environ/", "!os.environ/ ");
}

static void test_unset_stays_as_written(void **state)
{
    (void)state;
    expect("a ${NOPE} b", "a ${NOPE} b", "-NOPE ");
    expect("${env:NOPE}", "${env:NOPE}", "-NOPE ");
    expect("${EMPTY}", "${EMPTY}", "-EMPTY ");
}

static void test_malformed_stays_as_written(void **state)
{
    (void)state;
    expect("${", "${", "!${ ");
    expect("${}", "${}", "!${} ");
    expect("${a b}", "${a b}", "!${a b} ");
    expect("${1A}", "${1A}", "!${1A} ");
    expect("${HOST:-x}", "${HOST:-x}", "!${HOST:-x} ");
    expect("${file:HOST}", "${file:HOST}", "!${file:HOST} ");
    expect("${HOST ${HOST}", "${HOST pi", "!${ +HOST ");
    expect("${HOST\n}", "${HOST\n}", "!${ ");
}

static void test_values_are_not_looked_through(void **state)
{
    (void)state;
    expect("${NESTED}", "${HOST} os.environ/HOST", "+NESTED ");
    expect("${YAML}", "{a: [1]}", "+YAML ");
}

static void test_a_long_name_is_malformed(void **state)
{
    (void)state;
    char text[SUBSTITUTE_NAME_MAX + 16] = "${";
    memset(text + 2, 'A', SUBSTITUTE_NAME_MAX + 1);
    strncat(text, "}", 2);
    struct seen seen = {""};
    const struct substitute_observer observer = {note, &seen};
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(config_substitute(span_of(text), &fake, &out, &observer, NULL), 0);
    assert_string_equal(buf_text(&out), text);
    assert_int_equal(seen.log[0], '!');
    assert_int_equal(strlen(seen.log), SUBSTITUTE_NAME_MAX + 2);
}

static void test_the_result_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(5);
    assert_int_equal(config_substitute(SPAN_LITERAL("abc${HOST}"), &fake, &out, NULL, &err), 0);
    buf_clear(&out);
    assert_int_equal(config_substitute(SPAN_LITERAL("abcd${HOST}"), &fake, &out, NULL, &err),
                     -E2BIG);
    assert_string_equal(err.text, "the value is longer than 5 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_is_untouched),
        cmocka_unit_test(test_references_anywhere),
        cmocka_unit_test(test_litellm_form_is_the_whole_text),
        cmocka_unit_test(test_unset_stays_as_written),
        cmocka_unit_test(test_malformed_stays_as_written),
        cmocka_unit_test(test_values_are_not_looked_through),
        cmocka_unit_test(test_a_long_name_is_malformed),
        cmocka_unit_test(test_the_result_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
