/*
 * When a dial may begin. libcurl resolves each dial's name on a thread of its own, even if a
 * hundred want the same one; so the first that wants a name leads, and the others begin when
 * libcurl has it in its cache, or fail as the first did. Since nobody can stop the thread, a leader
 * that is closed goes on as an orphan until the name is known, and what it finds is for those who
 * follow: a name that is never answered costs one thread, however often it is asked for.
 *
 * libcurl's cache knows names with their ports, and so do we.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/dialer_internal.h"
#include "net/http_proxy.h"

static bool is_in_figures(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static struct lookup *find(struct dialer *dialer, const char *name, uint16_t port)
{
    list_for_each(link, &dialer->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (lookup->leader && lookup->port == port && strcmp(lookup->name, name) == 0)
            return lookup;
    }
    return NULL;
}

static void lead(struct dial *dial)
{
    struct lookup *lookup = mem_new(struct lookup);
    lookup->name = mem_strdup(dial->name);
    lookup->port = dial->port;
    lookup->leader = dial;
    list_init(&lookup->followers);
    list_append(&dial->dialer->lookups, &lookup->link);
    dial->lookup = lookup;
    dial_start(dial);
}

static void start_queued(struct dialer *dialer)
{
    unsigned running = 0;
    list_for_each(busy, &dialer->lookups)
        running += list_entry(busy, struct lookup, link)->leader != NULL;
    list_for_each(link, &dialer->queue) {
        struct dial *dial = list_entry(link, struct dial, link);
        struct lookup *lookup = find(dialer, dial->name, dial->port);
        if (!lookup && running >= DIALER_LOOKUPS_MAX)
            continue;
        list_remove(&dial->link);
        if (lookup)
            list_append(&lookup->followers, &dial->link);
        else
            lead(dial), running++;
    }
}

// A dial that is told may close others, which follow the same name or lead another.
static void release(struct lookup *lookup)
{
    struct list *link;
    while ((link = list_shift(&lookup->followers))) {
        struct dial *dial = list_entry(link, struct dial, link);
        if (lookup->failed)
            dial_fail(dial, DIAL_NAMELESS);
        else
            dial_start(dial);
    }
    list_remove(&lookup->link);
    free(lookup->name);
    free(lookup);
}

static struct lookup *find_over(struct dialer *dialer)
{
    list_for_each(link, &dialer->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (!lookup->leader)
            return lookup;
    }
    return NULL;
}

static void on_deferred(void *context)
{
    struct dialer *dialer = context;
    struct lookup *lookup;
    dialer->deferred = 0;
    while ((lookup = find_over(dialer)))
        release(lookup);
    start_queued(dialer);
}

void dialer_enqueue(struct dial *dial)
{
    struct dialer *dialer = dial->dialer;
    const struct dial_target *target = &dial->target;
    const struct http_proxy *proxy = target->proxy;
    dial->resolves_late = proxy && proxy->near_names && !is_in_figures(target->host);
    bool of_proxy = proxy && !dial->resolves_late;
    const char *name = of_proxy ? proxy->host : target->host;
    if (target->unix_socket || is_in_figures(name)) {
        dial_start(dial);
        return;
    }
    dial->name = name;
    dial->port = of_proxy ? proxy->port : target->port;
    list_append(&dialer->queue, &dial->link);
    start_queued(dialer);
}

void dialer_lookups_init(struct dialer *dialer)
{
    list_init(&dialer->lookups);
    list_init(&dialer->queue);
    dialer->on_resolved = on_deferred;
}

void dialer_lookups_finish(struct dialer *dialer)
{
    list_for_each(link, &dialer->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (lookup->leader)
            dial_free(lookup->leader);
        free(lookup->name);
        free(lookup);
    }
    loop_cancel(dialer->loop, dialer->deferred);
}
