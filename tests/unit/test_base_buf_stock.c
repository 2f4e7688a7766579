// links: base/buf_stock.c base/buf.c base/mem.c base/decimal.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf_stock.h"
#include "base/mem.h"

static void memory_comes_back(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);
    buf_stock_lend(&stock, 64, &a); // there is none: it gets its own
    assert_true(buf_append_text(&a, "secret"));
    char *memory = a.data;
    buf_stock_take_back(&stock, &a);
    assert_null(a.data);
    assert_int_equal(a.max, 4096);
    buf_stock_lend(&stock, 64, &b);
    assert_ptr_equal(b.data, memory);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_text(&b), "");
    assert_true(buf_append_text(&b, "x"));
    assert_string_equal(buf_text(&b), "x");
    buf_stock_take_back(&stock, &b);
    buf_stock_finish(&stock);
    assert_int_equal(stock.small.count + stock.large.count, 0);
}

// A buffer never gets more than it may hold, nor a second memory, and a full one starts afresh.
static void limits_hold(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    struct buf large = BUF_INIT(1 << 20), small = BUF_INIT(16), begun = BUF_INIT(4096);
    assert_non_null(buf_reserve(&large, BUF_STOCK_LARGE_BYTES + 1));
    buf_stock_take_back(&stock, &large);
    assert_int_equal(stock.small.count + stock.large.count, 0); // too large to be kept
    assert_true(buf_append(&large, "0123456789012345678901234567890123456789", 40));
    buf_stock_take_back(&stock, &large);
    assert_int_equal(stock.small.count + stock.large.count, 1);
    buf_stock_lend(&stock, 64, &small);
    assert_null(small.data);
    assert_true(buf_append_text(&begun, "begun"));
    buf_stock_lend(&stock, 64, &begun);
    assert_string_equal(buf_text(&begun), "begun");
    assert_int_equal(stock.small.count + stock.large.count, 1);
    assert_false(buf_append(&small, "0123456789abcdefg", 17));
    buf_stock_take_back(&stock, &small);
    assert_false(buf_is_full(&small));
    buf_finish(&begun);
    buf_stock_finish(&stock);
}

static void no_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    for (int i = 0; i < BUF_STOCK_SMALL_COUNT + 5; i++) {
        struct buf buf = BUF_INIT(64);
        assert_true(buf_append_text(&buf, "x"));
        buf_stock_take_back(&stock, &buf);
        assert_null(buf.data);
    }
    assert_int_equal(stock.small.count + stock.large.count, BUF_STOCK_SMALL_COUNT);
    buf_stock_finish(&stock);
}

// They go when they were not needed for as long as from one trim to the next.
static void what_is_not_needed_is_trimmed(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    struct buf bufs[BUF_STOCK_LARGE_COUNT + 1];
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        bufs[i] = (struct buf)BUF_INIT(1 << 20);
        assert_non_null(buf_reserve(&bufs[i], 100 * 1000));
    }
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_stock_take_back(&stock, &bufs[i]);
    assert_int_equal(stock.large.count, BUF_STOCK_LARGE_COUNT);
    assert_true(buf_stock_trim(&stock)); // they have only just come
    for (size_t i = 0; i < 3; i++) {
        buf_stock_lend(&stock, 5 * 1000, &bufs[i]);
        assert_null(bufs[i].data); // for that it is too much
        buf_stock_lend(&stock, 50 * 1000, &bufs[i]);
        assert_true(bufs[i].capacity >= 100 * 1000);
    }
    for (size_t i = 0; i < 3; i++)
        buf_stock_take_back(&stock, &bufs[i]);
    assert_true(buf_stock_trim(&stock));
    assert_int_equal(stock.large.count, 3);
    assert_false(buf_stock_trim(&stock));
    assert_int_equal(stock.large.bytes, 0);
}

static void small_ones_too(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    struct buf bufs[5];
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        bufs[i] = (struct buf)BUF_INIT(64);
        assert_true(buf_append_text(&bufs[i], "x"));
    }
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_stock_take_back(&stock, &bufs[i]);
    assert_true(buf_stock_trim(&stock)); // they have only just come
    assert_int_equal(stock.small.count, 5);
    for (int i = 0; i < 10; i++) { // one after the other: it is always the same
        buf_stock_lend(&stock, 64, &bufs[0]);
        buf_stock_take_back(&stock, &bufs[0]);
    }
    assert_true(buf_stock_trim(&stock));
    assert_int_equal(stock.small.count, 1);
    assert_false(buf_stock_trim(&stock));
}

static void all_large_ones_are_bounded(void **state)
{
    (void)state;
    struct buf_stock stock = {.small.count = 0};
    for (int i = 0; i < BUF_STOCK_LARGE_COUNT; i++) {
        struct buf buf = BUF_INIT(BUF_STOCK_LARGE_BYTES - 1);
        assert_non_null(buf_reserve(&buf, BUF_STOCK_LARGE_BYTES - 1));
        assert_int_equal(buf.capacity, BUF_STOCK_LARGE_BYTES);
        buf_stock_take_back(&stock, &buf);
    }
    assert_int_equal(stock.large.count, BUF_STOCK_LARGE_TOTAL / BUF_STOCK_LARGE_BYTES);
    assert_int_equal(stock.large.bytes, BUF_STOCK_LARGE_TOTAL);
    buf_stock_finish(&stock);
    assert_int_equal(stock.large.bytes, 0);
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
