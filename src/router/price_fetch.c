#include "router/price_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "llm/price_list.h"
#include "router/call.h"
#include "router/money/price_table.h"
#include "store/key_value.h"

/*
 * The list is asked for when somebody wants a price of it, and not by a clock: a router that has
 * nothing to do sends nothing, and one whose prices are configured never does. It is kept for the
 * next start, which may be without a network, as much of it as the deployments can ask: the models
 * that they name, and all that a wildcard lets through. A list that cannot be had or read changes
 * nothing, and is asked for again later, by whoever wants it then.
 *
 * Under a budget the first call needs the price before it may go out, so it waits for the list;
 * when there is an old one, that counts, and nobody waits.
 */
enum {
    FRESH_MS = 24 * 60 * 60 * 1000,
    AGAIN_MS = 60 * 1000,   // after a failure, and then twice as long each time, up to
    DOUBLINGS_MAX = 6,      // 64 minutes
    CONNECT_MS = 10 * 1000, //
    TOTAL_MS = 20 * 1000,   // the most that a call waits, too
    SOURCES_MAX = 16,       // providers, by their base URLs
    KEY_MAX = 1024,         // bytes
};

// A provider that publishes a list.
struct price_source {
    struct list link; // router_prices::sources
    struct router_prices *owner;
    char *base_url;
    struct router_price_table table;
    bool loaded;     // the table has what was kept, if anything was
    bool complete;   // the table has what the plan in force can ask
    int64_t wait_ms; // until when it is not asked again
    int failures;    // since it last answered
    // While it is asked.
    http_id http;
    struct router_runtime *runtime;
    int status;
    struct price_list *list;
    struct router_price_table coming;
    struct error broken; // of what came
    struct list waiting; // struct router_attempt::prices
    loop_id wake;
};

struct router_prices {
    struct router *router;
    struct list sources;
    size_t count;
};

static struct loop *source_loop(const struct price_source *source)
{
    return source->owner->router->env.loop;
}

static bool is_of(const struct price_source *source, const struct router_deployment *d)
{
    return router_deployment_price_is_listed(d) && strcmp(d->base_url, source->base_url) == 0;
}

// Of the plan in force; ROUTER_NONE: no deployment needs the source any longer.
static size_t deployment_of(const struct price_source *source)
{
    const struct router_plan *plan = source->owner->router->runtime->plan;
    for (size_t i = 0; i < plan->deployment_count; i++)
        if (is_of(source, &plan->deployments[i]))
            return i;
    return ROUTER_NONE;
}

static bool can_ask(const struct router_deployment *d, struct span model)
{
    const char *star = strchr(d->model, '*');
    if (!star)
        return span_is(model, d->model);
    struct span before = {d->model, (size_t)(star - d->model)}, after = span_of(star + 1);
    return model.len > before.len + after.len &&
           span_equal(span_make(model.data, before.len), before) &&
           span_equal(span_skip(model, model.len - after.len), after);
}

/* What is kept */

// False: the provider's URL is too long.
static bool name_key(const struct price_source *source, struct buf *name)
{
    return buf_append_text(name, "prices ") && buf_append_text(name, source->base_url);
}

// False: the store is not ready.
static bool load(struct price_source *source)
{
    struct store *store = source->owner->router->env.store;
    BUF_AUTO name = BUF_INIT(KEY_MAX);
    BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
    if (source->loaded)
        return true;
    int r = store && name_key(source, &name)
                ? store_read_key_value(store, buf_span(&name), &text, NULL)
                : STORE_NOT_FOUND;
    if (r == -EAGAIN && store_state(store) != STORE_FAILED)
        return false;
    source->loaded = r >= 0; // else it is read again when next wanted
    if (r == 0)
        router_price_table_read(&source->table, buf_span(&text));
    return true;
}

static void keep(const struct price_source *source)
{
    struct store *store = source->owner->router->env.store;
    BUF_AUTO name = BUF_INIT(KEY_MAX);
    BUF_AUTO text = BUF_INIT(ROUTER_PRICES_BYTES_MAX);
    router_price_table_write(&source->table, &text);
    if (store && name_key(source, &name)) // a disk that fails is told of by the store itself
        store_write_key_value(store, buf_span(&name), buf_span(&text), STORE_GROUPED, NULL, NULL,
                              NULL);
}

/* Asking */

static void on_wake(void *context)
{
    struct price_source *source = context;
    struct list woken = LIST_INIT(woken); // one of them may begin to wait for the next list
    source->wake = 0;
    for (struct list *link; (link = list_shift(&source->waiting));)
        list_append(&woken, link);
    for (struct list *link; (link = list_shift(&woken));) {
        struct router_call *call = list_entry(link, struct router_call, attempt.prices);
        call->attempt.charge_events->again(call);
    }
}

static void end_asking(struct price_source *source)
{
    source->http = 0;
    price_list_destroy(STEAL(source->list));
    router_price_table_finish(&source->coming);
    router_runtime_unref(STEAL(source->runtime));
    if (!source->wake && !list_empty(&source->waiting))
        source->wake = loop_defer(source_loop(source), on_wake, source);
}

static void fail(struct price_source *source, const char *why)
{
    int doublings = source->failures < DOUBLINGS_MAX ? source->failures : DOUBLINGS_MAX;
    source->wait_ms = loop_now(source_loop(source)) + ((int64_t)AGAIN_MS << doublings);
    if (source->failures++ == 0)
        LOG_EVENT(LOG_WARNING, "router.prices_missed", "", LOG_TEXT("api_base", source->base_url),
                  LOG_TEXT("why", why));
}

static void take(struct price_source *source)
{
    router_price_table_finish(&source->table);
    source->table = source->coming;
    source->coming = (struct router_price_table)ROUTER_PRICE_TABLE_INIT;
    source->table.fetched_wall_ms = loop_wall(source_loop(source));
    source->complete = source->runtime == source->owner->router->runtime;
    source->failures = 0;
    source->loaded = true;
    keep(source);
    LOG_EVENT(LOG_INFO, "router.prices", "", LOG_TEXT("api_base", source->base_url),
              LOG_NUMBER("models", (int64_t)source->table.count));
}

static void on_entry(void *context, const struct price_list_entry *entry)
{
    struct price_source *source = context;
    const struct router_plan *plan = source->runtime->plan;
    for (size_t i = 0; i < plan->deployment_count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        if (can_ask(d, entry->model) && is_of(source, d)) {
            router_price_table_add(&source->coming, entry);
            return;
        }
    }
}

static void on_head(void *context, const struct http_head *head)
{
    ((struct price_source *)context)->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct price_source *source = context;
    return source->status == 200 ? price_list_feed(source->list, chunk, &source->broken) : 0;
}

static void on_done(void *context, enum http_failure how, const struct error *err)
{
    struct price_source *source = context;
    struct error why = source->broken;
    int r = why.code;
    if (r == 0 && how != HTTP_OK)
        r = error_set(&why, -EIO, "%s", err->text);
    if (r == 0 && source->status != 200)
        r = error_set(&why, -ENOENT, "the provider replied with HTTP %d", source->status);
    if (r == 0)
        r = price_list_end(source->list, &why);
    if (r == 0 && !router_price_table_tells(&source->coming))
        r = error_set(&why, -ENODATA, "the list has no price of a configured model");
    if (r == 0)
        take(source);
    else
        fail(source, why.text);
    end_asking(source);
}

static void ask(struct price_source *source)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    static const struct http_timeouts timeouts = {.connect = CONNECT_MS, .total = TOTAL_MS};
    struct router *router = source->owner->router;
    const struct upstream *upstream;
    struct error err = ERROR_INIT;
    source->status = 0;
    source->broken = (struct error)ERROR_INIT;
    source->runtime = router_runtime_ref(router->runtime);
    source->list = price_list_create(on_entry, source);
    size_t deployment = deployment_of(source);
    int r = deployment == ROUTER_NONE
                ? error_set(&err, -ENOENT, "no deployment needs its prices any longer")
                : router_runtime_upstream(router->runtime, router->env.http, deployment, &upstream,
                                          &err);
    if (r == 0)
        r = upstream_ask_prices(upstream, &timeouts, &handler, source, &source->http, &err);
    if (r == 0)
        return;
    fail(source, err.text);
    end_asking(source);
}

static bool is_due(const struct price_source *source, struct span model)
{
    const struct router_price_table *table = &source->table;
    int64_t age_ms = loop_wall(source_loop(source)) - table->fetched_wall_ms;
    if (source->http || loop_now(source_loop(source)) < source->wait_ms)
        return false;
    return table->fetched_wall_ms < 0 || age_ms < 0 || age_ms >= FRESH_MS ||
           (!source->complete && !router_price_table_find(table, model));
}

/* Providers */

static struct price_source *create(struct router_prices *prices, const char *base_url)
{
    struct price_source *source = mem_new(struct price_source);
    source->owner = prices;
    source->base_url = mem_strdup(base_url);
    source->table = source->coming = (struct router_price_table)ROUTER_PRICE_TABLE_INIT;
    list_init(&source->waiting);
    list_append(&prices->sources, &source->link);
    prices->count++;
    return source;
}

static void destroy(struct price_source *source)
{
    if (source->http)
        http_client_cancel(source->owner->router->env.http, source->http);
    end_asking(source);
    loop_cancel(source_loop(source), source->wake);
    router_price_table_finish(&source->table);
    list_remove(&source->link);
    source->owner->count--;
    free(source->base_url);
    free(source);
}

/* Prices */

// NULL: the deployment's provider publishes none, or the price is configured.
static struct price_source *source_of(struct router_prices *prices,
                                      const struct router_deployment *d)
{
    if (!router_deployment_price_is_listed(d))
        return NULL;
    list_for_each(link, &prices->sources) {
        struct price_source *source = list_entry(link, struct price_source, link);
        if (strcmp(source->base_url, d->base_url) == 0)
            return source;
    }
    return prices->count < SOURCES_MAX ? create(prices, d->base_url) : NULL;
}

static struct router_price merge(const struct router_price *ours, const struct router_price *listed)
{
    struct router_price price = *ours, rest = *listed;
    for (size_t i = 0; i < ROUTER_PRICE_PARTS; i++) {
        int64_t *pico = router_price_part(&price, i);
        if (*pico < 0)
            *pico = *router_price_part(&rest, i);
    }
    return price;
}

struct router_price router_price_of(struct router *router,
                                    const struct router_deployment *deployment, struct span model,
                                    bool *ret_listed)
{
    struct price_source *source = source_of(router->prices, deployment);
    const struct router_price *listed =
        source && load(source) ? router_price_table_find(&source->table, model) : NULL;
    if (ret_listed)
        *ret_listed = listed != NULL;
    return listed ? merge(&deployment->price, listed) : deployment->price;
}

bool router_prices_want(struct router_prices *prices, struct router_call *call, bool waits)
{
    struct span model = call->attempt.edit.model;
    struct price_source *source = source_of(prices, call->attempt.deployment);
    if (!source || !load(source))
        return false;
    if (is_due(source, model))
        ask(source);
    if (!waits || !source->http || call->attempt.awaited_price ||
        router_price_table_find(&source->table, model))
        return false;
    // A list that another plan is asking for may leave the model out, and is not the one.
    call->attempt.awaited_price = source->runtime == prices->router->runtime;
    list_append(&source->waiting, &call->attempt.prices);
    return true;
}

void router_prices_leave(struct router_call *call)
{
    if (call->attempt.prices.next)
        list_remove(&call->attempt.prices);
}

void router_prices_changed(struct router_prices *prices)
{
    list_for_each(link, &prices->sources) {
        struct price_source *source = list_entry(link, struct price_source, link);
        source->complete = false;
        // Calls that wait for its list, or will be woken because it came, may be of an older plan.
        if (!source->http && !source->wake && list_empty(&source->waiting) &&
            deployment_of(source) == ROUTER_NONE)
            destroy(source);
    }
}

struct router_prices *router_prices_create(struct router *router)
{
    struct router_prices *prices = mem_new(struct router_prices);
    prices->router = router;
    list_init(&prices->sources);
    return prices;
}

void router_prices_destroy(struct router_prices *prices)
{
    if (!prices)
        return;
    while (!list_empty(&prices->sources))
        destroy(list_entry(prices->sources.next, struct price_source, link));
    free(prices);
}
