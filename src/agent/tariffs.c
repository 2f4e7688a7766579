#include "agent/tariffs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/fact.h"

struct known {
    struct list link;
    char *asked, *paid;
};

static void known_destroy(struct tariffs *tariffs, struct known *known)
{
    list_remove(&known->link);
    free(known->asked);
    free(known->paid);
    free(known);
    tariffs->count--;
}

void tariffs_init(struct tariffs *tariffs)
{
    list_init(&tariffs->known);
    tariffs->count = 0;
}

void tariffs_finish(struct tariffs *tariffs)
{
    while (!list_empty(&tariffs->known))
        known_destroy(tariffs, list_entry(tariffs->known.next, struct known, link));
}

void tariffs_fact(const char *asked, struct buf *out)
{
    buf_printf(out, "tariff:%s", asked);
}

static struct known *find(const struct tariffs *tariffs, const char *asked)
{
    list_for_each(link, &tariffs->known) {
        struct known *known = list_entry(link, struct known, link);
        if (strcmp(known->asked, asked) == 0)
            return known;
    }
    return NULL;
}

static struct known *look_up(struct tariffs *tariffs, struct store *store, const char *asked)
{
    BUF_AUTO fact = BUF_INIT(STORE_FACT_MAX);
    BUF_AUTO paid = BUF_INIT(STORE_FACT_MAX);
    tariffs_fact(asked, &fact);
    store_read_fact(store, buf_span(&fact), &paid, NULL);
    if (tariffs->count == TARIFFS_MAX)
        known_destroy(tariffs, list_entry(tariffs->known.next, struct known, link));
    struct known *known = mem_new(struct known);
    known->asked = mem_strdup(asked);
    known->paid = buf_take_text(&paid);
    list_append(&tariffs->known, &known->link);
    tariffs->count++;
    return known;
}

static enum tariff_news compare(const char *before, const char *now)
{
    static const char unknown[] = {CHAT_TARIFF_UNKNOWN, '\0'};
    struct span old_who = span_of(before), new_who = span_of(now);
    struct span old_price = span_cut(&old_who, ' '), new_price = span_cut(&new_who, ' ');
    bool same_who = span_equal(old_who, new_who), same_price = span_equal(old_price, new_price);
    if (same_price && (same_who || !span_is(new_price, unknown)))
        return TARIFF_AS_KNOWN;
    return same_who && span_is(old_price, unknown) ? TARIFF_LEARNT : TARIFF_CHANGED;
}

enum tariff_news tariffs_note(struct tariffs *tariffs, struct store *store,
                              const struct chat_tariff *tariff)
{
    struct known *known = find(tariffs, tariff->asked);
    if (!known)
        known = look_up(tariffs, store, tariff->asked);
    enum tariff_news news = compare(known->paid, tariff->paid);
    if (news == TARIFF_AS_KNOWN)
        return news;
    free(known->paid);
    known->paid = mem_strdup(tariff->paid);
    return news;
}

void tariffs_forget(struct tariffs *tariffs, const char *asked)
{
    struct known *known = find(tariffs, asked);
    if (known)
        known_destroy(tariffs, known);
}
