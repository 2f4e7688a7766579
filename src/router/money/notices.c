#include "router/money/notices.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "router/money/tariff.h"
#include "store/fact.h"

struct router_notices {
    struct store *store;
    struct list known; // struct known, the newest last
    size_t count;
};

struct known {
    struct list link;
    char *asked, *paid;
    char *work; // that tells it; NULL: it is written down
};

static void known_destroy(struct router_notices *notices, struct known *known)
{
    list_remove(&known->link);
    free(known->asked);
    free(known->paid);
    free(known->work);
    free(known);
    notices->count--;
}

struct router_notices *router_notices_create(struct store *store)
{
    struct router_notices *notices = mem_new(struct router_notices);
    notices->store = store;
    list_init(&notices->known);
    return notices;
}

void router_notices_destroy(struct router_notices *notices)
{
    if (!notices)
        return;
    while (!list_empty(&notices->known))
        known_destroy(notices, list_entry(notices->known.next, struct known, link));
    free(notices);
}

static void write_name(const char *asked, struct buf *out)
{
    buf_printf(out, "tariff:%s", asked);
}

static struct known *look_up(struct router_notices *notices, const char *asked)
{
    BUF_AUTO name = BUF_INIT(STORE_FACT_MAX);
    BUF_AUTO paid = BUF_INIT(STORE_FACT_MAX);
    list_for_each(link, &notices->known) {
        struct known *known = list_entry(link, struct known, link);
        if (strcmp(known->asked, asked) == 0)
            return known;
    }
    write_name(asked, &name);
    store_read_fact(notices->store, buf_span(&name), &paid, NULL);
    if (notices->count == ROUTER_NOTICES_MAX)
        known_destroy(notices, list_entry(notices->known.next, struct known, link));
    struct known *known = mem_new(struct known);
    known->asked = mem_strdup(asked);
    known->paid = buf_take_text(&paid);
    list_append(&notices->known, &known->link);
    notices->count++;
    return known;
}

static void write_down(struct router_notices *notices, const struct known *known)
{
    BUF_AUTO name = BUF_INIT(STORE_FACT_MAX);
    write_name(known->asked, &name);
    store_write_fact(notices->store, buf_span(&name), span_of(known->paid), STORE_DURABLE, NULL,
                     NULL, NULL);
}

enum news { AS_KNOWN, LEARNT, CHANGED };

// To learn the price of somebody who is paid already is no news.
static enum news compare(const char *before, const char *now)
{
    static const char unknown[] = {ROUTER_TARIFF_UNKNOWN, '\0'};
    struct span old_who = span_of(before), new_who = span_of(now);
    struct span old_price = span_cut(&old_who, ' '), new_price = span_cut(&new_who, ' ');
    bool same_who = span_equal(old_who, new_who), same_price = span_equal(old_price, new_price);
    if (same_price && (same_who || !span_is(new_price, unknown)))
        return AS_KNOWN;
    return same_who && span_is(old_price, unknown) ? LEARNT : CHANGED;
}

bool router_notices_is_news(struct router_notices *notices, const char *asked, const char *paid,
                            struct span work)
{
    struct known *known = look_up(notices, asked);
    enum news news = compare(known->paid, paid);
    if (news == AS_KNOWN)
        return false;
    free(known->paid);
    known->paid = mem_strdup(paid);
    if (news == CHANGED) {
        free(known->work);
        known->work = mem_strndup(work.data, work.len);
    } else if (!known->work) {
        write_down(notices, known);
    }
    return news == CHANGED;
}

void router_notices_end(struct router_notices *notices, const char *work, bool told)
{
    list_for_each(link, &notices->known) {
        struct known *known = list_entry(link, struct known, link);
        if (!known->work || strcmp(known->work, work) != 0)
            continue;
        free(STEAL(known->work));
        if (told)
            write_down(notices, known);
        else
            known_destroy(notices, known);
    }
}
