#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/money/price_table.h"

// Which published prices are believed, what they come to, and that they come back as they were.

static bool add(struct router_price_table *table, const char *model, const char *const *prices)
{
    struct price_list_entry entry = {.model = span_of(model)};
    for (size_t i = 0; i < PRICE_LIST_ITEMS; i++)
        entry.prices[i] = span_of(prices[i]);
    return router_price_table_add(table, &entry);
}

#define ADD(table, model, ...) add(table, model, (const char *const[PRICE_LIST_ITEMS]){__VA_ARGS__})

static void assert_price(const struct router_price_table *table, const char *model,
                         struct router_price expected)
{
    const struct router_price *found = router_price_table_find(table, span_of(model));
    assert_non_null(found);
    assert_memory_equal(found, &expected, sizeof expected);
}

static void what_the_list_says(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    assert_true(ADD(&table, "all", "0.000003", "0.000015", "0.0000003", "0.00000375", "0.00002",
                    "0.01", "0.0048"));
    assert_true(ADD(&table, "some", "1e-7", "4e-7"));
    assert_true(ADD(&table, "apart", "1e-7", "4e-7", "0", "0", "0", "0", "0"));
    assert_true(ADD(&table, "free", "0", "0"));
    assert_true(ADD(&table, "tiny", "0.00000000000001", "0.00000008333333333333334"));
    assert_price(&table, "all",
                 (struct router_price){3000000, 15000000, 300000, 3750000, 20000000, 10000000000,
                                       4800000000});
    assert_price(&table, "some", (struct router_price){100000, 400000, -1, -1, -1, -1, -1});
    assert_price(&table, "apart", (struct router_price){100000, 400000, -1, -1, -1, 0, 0});
    assert_price(&table, "free", (struct router_price){0, 0, -1, -1, -1, -1, -1});
    assert_price(&table, "tiny", (struct router_price){1, 83334, -1, -1, -1, -1, -1});
    assert_null(router_price_table_find(&table, SPAN_LITERAL("another")));
    router_price_table_finish(&table);
}

static void what_is_not_believed(void **state)
{
    static const char *const absurd[] = {"-1",  "-0.1", "NaN",  "nan", "inf", "1e400", "1.01",
                                         "ten", "",     "0x10", "1,5", "--1", "1e99",  "true"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(absurd); i++)
        for (size_t at = 0; at < PRICE_LIST_REQUEST; at++) {
            struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
            const char *prices[PRICE_LIST_ITEMS] = {"1e-7", "4e-7"};
            prices[at] = absurd[i];
            assert_true(add(&table, "model", prices));
            assert_null(router_price_table_find(&table, SPAN_LITERAL("model")));
            ADD(&table, "model", "1e-7", "4e-7"); // what follows mends nothing
            assert_null(router_price_table_find(&table, SPAN_LITERAL("model")));
            router_price_table_finish(&table);
        }
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    ADD(&table, "a", "1e-7");
    ADD(&table, "b", NULL, "1e-7");
    ADD(&table, "c", "1e-7", "4e-7", NULL, NULL, NULL, "101");
    assert_null(router_price_table_find(&table, SPAN_LITERAL("a")));
    assert_null(router_price_table_find(&table, SPAN_LITERAL("b")));
    assert_null(router_price_table_find(&table, SPAN_LITERAL("c")));
    router_price_table_finish(&table);
}

static void of_several_sets_the_highest_counts(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    ADD(&table, "tiers", "0.000003", "0.000015", "3e-7");
    ADD(&table, "tiers", "0.000006", NULL, "6e-7");
    ADD(&table, "tiers", "0.000001", "0.00002");
    assert_int_equal(table.count, 1);
    assert_price(&table, "tiers", (struct router_price){6000000, 20000000, 600000, -1, -1, -1, -1});
    router_price_table_finish(&table);
}

static void the_dearer_way_into_a_cache_counts(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    ADD(&table, "hour", "1e-6", "4e-6", NULL, "1.25e-6", NULL, NULL, NULL, "2e-6");
    ADD(&table, "less", "1e-6", "4e-6", NULL, "1.25e-6", NULL, NULL, NULL, "1e-6");
    ADD(&table, "absurd", "1e-6", "4e-6", NULL, NULL, NULL, NULL, NULL, "-1");
    assert_price(&table, "hour", (struct router_price){1000000, 4000000, -1, 2000000, -1, -1, -1});
    assert_price(&table, "less", (struct router_price){1000000, 4000000, -1, 1250000, -1, -1, -1});
    assert_null(router_price_table_find(&table, SPAN_LITERAL("absurd")));
    router_price_table_finish(&table);
}

static void words_for_nothing_are_not_all(void **state)
{
    (void)state;
    for (size_t at = PRICE_LIST_CACHE_WRITE_HOUR + 1; at < PRICE_LIST_ITEMS; at++) {
        static const char *const costs[] = {"0.00001", "5", "-1", "what"};
        for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
            struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
            const char *prices[PRICE_LIST_ITEMS] = {"0", "0"};
            prices[at] = "0";
            add(&table, "free", prices);
            prices[at] = costs[i];
            add(&table, "not", prices);
            prices[1] = "1e-6";
            add(&table, "paid", prices);
            assert_price(&table, "free", (struct router_price){0, 0, -1, -1, -1, -1, -1});
            assert_price(&table, "paid", (struct router_price){0, 1000000, -1, -1, -1, -1, -1});
            assert_null(router_price_table_find(&table, SPAN_LITERAL("not")));
            BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
            router_price_table_write(&table, &text);
            assert_null(strstr(buf_text(&text), "not"));
            router_price_table_finish(&table);
        }
    }
}

static void what_tells_no_price(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    assert_false(router_price_table_tells(&table));
    ADD(&table, "bare", NULL);
    ADD(&table, "half", "1e-6");
    assert_false(router_price_table_tells(&table));
    ADD(&table, "unknowable", "-1", "-1");
    assert_true(router_price_table_tells(&table));
    router_price_table_finish(&table);
    ADD(&table, "free", "0", "0");
    assert_true(router_price_table_tells(&table));
    router_price_table_finish(&table);
}

static void as_many_as_there_is_room_for(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    char name[PRICE_LIST_NAME_MAX + 1];
    (void)state;
    for (int i = 0; i < ROUTER_PRICES_MAX; i++) {
        snprintf(name, sizeof name, "%0*d", PRICE_LIST_NAME_MAX, i);
        assert_true(ADD(&table, name, "0.9", "0.9", "0.9", "0.9", "0.9", "99", "99"));
    }
    assert_false(ADD(&table, "more", "1", "1"));
    assert_true(ADD(&table, name, "1", "1"));
    table.fetched_wall_ms = 5;
    BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
    router_price_table_write(&table, &text);
    router_price_table_finish(&table);
    assert_true(router_price_table_read(&table, buf_span(&text)));
    assert_in_range(table.count, 100, ROUTER_PRICES_MAX - 1);
    router_price_table_finish(&table);
}

static void names_that_would_break_the_text_are_not_kept(void **state)
{
    static const char *const names[] = {"two words", "a\nb", "a\tb", "caf\xc3\xa9", "\x7f"};
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(ADD(&table, names[i], "1e-7", "1e-7"));
    assert_int_equal(table.count, 0);
    router_price_table_finish(&table);
}

static void it_comes_back_as_it_was(void **state)
{
    struct router_price_table table = ROUTER_PRICE_TABLE_INIT, again = ROUTER_PRICE_TABLE_INIT;
    (void)state;
    ADD(&table, "vendor/model", "0.000003", "0.000015", "0.0000003", NULL, NULL, "0.01");
    ADD(&table, "absurd", "-1", "-1");
    ADD(&table, "free", "0", "0");
    table.fetched_wall_ms = 1700000000123;
    BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
    router_price_table_write(&table, &text);
    assert_string_equal(buf_text(&text),
                        "prices 1 1700000000123\n"
                        "vendor/model 3000000 15000000 300000 -1 -1 10000000000 -1\n"
                        "free 0 0 -1 -1 -1 -1 -1");
    assert_true(router_price_table_read(&again, buf_span(&text)));
    assert_int_equal(again.fetched_wall_ms, 1700000000123);
    assert_int_equal(again.count, 2);
    assert_price(&again, "free", (struct router_price){0, 0, -1, -1, -1, -1, -1});
    assert_price(&again, "vendor/model",
                 (struct router_price){3000000, 15000000, 300000, -1, -1, 10000000000, -1});
    router_price_table_finish(&table);
    router_price_table_finish(&again);
}

static void what_is_no_text_of_it(void **state)
{
    static const char *const texts[] = {
        "",
        "prices 2 5\nm 1 1 1 1 1 1 1",
        "prices 1 ",
        "prices 1 x",
        "prices 1 5\nm",
        "prices 1 5\nm 1 1 1 1 1 1",
        "prices 1 5\nm 1 1 1 1 1 1 1 1",
        "prices 1 5\nm 1 1 1 1 1 1 -2",
        "prices 1 5\nm 2000000000000 1 1 1 1 1 1",
        "prices 1 5\nm 1 1 1 1 1 1 1\nm 1 1 1 1 1 1 1",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct router_price_table table = ROUTER_PRICE_TABLE_INIT;
        assert_false(router_price_table_read(&table, span_of(texts[i])));
        assert_int_equal(table.fetched_wall_ms, -1);
        router_price_table_finish(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_list_says),
        cmocka_unit_test(what_is_not_believed),
        cmocka_unit_test(of_several_sets_the_highest_counts),
        cmocka_unit_test(the_dearer_way_into_a_cache_counts),
        cmocka_unit_test(words_for_nothing_are_not_all),
        cmocka_unit_test(what_tells_no_price),
        cmocka_unit_test(as_many_as_there_is_room_for),
        cmocka_unit_test(names_that_would_break_the_text_are_not_kept),
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_text_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
