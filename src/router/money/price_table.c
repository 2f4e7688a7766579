#include "router/money/price_table.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/money.h"

/*
 * A list is a stranger's word, and a bound rests on it: a model of which one price cannot be
 * believed has none here. Negative prices are how the list says that it cannot be known ("-1": a
 * model that chooses among others).
 *
 * The list says "0" of what is not charged apart, so tokens of reasoning and of a cache then cost
 * what other tokens do. That a model is paid by its requests alone is told by its prompt and
 * completion being "0" too, and stays so. But one that takes no money for words and some for sound,
 * made images or a search is not free: what a call of it costs is not known here.
 */
#define TOKEN_MAX_PICO MONEY_DOLLAR        // of one token
#define CALL_MAX_PICO (100 * MONEY_DOLLAR) // of one request, or image

static const char magic[] = "prices 1 ";

int64_t *router_price_part(struct router_price *price, size_t index)
{
    int64_t *const fields[ROUTER_PRICE_PARTS] = {
        [PRICE_LIST_PROMPT] = &price->input_pico,
        [PRICE_LIST_COMPLETION] = &price->output_pico,
        [PRICE_LIST_CACHE_READ] = &price->cache_read_pico,
        [PRICE_LIST_CACHE_WRITE] = &price->cache_write_pico,
        [PRICE_LIST_REASONING] = &price->reasoning_pico,
        [PRICE_LIST_REQUEST] = &price->request_pico,
        [PRICE_LIST_IMAGE] = &price->image_pico,
    };
    _Static_assert((int)PRICE_LIST_CACHE_WRITE_HOUR == (int)ROUTER_PRICE_PARTS,
                   "what follows is none of ours");
    return fields[index];
}

static bool is_believed(size_t index, int64_t pico)
{
    return pico <= (index < PRICE_LIST_REQUEST ? TOKEN_MAX_PICO : CALL_MAX_PICO);
}

static bool is_usable(const struct router_listed_price *listed)
{
    bool free_words = listed->price.input_pico == 0 && listed->price.output_pico == 0;
    return !listed->unfit && !(listed->extra && free_words);
}

static struct router_listed_price *find(const struct router_price_table *table, struct span model)
{
    for (size_t i = 0; i < table->count; i++)
        if (span_is(model, table->models[i].model))
            return &table->models[i];
    return NULL;
}

static struct router_listed_price *add(struct router_price_table *table, struct span model)
{
    static const struct router_price unknown = ROUTER_PRICE_UNKNOWN;
    if (table->count == ROUTER_PRICES_MAX || span_printable(model) != model.len ||
        span_find(model, SPAN_LITERAL(" ")) >= 0)
        return NULL;
    table->models =
        mem_grow(table->models, table->count + 1, &table->capacity, sizeof *table->models);
    struct router_listed_price *listed = &table->models[table->count++];
    *listed =
        (struct router_listed_price){mem_strndup(model.data, model.len), unknown, false, false};
    return listed;
}

static void take(struct router_listed_price *listed, size_t index, struct span text)
{
    int64_t pico = 0;
    bool is_price = money_parse(text, &pico);
    if (index >= ROUTER_PRICE_PARTS) {
        listed->extra = listed->extra || !is_price || pico > 0;
        return;
    }
    int64_t *known = router_price_part(&listed->price, index);
    bool apart = index == PRICE_LIST_CACHE_READ || index == PRICE_LIST_CACHE_WRITE ||
                 index == PRICE_LIST_REASONING;
    if (!is_price || !is_believed(index, pico))
        listed->unfit = true;
    else if (pico > *known && (pico > 0 || !apart))
        *known = pico;
}

bool router_price_table_add(struct router_price_table *table, const struct price_list_entry *entry)
{
    struct router_listed_price *listed = find(table, entry->model);
    if (!listed)
        listed = add(table, entry->model);
    for (size_t i = 0; listed && i < PRICE_LIST_ITEMS; i++)
        if (entry->prices[i].data) // how long a cache lasts is not known here: the dearer counts
            take(listed, i == PRICE_LIST_CACHE_WRITE_HOUR ? PRICE_LIST_CACHE_WRITE : i,
                 entry->prices[i]);
    return listed != NULL;
}

const struct router_price *router_price_table_find(const struct router_price_table *table,
                                                   struct span model)
{
    const struct router_listed_price *listed = find(table, model);
    return listed && is_usable(listed) && router_price_known(&listed->price) ? &listed->price
                                                                             : NULL;
}

bool router_price_table_tells(const struct router_price_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->models[i].unfit || router_price_known(&table->models[i].price))
            return true;
    return false;
}

void router_price_table_finish(struct router_price_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->models[i].model);
    free(table->models);
    *table = (struct router_price_table)ROUTER_PRICE_TABLE_INIT;
}

// A line for each model, which has no blanks in it: MODEL PRICE ... in pico. What is not known is
// left out, so that a reading of it asks anew.
void router_price_table_write(const struct router_price_table *table, struct buf *out)
{
    buf_append_text(out, magic);
    buf_append_int(out, table->fetched_wall_ms);
    for (size_t i = 0; i < table->count; i++) {
        struct router_listed_price *listed = &table->models[i];
        size_t before = out->len;
        bool fits =
            is_usable(listed) && buf_append_char(out, '\n') && buf_append_text(out, listed->model);
        for (size_t j = 0; fits && j < ROUTER_PRICE_PARTS; j++)
            fits = buf_append_char(out, ' ') &&
                   buf_append_int(out, *router_price_part(&listed->price, j));
        if (!fits)
            buf_truncate(out, before);
    }
}

static bool read_line(struct router_price_table *table, struct span line)
{
    struct span model = span_cut(&line, ' ');
    struct router_listed_price *listed = find(table, model) ? NULL : add(table, model);
    for (size_t i = 0; listed && i < ROUTER_PRICE_PARTS; i++) {
        int64_t *pico = router_price_part(&listed->price, i);
        if (!span_to_i64(span_cut(&line, ' '), pico) || *pico < -1 || !is_believed(i, *pico))
            return false;
    }
    return listed && line.len == 0;
}

bool router_price_table_read(struct router_price_table *table, struct span text)
{
    struct router_price_table made = ROUTER_PRICE_TABLE_INIT;
    struct span head = span_cut(&text, '\n');
    bool good = span_starts_with(head, magic) &&
                span_to_i64(span_skip(head, sizeof magic - 1), &made.fetched_wall_ms);
    while (good && text.len)
        good = read_line(&made, span_cut(&text, '\n'));
    if (good)
        *table = made;
    else
        router_price_table_finish(&made);
    return good;
}
