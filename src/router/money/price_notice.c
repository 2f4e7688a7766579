#include "router/money/price_notice.h"

#include <inttypes.h>
#include <string.h>

#include "codec/money.h"
#include "router/money/price_table.h"

/*
 * Whether somebody else answered is no matter; whether it is paid otherwise is. What a name itself
 * costs is what the deployments cost that are asked first: those of the lowest order, without the
 * last resorts. Where a price is not known, only the same model of the same provider can be taken
 * to cost the same.
 */
enum {
    MILLION = 1000000,    // tokens, by which prices are told
    NAME_SHOWN_MAX = 200, // bytes
};

// Whether the deployment is one of those that are asked first.
static bool is_first(const struct router_price_notice *notice, const struct router_deployment *d)
{
    const struct router_group *group = &notice->plan->groups[notice->group];
    for (size_t i = 0; i < group->count; i++) {
        const struct router_deployment *other = &notice->plan->deployments[group->members[i]];
        bool before = other->order < d->order ||
                      (other->order == d->order && other->weight_micro > 0 && d->weight_micro == 0);
        if (before && !other->trouble)
            return false;
    }
    return !d->trouble;
}

static int64_t said(int64_t price, int64_t otherwise)
{
    return price < 0 ? otherwise : price;
}

// With all that it does not say apart.
static struct router_price price_of(const struct router_price_notice *notice,
                                    const struct router_deployment *d)
{
    struct router_price price = notice->price ? notice->price(notice->context, d) : d->price;
    price.cache_read_pico = said(price.cache_read_pico, price.input_pico);
    price.cache_write_pico = said(price.cache_write_pico, price.input_pico);
    price.reasoning_pico = said(price.reasoning_pico, price.output_pico);
    price.request_pico = said(price.request_pico, 0);
    price.image_pico = said(price.image_pico, 0);
    return price;
}

_Static_assert(sizeof(struct router_price) == ROUTER_PRICE_PARTS * sizeof(int64_t),
               "prices are compared byte by byte");

static bool same_price(const struct router_price_notice *notice, const struct router_deployment *a,
                       const struct router_deployment *b)
{
    const struct router_price p = price_of(notice, a), q = price_of(notice, b);
    if (router_price_known(&p) && router_price_known(&q))
        return memcmp(&p, &q, sizeof p) == 0;
    return !router_price_known(&p) && !router_price_known(&q) &&
           strcmp(a->provider, b->provider) == 0 && strcmp(a->model, b->model) == 0;
}

// The first of those that are asked first and, with `alike`, cost what the answer does. NULL: none.
static const struct router_deployment *find_first(const struct router_price_notice *notice,
                                                  bool alike)
{
    const struct router_group *group = &notice->plan->groups[notice->group];
    for (size_t i = 0; i < group->count; i++) {
        const struct router_deployment *d = &notice->plan->deployments[group->members[i]];
        if (is_first(notice, d) &&
            (!alike || d == notice->answered || same_price(notice, d, notice->answered)))
            return d;
    }
    return NULL;
}

static bool is_free(const struct router_price *price)
{
    return price->input_pico == 0 && price->output_pico == 0 && price->request_pico == 0 &&
           price->image_pico == 0;
}

// "$0.28/$0.42 per million tokens", in and out.
static void write_price(const struct router_price *price, bool unit, struct buf *out)
{
    char in[MONEY_TEXT_SIZE], back[MONEY_TEXT_SIZE], call[MONEY_TEXT_SIZE];
    buf_printf(out, "%s/%s%s", money_format(money_mul(price->input_pico, MILLION), in),
               money_format(money_mul(price->output_pico, MILLION), back),
               unit ? " per million tokens" : "");
    if (price->request_pico > 0)
        buf_printf(out, " and %s per call", money_format(price->request_pico, call));
}

static void write_cost(const struct router_price *price, struct buf *out)
{
    if (!router_price_known(price)) {
        buf_append_text(out, ", at an unknown price");
    } else if (is_free(price)) {
        buf_append_text(out, ", which costs nothing");
    } else {
        buf_append_text(out, ", which costs ");
        write_price(price, true, out);
    }
}

// What people are told of why the one that was asked does not answer; the others just did not.
static const char *const reasons[ROUTER_ERRORS] = {
    [ROUTER_CONTEXT_WINDOW] = "has too small a context",
    [ROUTER_CONTENT_POLICY] = "refused the content",
    [ROUTER_TIMEOUT] = "did not answer in time",
    [ROUTER_API_CONNECTION] = "could not be reached",
    [ROUTER_INTERRUPTED] = "broke off",
    [ROUTER_MALFORMED] = "gave an answer that cannot be read",
    [ROUTER_EMPTY] = "gave an empty answer",
    [ROUTER_BUDGET] = "is held back by a budget",
    [ROUTER_NO_DEPLOYMENT] = "cannot be asked at the moment",
    [ROUTER_EXHAUSTED] =
        "cannot be asked, because this machine has run out of descriptors or memory",
};

static void write_reason(const struct router_failure *failed, struct buf *out)
{
    const char *reason = failed ? reasons[failed->error] : reasons[ROUTER_NO_DEPLOYMENT];
    if (reason)
        buf_append_text(out, reason);
    else if (failed->upstream_status >= 400)
        buf_printf(out, "did not answer (HTTP %d)", failed->upstream_status);
    else
        buf_append_text(out, "did not answer");
}

// By its group, or within that by its model; a wildcard is no name.
static const char *name_of(const struct router_price_notice *notice)
{
    const struct router_deployment *d = notice->answered;
    const char *name = notice->plan->groups[d->group].name;
    if (d->group == notice->group || strchr(name, '*'))
        name = d->litellm_name;
    return strchr(name, '*') ? d->provider : name;
}

static void write_switch(const struct router_price_notice *notice, struct buf *out)
{
    const struct router_deployment *first = find_first(notice, false);
    const struct router_price now = price_of(notice, notice->answered), *price = &now;
    const struct router_price usual = first ? price_of(notice, first) : now;
    buf_printf(out, "%.*s ", NAME_SHOWN_MAX, notice->asked);
    write_reason(notice->failed, out);
    buf_printf(out, "; %.*s answers now", NAME_SHOWN_MAX, name_of(notice));
    write_cost(price, out);
    if (first && router_price_known(&usual) && router_price_known(price) && !is_free(&usual)) {
        buf_append_text(out, " instead of ");
        write_price(&usual, is_free(price), out);
    }
    buf_append_char(out, '.');
}

// All that same_price() compares.
static void write_paid(const struct router_price_notice *notice, struct buf *out)
{
    const struct router_deployment *d = notice->answered;
    struct router_price price = price_of(notice, d);
    if (!router_price_known(&price))
        buf_append_char(out, ROUTER_PRICE_NOTICE_UNKNOWN);
    for (size_t i = 0; router_price_known(&price) && i < ROUTER_PRICE_PARTS; i++)
        buf_printf(out, "%s%" PRId64, i ? "/" : "", *router_price_part(&price, i));
    buf_printf(out, " %s %s", d->provider, d->model);
}

void router_price_notice_write(const struct router_price_notice *notice, struct buf *ret_paid,
                               struct buf *ret_sentence)
{
    if (!find_first(notice, true)) {
        write_paid(notice, ret_paid);
        write_switch(notice, ret_sentence);
        return;
    }
    buf_printf(ret_sentence, "%.*s answers again", NAME_SHOWN_MAX, notice->asked);
    const struct router_price now = price_of(notice, notice->answered);
    if (router_price_known(&now))
        write_cost(&now, ret_sentence);
    buf_append_char(ret_sentence, '.');
}
