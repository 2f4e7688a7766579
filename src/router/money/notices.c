#include "router/money/notices.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "router/money/price_notice.h"
#include "store/key_value.h"

struct router_notices {
    struct store *store;
    struct list notices; // struct notice, the newest last
    size_t count;
};

struct notice {
    struct list link;
    char *asked, *paid;
    char *work; // that tells it; NULL: it was told, and is written down
};

static struct notice *notice_add(struct router_notices *notices, const char *asked, char *paid)
{
    struct notice *notice = mem_new(struct notice);
    notice->asked = mem_strdup(asked);
    notice->paid = paid;
    list_append(&notices->notices, &notice->link);
    notices->count++;
    return notice;
}

static void notice_destroy(struct router_notices *notices, struct notice *notice)
{
    list_remove(&notice->link);
    free(notice->asked);
    free(notice->paid);
    free(notice->work);
    free(notice);
    notices->count--;
}

struct router_notices *router_notices_create(struct store *store)
{
    struct router_notices *notices = mem_new(struct router_notices);
    notices->store = store;
    list_init(&notices->notices);
    return notices;
}

void router_notices_destroy(struct router_notices *notices)
{
    if (!notices)
        return;
    while (!list_empty(&notices->notices))
        notice_destroy(notices, list_entry(notices->notices.next, struct notice, link));
    free(notices);
}

static void write_name(const char *asked, struct buf *out)
{
    buf_printf(out, "tariff:%s", asked);
}

// The newest of the name. NULL: what was told cannot be read now.
static struct notice *newest(struct router_notices *notices, const char *asked)
{
    BUF_AUTO name = BUF_INIT(STORE_KEY_MAX);
    BUF_AUTO paid = BUF_INIT(STORE_KEY_MAX);
    struct notice *found = NULL;
    list_for_each(link, &notices->notices) {
        struct notice *notice = list_entry(link, struct notice, link);
        if (strcmp(notice->asked, asked) == 0)
            found = notice;
    }
    if (found)
        return found;
    write_name(asked, &name);
    if (store_read_key_value(notices->store, buf_span(&name), &paid, NULL) < 0)
        return NULL;
    list_for_each(link, &notices->notices) { // one that is still to be told is never forgotten
        struct notice *notice = list_entry(link, struct notice, link);
        if (notices->count >= ROUTER_NOTICES_MAX && !notice->work)
            notice_destroy(notices, notice);
    }
    return notice_add(notices, asked, buf_take_text(&paid));
}

static void write_down(struct router_notices *notices, const struct notice *notice)
{
    BUF_AUTO name = BUF_INIT(STORE_KEY_MAX);
    write_name(notice->asked, &name);
    store_write_key_value(notices->store, buf_span(&name), span_of(notice->paid), STORE_DURABLE,
                          NULL, NULL, NULL);
}

enum news { AS_KNOWN, LEARNT, CHANGED };

// To learn the price of somebody who is paid already is no news.
static enum news compare(const char *before, const char *now)
{
    static const char unknown[] = {ROUTER_PRICE_NOTICE_UNKNOWN, '\0'};
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
    struct notice *known = newest(notices, asked);
    enum news news = known ? compare(known->paid, paid) : AS_KNOWN;
    if (news == CHANGED) {
        list_for_each(link, &notices->notices) { // of one piece of work the last of a name counts
            struct notice *notice = list_entry(link, struct notice, link);
            if (notice->work && span_is(work, notice->work) && strcmp(notice->asked, asked) == 0)
                notice_destroy(notices, notice);
        }
        notice_add(notices, asked, mem_strdup(paid))->work = mem_strndup(work.data, work.len);
    } else if (news == LEARNT) {
        free(known->paid);
        known->paid = mem_strdup(paid);
        if (!known->work)
            write_down(notices, known);
    }
    return news == CHANGED;
}

// What came before one that was told counts no more, whoever was to tell it.
static void forget_earlier(struct router_notices *notices, const struct notice *told)
{
    list_for_each(link, &notices->notices) {
        struct notice *notice = list_entry(link, struct notice, link);
        if (notice == told)
            return;
        if (strcmp(notice->asked, told->asked) == 0)
            notice_destroy(notices, notice);
    }
}

void router_notices_end(struct router_notices *notices, const char *work, bool told)
{
    list_for_each(link, &notices->notices) {
        struct notice *notice = list_entry(link, struct notice, link);
        if (!notice->work || strcmp(notice->work, work) != 0)
            continue;
        if (told) {
            free(STEAL(notice->work));
            write_down(notices, notice);
            forget_earlier(notices, notice);
        } else {
            notice_destroy(notices, notice);
        }
    }
}
