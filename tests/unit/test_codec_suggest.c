#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/suggest.h"

static unsigned distance(const char *a, const char *b)
{
    unsigned there = suggest_distance(span_of(a), span_of(b), 9);
    assert_int_equal(there, suggest_distance(span_of(b), span_of(a), 9));
    return there;
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("model", "model"), 0);
    assert_int_equal(distance("model", "modle"), 1); // swapped
    assert_int_equal(distance("model", "mode"), 1);
    assert_int_equal(distance("model", "models"), 1);
    assert_int_equal(distance("model", "modal"), 1);
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(distance("max-tokens", "MAX_TOKENS"), 0);
    assert_int_equal(distance("abcdefghijkl", "mnopqrstuvwx"), 10); // limit + 1
    assert_int_equal(suggest_distance(SPAN_LITERAL("kitten"), SPAN_LITERAL("sitting"), 2), 3);
    char word[SUGGEST_WORD_MAX + 1];
    memset(word, 'a', sizeof word);
    assert_int_equal(suggest_distance(span_make(word, sizeof word), span_make(word, 1), 70), 71);
    assert_int_equal(suggest_distance(span_make(word, SUGGEST_WORD_MAX), span_make(word, 1), 70),
                     63);
}

static const char *nearest(const char *word)
{
    static const char *const names[] = {"model", "mode", "base_url", "max_tokens", "timeout", "on"};
    return suggest_nearest(span_of(word), names, sizeof names / sizeof names[0]);
}

static void test_nearest(void **state)
{
    (void)state;
    assert_string_equal(nearest("modle"), "model");
    assert_string_equal(nearest("mode"), "mode");
    assert_string_equal(nearest("base-urls"), "base_url");
    assert_string_equal(nearest("max_token"), "max_tokens");
    assert_string_equal(nearest("timeuot"), "timeout");
    assert_null(nearest("telegram"));
    assert_null(nearest("of")); // one of two letters is not near
    assert_null(nearest(""));
    assert_null(suggest_nearest(SPAN_LITERAL("model"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
