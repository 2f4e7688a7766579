#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"

static void set_writes_the_sentence_and_returns_the_code(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(err.code, 0);
    assert_string_equal(err.text, "");
    assert_int_equal(error_set(&err, -EINVAL, "no %s in %d", "salt", 7), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.text, "no salt in 7");
    assert_int_equal(error_set(&err, 3, "again"), 3);
    assert_string_equal(err.text, "again");
}

static void errno_appends_its_text_and_negates(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(error_errno(&err, ENOENT, "cannot open %s", "x"), -ENOENT);
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.text, "cannot open x: No such file or directory");
}

static void wrap_puts_a_clause_before(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, -EIO, "it broke");
    assert_int_equal(error_wrap(&err, "the %s", "disk"), -EIO);
    assert_int_equal(error_wrap(&err, "saving"), -EIO);
    assert_string_equal(err.text, "saving: the disk: it broke");
}

static void nobody_needs_the_sentence(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
    assert_int_equal(error_errno(NULL, EPERM, "x"), -EPERM);
    assert_true(error_wrap(NULL, "x") < 0);
}

static void long_sentences_are_cut(void **state)
{
    (void)state;
    char text[2 * ERROR_TEXT_MAX];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct {
        struct error err;
        char after[16];
    } box = {.after = "untouched"};
    error_set(&box.err, -1, "%s", text);
    assert_int_equal(strlen(box.err.text), ERROR_TEXT_MAX - 1);
    error_errno(&box.err, EIO, "%s", text);
    assert_int_equal(strlen(box.err.text), ERROR_TEXT_MAX - 1);
    error_wrap(&box.err, "%s", "outer");
    assert_int_equal(strlen(box.err.text), ERROR_TEXT_MAX - 1);
    assert_memory_equal(box.err.text, "outer: aaa", 10);
    error_wrap(&box.err, "%s", text);
    assert_int_equal(strlen(box.err.text), ERROR_TEXT_MAX - 1);
    assert_memory_equal(box.err.text, "aaaa", 4);
    assert_string_equal(box.after, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_writes_the_sentence_and_returns_the_code),
        cmocka_unit_test(errno_appends_its_text_and_negates),
        cmocka_unit_test(wrap_puts_a_clause_before),
        cmocka_unit_test(nobody_needs_the_sentence),
        cmocka_unit_test(long_sentences_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
