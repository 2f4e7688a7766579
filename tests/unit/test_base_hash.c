// links: base/span.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

// The figures are those of the algorithm's authors (draft-eastlake-fnv, appendix).
static void known_figures(void **state)
{
    (void)state;
    assert_true(hash_of(SPAN_ABSENT) == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_of(SPAN_LITERAL("")) == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_of(SPAN_LITERAL("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(hash_of(SPAN_LITERAL("foobar")) == UINT64_C(0x85944171f73967e8));
}

static void bytes_are_unsigned_and_may_be_nul(void **state)
{
    (void)state;
    assert_true(hash_of(span_make("\0", 1)) == UINT64_C(0xaf63bd4c8601b7df));
    assert_true(hash_of(span_make("\xff", 1)) == UINT64_C(0xaf64724c8602eb6e));
}

static void texts_in_a_row_are_as_one(void **state)
{
    (void)state;
    uint64_t parts = hash_add(hash_add(HASH_INIT, SPAN_LITERAL("foo")), SPAN_LITERAL("bar"));
    assert_true(parts == hash_of(SPAN_LITERAL("foobar")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_figures),
        cmocka_unit_test(bytes_are_unsigned_and_may_be_nul),
        cmocka_unit_test(texts_in_a_row_are_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
