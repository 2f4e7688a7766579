#include "llm/price_list.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "router/money/price_table.h"

/*
 * What is read of a list does not depend on how the network cuts it, and neither does whether it is
 * one. What is believed of it is a price, and is the same after it was kept as text; and that text
 * itself may be anything.
 */
enum { LIST_BYTES_MAX = 4096, RECORD_BYTES_MAX = 1 << 20 };

struct reading {
    struct buf record;
    struct router_price_table table;
};

static void on_entry(void *context, const struct price_list_entry *entry)
{
    struct reading *reading = context;
    buf_append_span(&reading->record, entry->model);
    for (size_t i = 0; i < PRICE_LIST_ITEMS; i++) {
        buf_append_char(&reading->record, entry->prices[i].data ? '\n' : '\r');
        buf_append_span(&reading->record, entry->prices[i]);
    }
    router_price_table_add(&reading->table, entry);
}

static int read_in(struct span text, size_t step, struct reading *reading)
{
    struct price_list *list = price_list_create(on_entry, reading);
    int r = 0;
    buf_init(&reading->record, RECORD_BYTES_MAX);
    reading->table = (struct router_price_table)ROUTER_PRICE_TABLE_INIT;
    while (text.len && r == 0) {
        size_t len = text.len < step ? text.len : step;
        char *piece = mem_alloc(len);
        memcpy(piece, text.data, len);
        r = price_list_feed(list, span_make(piece, len), NULL);
        free(piece);
        text = span_skip(text, len);
    }
    if (r == 0)
        r = price_list_end(list, NULL);
    price_list_destroy(list);
    return r;
}

static void finish(struct reading *reading)
{
    buf_finish(&reading->record);
    router_price_table_finish(&reading->table);
}

static void keep_and_compare(struct router_price_table *table)
{
    struct router_price_table again = ROUTER_PRICE_TABLE_INIT;
    BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
    table->fetched_wall_ms = 1;
    router_price_table_write(table, &text);
    REQUIRE(router_price_table_read(&again, buf_span(&text)));
    for (size_t i = 0; i < table->count; i++) {
        struct span model = span_of(table->models[i].model);
        const struct router_price *a = router_price_table_find(table, model);
        const struct router_price *b = router_price_table_find(&again, model);
        REQUIRE(!a == !b);
        REQUIRE(!a || (a->input_pico >= 0 && a->output_pico >= 0));
        REQUIRE(!a || memcmp(a, b, sizeof *a) == 0);
    }
    router_price_table_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct reading whole, pieces;
    if (size > LIST_BYTES_MAX)
        return 0;
    int r = read_in(text, size, &whole);
    const size_t steps[] = {1, 7, 64};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        REQUIRE(read_in(text, steps[i], &pieces) == r);
        REQUIRE(span_equal(buf_span(&whole.record), buf_span(&pieces.record)));
        finish(&pieces);
    }
    keep_and_compare(&whole.table);
    finish(&whole);
    struct router_price_table kept = ROUTER_PRICE_TABLE_INIT;
    router_price_table_read(&kept, text);
    router_price_table_finish(&kept);
    return 0;
}
