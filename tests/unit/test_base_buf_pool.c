// links: base/buf_pool.c base/buf.c base/mem.c base/decimal.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf_pool.h"
#include "base/mem.h"

static void memory_comes_back(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);
    buf_pool_lend(&pool, 64, &a); // there is none: it gets its own
    assert_true(buf_append_text(&a, "secret"));
    char *memory = a.data;
    buf_pool_take_back(&pool, &a);
    assert_null(a.data);
    assert_int_equal(a.max, 4096);
    buf_pool_lend(&pool, 64, &b);
    assert_ptr_equal(b.data, memory);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_text(&b), "");
    assert_true(buf_append_text(&b, "x"));
    assert_string_equal(buf_text(&b), "x");
    buf_pool_take_back(&pool, &b);
    buf_pool_finish(&pool);
    assert_int_equal(pool.small.count + pool.large.count, 0);
}

// A buffer never gets more than it may hold, nor a second memory, and a full one starts afresh.
static void limits_hold(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    struct buf large = BUF_INIT(1 << 20), small = BUF_INIT(16), begun = BUF_INIT(4096);
    assert_non_null(buf_reserve(&large, BUF_POOL_LARGE_BYTES + 1));
    buf_pool_take_back(&pool, &large);
    assert_int_equal(pool.small.count + pool.large.count, 0); // too large to be kept
    assert_true(buf_append(&large, "0123456789012345678901234567890123456789", 40));
    buf_pool_take_back(&pool, &large);
    assert_int_equal(pool.small.count + pool.large.count, 1);
    buf_pool_lend(&pool, 64, &small);
    assert_null(small.data);
    assert_true(buf_append_text(&begun, "begun"));
    buf_pool_lend(&pool, 64, &begun);
    assert_string_equal(buf_text(&begun), "begun");
    assert_int_equal(pool.small.count + pool.large.count, 1);
    assert_false(buf_append(&small, "0123456789abcdefg", 17));
    buf_pool_take_back(&pool, &small);
    assert_false(buf_is_full(&small));
    buf_finish(&begun);
    buf_pool_finish(&pool);
}

static void no_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    for (int i = 0; i < BUF_POOL_SMALL_COUNT + 5; i++) {
        struct buf buf = BUF_INIT(64);
        assert_true(buf_append_text(&buf, "x"));
        buf_pool_take_back(&pool, &buf);
        assert_null(buf.data);
    }
    assert_int_equal(pool.small.count + pool.large.count, BUF_POOL_SMALL_COUNT);
    buf_pool_finish(&pool);
}

// They go when they were not needed for as long as from one trim to the next.
static void what_is_not_needed_is_trimmed(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    struct buf bufs[BUF_POOL_LARGE_COUNT + 1];
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        bufs[i] = (struct buf)BUF_INIT(1 << 20);
        assert_non_null(buf_reserve(&bufs[i], 100 * 1000));
    }
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_pool_take_back(&pool, &bufs[i]);
    assert_int_equal(pool.large.count, BUF_POOL_LARGE_COUNT);
    assert_true(buf_pool_trim(&pool)); // they have only just come
    for (size_t i = 0; i < 3; i++) {
        buf_pool_lend(&pool, 5 * 1000, &bufs[i]);
        assert_null(bufs[i].data); // for that it is too much
        buf_pool_lend(&pool, 50 * 1000, &bufs[i]);
        assert_true(bufs[i].capacity >= 100 * 1000);
    }
    for (size_t i = 0; i < 3; i++)
        buf_pool_take_back(&pool, &bufs[i]);
    assert_true(buf_pool_trim(&pool));
    assert_int_equal(pool.large.count, 3);
    assert_false(buf_pool_trim(&pool));
    assert_int_equal(pool.large.bytes, 0);
}

static void small_ones_too(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    struct buf bufs[5];
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        bufs[i] = (struct buf)BUF_INIT(64);
        assert_true(buf_append_text(&bufs[i], "x"));
    }
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_pool_take_back(&pool, &bufs[i]);
    assert_true(buf_pool_trim(&pool)); // they have only just come
    assert_int_equal(pool.small.count, 5);
    for (int i = 0; i < 10; i++) { // one after the other: it is always the same
        buf_pool_lend(&pool, 64, &bufs[0]);
        buf_pool_take_back(&pool, &bufs[0]);
    }
    assert_true(buf_pool_trim(&pool));
    assert_int_equal(pool.small.count, 1);
    assert_false(buf_pool_trim(&pool));
}

static void all_large_ones_are_bounded(void **state)
{
    (void)state;
    struct buf_pool pool = {.small.count = 0};
    for (int i = 0; i < BUF_POOL_LARGE_COUNT; i++) {
        struct buf buf = BUF_INIT(BUF_POOL_LARGE_BYTES - 1);
        assert_non_null(buf_reserve(&buf, BUF_POOL_LARGE_BYTES - 1));
        assert_int_equal(buf.capacity, BUF_POOL_LARGE_BYTES);
        buf_pool_take_back(&pool, &buf);
    }
    assert_int_equal(pool.large.count, BUF_POOL_LARGE_TOTAL / BUF_POOL_LARGE_BYTES);
    assert_int_equal(pool.large.bytes, BUF_POOL_LARGE_TOTAL);
    buf_pool_finish(&pool);
    assert_int_equal(pool.large.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_comes_back),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(no_more_than_there_is_room_for),
        cmocka_unit_test(what_is_not_needed_is_trimmed),
        cmocka_unit_test(small_ones_too),
        cmocka_unit_test(all_large_ones_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
