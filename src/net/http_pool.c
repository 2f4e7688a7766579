#include "net/http_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/url.h"
#include "net/dialer.h"

static void origin_destroy(struct http_pool *pool, struct http_origin *origin)
{
    list_remove(&origin->link);
    pool->origin_count--;
    free(origin->prefix);
    free(origin->host);
    free(origin->authority);
    free(origin);
}

void http_pool_init(struct http_pool *pool, struct loop *loop, loop_watch_fn *on_busy)
{
    *pool = (struct http_pool){.loop = loop, .on_busy = on_busy};
    list_init(&pool->origins);
    list_init(&pool->idle);
}

void http_pool_finish(struct http_pool *pool)
{
    list_for_each(link, &pool->idle)
        http_wire_destroy(list_entry(link, struct http_wire, link));
    list_for_each(link, &pool->origins)
        origin_destroy(pool, list_entry(link, struct http_origin, link));
}

/* Origins */

static struct http_origin *origin_find(struct http_pool *pool, struct span url)
{
    list_for_each(link, &pool->origins) {
        struct http_origin *origin = list_entry(link, struct http_origin, link);
        size_t len = origin->prefix_len;
        if (url.len >= len && memcmp(url.data, origin->prefix, len) == 0 &&
            (url.len == len || strchr("/?#", url.data[len])))
            return origin;
    }
    return NULL;
}

static struct http_origin *origin_create(struct http_pool *pool, struct span text)
{
    struct url url;
    char port[sizeof ":65535"] = "";
    if (url_parse(text, &url, NULL) < 0)
        return NULL;
    if (url.port != (url.secure ? 443 : 80)) // the Host field does not name the scheme's own
        snprintf(port, sizeof port, ":%u", url.port);
    struct http_origin *oldest = NULL; // that nobody uses
    list_for_each(link, &pool->origins) {
        struct http_origin *known = list_entry(link, struct http_origin, link);
        oldest = known->users == 0 ? known : oldest;
    }
    if (oldest && pool->origin_count >= HTTP_ORIGINS_MAX)
        origin_destroy(pool, oldest);
    struct http_origin *origin = mem_new(struct http_origin);
    origin->prefix_len = (size_t)(url.authority.data + url.authority.len - text.data);
    origin->prefix = mem_strndup(text.data, origin->prefix_len);
    origin->host = mem_strndup(url.host.data, url.host.len);
    origin->authority =
        mem_printf("%s%s%s%s", url.ipv6 ? "[" : "", origin->host, url.ipv6 ? "]" : "", port);
    origin->secure = url.secure;
    origin->port = url.port;
    pool->origin_count++;
    list_append(pool->origins.next, &origin->link); // before the first one
    return origin;
}

struct http_origin *http_origin_of(struct http_pool *pool, struct span url, struct span *ret_rest)
{
    struct http_origin *origin = origin_find(pool, url);
    if (!origin)
        origin = origin_create(pool, url);
    struct span rest = origin ? span_skip(url, origin->prefix_len) : SPAN_ABSENT;
    rest = span_cut(&rest, '#');
    if (!origin || span_printable(rest) < rest.len || span_find(rest, SPAN_LITERAL(" ")) >= 0)
        return NULL;
    origin->users++;
    *ret_rest = rest;
    return origin;
}

void http_origin_release(struct http_pool *pool, struct http_origin *origin)
{
    if (origin && --origin->users == 0 && pool->origin_count > HTTP_ORIGINS_MAX)
        origin_destroy(pool, origin);
}

/* Connections */

struct http_wire *http_wire_create(struct http_pool *pool, struct http_origin *origin,
                                   struct dial *dial)
{
    struct http_wire *connection = mem_new(struct http_wire);
    connection->pool = pool;
    connection->origin = origin;
    connection->dial = dial;
    connection->fd = dial_fd(dial);
    connection->secure = dial_is_secure(dial);
    list_init(&connection->link);
    if (origin)
        origin->users++;
    return connection;
}

void http_wire_destroy(struct http_wire *connection)
{
    if (!connection)
        return;
    struct http_pool *pool = connection->pool;
    pool->idle_count -= !list_empty(&connection->link);
    list_remove(&connection->link);
    loop_unwatch(pool->loop, connection->watch);
    dial_close(connection->dial);
    http_origin_release(pool, connection->origin);
    free(connection);
}

static void on_event(void *context, int fd, unsigned events)
{
    char byte;
    struct http_wire *connection = context;
    if (connection->transfer)
        connection->pool->on_busy(connection, fd, events);
    else if (!connection->secure || events & LOOP_FAILED ||
             dial_receive(connection->dial, &byte, 1) != -EAGAIN)
        http_wire_destroy(connection); // only TLS's own messages (tickets) do not end an idle one
}

void http_wire_watch(struct http_wire *connection, unsigned events)
{
    struct loop *loop = connection->pool->loop;
    if (events == connection->events)
        return;
    connection->events = events;
    connection->watch =
        loop_watch_for(loop, connection->watch, connection->fd, events, on_event, connection);
}

/* Those that are kept */

struct http_wire *http_pool_take(struct http_pool *pool, struct http_origin *origin, bool long_poll)
{
    for (struct list *link = pool->idle.prev; link != &pool->idle; link = link->prev) {
        struct http_wire *youngest = list_entry(link, struct http_wire, link);
        if (youngest->origin != origin || youngest->long_poll != long_poll)
            continue;
        list_remove(&youngest->link);
        pool->idle_count--;
        return youngest;
    }
    return NULL;
}

void http_pool_keep(struct http_pool *pool, struct http_wire *connection)
{
    if (pool->idle_count >= HTTP_IDLE_MAX)
        http_wire_destroy(list_entry(pool->idle.next, struct http_wire, link));
    connection->transfer = NULL;
    connection->used = true;
    connection->idle_since_ms = loop_now(pool->loop);
    list_append(&pool->idle, &connection->link);
    pool->idle_count++;
}

int64_t http_pool_expire(struct http_pool *pool, int64_t now_ms)
{
    list_for_each(link, &pool->idle) {
        struct http_wire *oldest = list_entry(link, struct http_wire, link);
        int64_t limit = pool->idle_count > HTTP_IDLE_FEW ? HTTP_IDLE_MANY_MS : HTTP_IDLE_FEW_MS;
        if (oldest->idle_since_ms + limit > now_ms)
            return oldest->idle_since_ms + limit;
        http_wire_destroy(oldest);
    }
    return INT64_MAX;
}
