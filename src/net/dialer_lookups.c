/*
 * When a dial may begin. libcurl resolves each dial's name on a thread of its own, even if a
 * hundred want the same one; so the first that wants a name leads, and the others begin when
 * libcurl has it in its cache, or fail as the first did. A leader that is closed leaves a thread
 * behind that nobody can stop: its place stays taken for as long as the C library may go on asking.
 *
 * With socks5:// the server's name is looked up here, too, after the proxy's; it is not counted.
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

static struct lookup *find(struct dialer *dialer, const char *name)
{
    list_for_each(link, &dialer->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (lookup->leader && strcmp(lookup->name, name) == 0)
            return lookup;
    }
    return NULL;
}

static void on_ghost_gone(void *context);

static unsigned count_places(struct dialer *dialer)
{
    int64_t now_ms = loop_now(dialer->loop), next_ms = INT64_MAX;
    unsigned taken = 0;
    list_for_each(link, &dialer->lookups)
        taken += list_entry(link, struct lookup, link)->leader != NULL;
    for (size_t i = 0; i < ARRAY_LEN(dialer->ghosts); i++) {
        if (dialer->ghosts[i] <= now_ms)
            continue;
        taken++;
        next_ms = dialer->ghosts[i] < next_ms ? dialer->ghosts[i] : next_ms;
    }
    loop_cancel(dialer->loop, dialer->ghost_timer);
    dialer->ghost_timer = 0;
    if (next_ms != INT64_MAX && !list_empty(&dialer->queue))
        dialer->ghost_timer = loop_timer_at(dialer->loop, next_ms, on_ghost_gone, dialer);
    return taken;
}

static void lead(struct dial *dial)
{
    struct lookup *lookup = mem_new(struct lookup);
    lookup->name = mem_strdup(dial->name);
    lookup->leader = dial;
    list_init(&lookup->followers);
    list_append(&dial->dialer->lookups, &lookup->link);
    dial->lookup = lookup;
    dial_start(dial);
}

static void start_queued(struct dialer *dialer)
{
    unsigned taken = count_places(dialer);
    list_for_each(link, &dialer->queue) {
        struct dial *dial = list_entry(link, struct dial, link);
        struct lookup *lookup = find(dialer, dial->name);
        if (!lookup && taken >= DIALER_LOOKUPS_MAX)
            continue;
        list_remove(&dial->link);
        if (lookup)
            list_append(&lookup->followers, &dial->link);
        else
            lead(dial), taken++;
    }
}

static void on_ghost_gone(void *context)
{
    struct dialer *dialer = context;
    dialer->ghost_timer = 0;
    start_queued(dialer);
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

static void end_lookup(struct dial *dial)
{
    struct dialer *dialer = dial->dialer;
    STEAL(dial->lookup)->leader = NULL;
    if (!dialer->deferred)
        dialer->deferred = loop_defer(dialer->loop, on_deferred, dialer);
}

void dialer_enqueue(struct dial *dial)
{
    struct dialer *dialer = dial->dialer;
    const struct dial_target *target = &dial->target;
    const char *name = target->proxy ? target->proxy->host : target->host;
    if (target->unix_socket || is_in_figures(name)) {
        dial_start(dial);
        return;
    }
    dial->name = name;
    list_append(&dialer->queue, &dial->link);
    start_queued(dialer);
}

void dialer_resolved(struct dial *dial, bool failed)
{
    dial->name = NULL;
    if (!dial->lookup)
        return;
    dial->lookup->failed = failed;
    end_lookup(dial);
}

static void leave_ghost(struct dialer *dialer)
{
    int64_t *oldest = &dialer->ghosts[0];
    for (size_t i = 1; i < ARRAY_LEN(dialer->ghosts); i++)
        oldest = dialer->ghosts[i] < *oldest ? &dialer->ghosts[i] : oldest;
    *oldest = loop_now(dialer->loop) + DIALER_GHOST_MS;
}

// Those that followed look for the name anew, before all others that wait.
void dialer_dequeue(struct dial *dial)
{
    struct dialer *dialer = dial->dialer;
    list_remove(&dial->link);
    if (!dial->lookup)
        return;
    struct list *link, *first = dialer->queue.next;
    leave_ghost(dialer);
    while ((link = list_shift(&dial->lookup->followers)))
        list_append(first, link);
    end_lookup(dial);
}

bool dial_is_resolving(const struct dial *dial)
{
    return dial->name != NULL;
}

void dialer_lookups_init(struct dialer *dialer)
{
    list_init(&dialer->lookups);
    list_init(&dialer->queue);
}

void dialer_lookups_finish(struct dialer *dialer)
{
    list_for_each(link, &dialer->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        free(lookup->name);
        free(lookup);
    }
    loop_cancel(dialer->loop, dialer->deferred);
    loop_cancel(dialer->loop, dialer->ghost_timer);
}
