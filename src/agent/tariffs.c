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

bool tariffs_note(struct tariffs *tariffs, struct store *store, const struct chat_tariff *tariff)
{
    struct known *known = find(tariffs, tariff->asked);
    if (!known)
        known = look_up(tariffs, store, tariff->asked);
    if (strcmp(known->paid, tariff->paid) == 0)
        return false;
    free(known->paid);
    known->paid = mem_strdup(tariff->paid);
    return true;
}

void tariffs_forget(struct tariffs *tariffs, const char *asked)
{
    struct known *known = find(tariffs, asked);
    if (known)
        known_destroy(tariffs, known);
}
