#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"

static void starts_empty(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(8);
    assert_string_equal(buf_text(&buf), "");
    assert_non_null(buf_span(&buf).data);
    assert_int_equal(buf_span(&buf).len, 0);
    buf_truncate(&buf, 0);
    buf_consume(&buf, 3);
    buf_clear(&buf);
    buf_finish(NULL);
    struct buf zeroed = {0};
    buf_finish(&zeroed);
    assert_false(buf_append_char(&zeroed, 'x')); // no maximum was named
    assert_true(buf_is_full(&zeroed));
    buf_finish(&zeroed);
}

static void appends_of_every_kind(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(100);
    assert_true(buf_append(&buf, "a\0b", 3));
    assert_true(buf_append(&buf, NULL, 0));
    assert_true(buf_append_span(&buf, SPAN_ABSENT));
    assert_true(buf_append_span(&buf, span_of("-span")));
    assert_true(buf_append_text(&buf, "-text"));
    assert_true(buf_append_char(&buf, '!'));
    assert_true(buf_printf(&buf, "%d%s", 42, "?"));
    static const char wanted[] = "a\0b-span-text!42?";
    assert_int_equal(buf.len, sizeof wanted - 1);
    assert_memory_equal(buf_text(&buf), wanted, sizeof wanted); // its NUL too
}

static void all_or_nothing_at_the_maximum(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(10);
    assert_true(buf_append_text(&buf, "0123456789")); // exactly full is not over-full
    assert_false(buf_is_full(&buf));
    assert_true(buf_append(&buf, "", 0));
    assert_false(buf_append_char(&buf, 'x'));
    assert_true(buf_is_full(&buf));
    assert_string_equal(buf_text(&buf), "0123456789");

    buf_truncate(&buf, 8);
    assert_false(buf_append_text(&buf, "abc"));
    assert_false(buf_printf(&buf, "%s", "abc"));
    assert_string_equal(buf_text(&buf), "01234567");
    assert_true(buf_printf(&buf, "%s", "ab"));
    assert_true(buf_is_full(&buf)); // it stays known that something is missing
    assert_string_equal(buf_text(&buf), "01234567ab");
    buf_clear(&buf);
    assert_false(buf_is_full(&buf));
    assert_string_equal(buf_text(&buf), "");
    assert_null(buf_reserve(&buf, SIZE_MAX)); // and no sum overflows
    assert_null(buf_reserve(&buf, 11));
    assert_true(buf.capacity <= 11);
}

static void grows_in_proportion(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    BUF_AUTO buf = BUF_INIT(BYTES);
    unsigned moves = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < BYTES; i++) {
        assert_true(buf_append_char(&buf, (char)('a' + i % 26)));
        moves += buf.capacity != capacity;
        capacity = buf.capacity;
    }
    assert_true(moves < 40);
    assert_true(buf.capacity <= BYTES + 1);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(buf.data[i], 'a' + (int)(i % 26));
    assert_int_equal(buf.data[BYTES], 0);
}

static void reserved_room(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(200);
    assert_true(buf_append_text(&buf, "head"));
    char *room = buf_reserve(&buf, 196);
    assert_non_null(room);
    memset(room, 'x', 196); // all of it may be written
    assert_int_equal(buf.len, 4);
    buf_grow_by(&buf, 2);
    assert_string_equal(buf_text(&buf), "headxx");
}

static void dropping(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(100);
    buf_append_text(&buf, "hello world");
    buf_consume(&buf, 6);
    assert_string_equal(buf_text(&buf), "world");
    buf_truncate(&buf, 99); // never longer
    assert_string_equal(buf_text(&buf), "world");
    buf_truncate(&buf, 3);
    assert_string_equal(buf_text(&buf), "wor");
    buf_append(&buf, "\0\0x", 3);
    buf_replace(&buf, '\0', '-');
    assert_string_equal(buf_text(&buf), "wor--x");
    size_t capacity = buf.capacity;
    buf_consume(&buf, 99);
    assert_string_equal(buf_text(&buf), "");
    buf_clear(&buf);
    assert_int_equal(buf.capacity, capacity);
}

static void taking(void **state)
{
    (void)state;
    BUF_AUTO buf;
    buf_init(&buf, 10);
    char *empty = buf_take_text(&buf);
    assert_string_equal(empty, "");
    free(empty);
    buf_append_text(&buf, "mine");
    char *text = buf_take_text(&buf);
    assert_string_equal(buf_text(&buf), "");
    assert_true(buf_append_text(&buf, "0123456789")); // the maximum is still known
    assert_false(buf_append_char(&buf, 'x'));
    assert_string_equal(text, "mine");
    free(text);
    buf_finish(&buf);
    assert_true(buf_append_char(&buf, 'y')); // and after finish
    assert_string_equal(buf_text(&buf), "y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(appends_of_every_kind),
        cmocka_unit_test(all_or_nothing_at_the_maximum),
        cmocka_unit_test(grows_in_proportion),
        cmocka_unit_test(reserved_room),
        cmocka_unit_test(dropping),
        cmocka_unit_test(taking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
