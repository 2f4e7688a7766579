/*
 * What a thread and the loop share is one struct desk, counted by its holders, so that a thread
 * that comes back after the resolver has gone finds something to put its answer on, and the last
 * one clears away. The loop's own state (who waits, what is kept) no thread ever sees.
 */
#include "net/http_resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/loop.h"

enum { STACK_BYTES = 256 * 1024 }; // glibc's getaddrinfo() is fond of alloca()

struct desk {
    pthread_mutex_t lock;
    struct list answered; // struct lookup
    unsigned holders;
    int event_fd;
};

struct lookup {
    struct list link;  // resolver::lookups, until a thread has answered also desk::answered
    struct list reply; // desk::answered
    struct desk *desk;
    char *name;
    bool running;
    bool over;   // its waiters are being told
    bool orphan; // the resolver has gone
    struct list waiters;
    struct address_list list;
};

struct waiter {
    struct list link; // lookup::waiters
    resolve_id id;
    resolve_fn *fn;
    void *context;
};

struct kept {
    struct list link; // resolver::kept, oldest first
    char *name;
    int64_t until_ms;
    struct address_list list;
};

struct resolver {
    struct loop *loop;
    struct desk *desk; // NULL until the first look-up
    loop_id watch;
    struct list lookups;
    struct list kept;
    unsigned running, kept_count;
    resolve_id last_id;
};

socklen_t address_to_socket(const struct address *address, uint16_t port,
                            struct sockaddr_storage *ret_address)
{
    if (address->family == AF_INET6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        v6.sin6_scope_id = address->scope;
        memcpy(&v6.sin6_addr, address->bytes, sizeof v6.sin6_addr);
        memcpy(ret_address, &v6, sizeof v6);
        return sizeof v6;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&v4.sin_addr, address->bytes, sizeof v4.sin_addr);
    memcpy(ret_address, &v4, sizeof v4);
    return sizeof v4;
}

static void desk_release(struct desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    bool last = --desk->holders == 0;
    pthread_mutex_unlock(&desk->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&desk->lock);
    fd_close(&desk->event_fd);
    free(desk);
}

static void lookup_destroy(struct lookup *lookup)
{
    list_remove(&lookup->link);
    list_for_each(link, &lookup->waiters)
        free(list_entry(link, struct waiter, link));
    free(lookup->name);
    free(lookup);
}

/* On a thread */

static void take_address(struct address_list *list, const struct addrinfo *info)
{
    struct address *address = &list->addresses[list->count];
    if (list->count == RESOLVE_ADDRESSES_MAX)
        return;
    if (info->ai_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, info->ai_addr, sizeof v4);
        memcpy(address->bytes, &v4.sin_addr, sizeof v4.sin_addr);
    } else if (info->ai_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, info->ai_addr, sizeof v6);
        memcpy(address->bytes, &v6.sin6_addr, sizeof v6.sin6_addr);
        address->scope = v6.sin6_scope_id;
    } else {
        return;
    }
    address->family = info->ai_family;
    list->count++;
}

// The library's order, but a family alone never stands first throughout: one that leads nowhere
// then costs one attempt.
static void mix_families(struct address_list *list)
{
    for (unsigned at = 1; at < list->count; at++) {
        unsigned other = at;
        while (other < list->count &&
               list->addresses[other].family == list->addresses[at - 1].family)
            other++;
        if (other == list->count)
            return;
        struct address found = list->addresses[other];
        memmove(&list->addresses[at + 1], &list->addresses[at], (other - at) * sizeof found);
        list->addresses[at] = found;
    }
}

static void *resolve(void *context)
{
    struct lookup *lookup = context;
    struct desk *desk = lookup->desk;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(lookup->name, NULL, &hints, &found) == 0) {
        for (struct addrinfo *info = found; info; info = info->ai_next)
            take_address(&lookup->list, info);
        freeaddrinfo(found);
        mix_families(&lookup->list);
    }
    pthread_mutex_lock(&desk->lock);
    bool orphan = lookup->orphan;
    if (!orphan)
        list_append(&desk->answered, &lookup->reply);
    pthread_mutex_unlock(&desk->lock);
    if (orphan)
        lookup_destroy(lookup);
    else
        eventfd_write(desk->event_fd, 1);
    desk_release(desk);
    return NULL;
}

/* On the loop */

static int start_thread(struct resolver *resolver, struct lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_mutex_lock(&resolver->desk->lock);
    resolver->desk->holders++;
    pthread_mutex_unlock(&resolver->desk->lock);
    lookup->desk = resolver->desk;
    int r = pthread_create(&thread, &attributes, resolve, lookup);
    pthread_attr_destroy(&attributes);
    if (r != 0)
        desk_release(resolver->desk);
    lookup->running = r == 0;
    resolver->running += r == 0;
    return -r;
}

static void start_waiting(struct resolver *resolver)
{
    list_for_each(link, &resolver->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (resolver->running >= RESOLVE_THREADS_MAX)
            return;
        if (!lookup->running)
            start_thread(resolver, lookup); // where it fails, the next answer tries again
    }
}

static void kept_destroy(struct resolver *resolver, struct kept *kept)
{
    list_remove(&kept->link);
    resolver->kept_count--;
    free(kept->name);
    free(kept);
}

static struct kept *kept_find(struct resolver *resolver, const char *name)
{
    int64_t now = loop_now(resolver->loop);
    list_for_each(link, &resolver->kept) {
        struct kept *kept = list_entry(link, struct kept, link);
        if (kept->until_ms <= now)
            kept_destroy(resolver, kept);
        else if (strcmp(kept->name, name) == 0)
            return kept;
    }
    return NULL;
}

static void keep(struct resolver *resolver, const struct lookup *lookup)
{
    if (lookup->list.count == 0 || kept_find(resolver, lookup->name))
        return; // that there is none may change at any moment
    if (resolver->kept_count >= RESOLVE_CACHE_MAX)
        kept_destroy(resolver, list_entry(resolver->kept.next, struct kept, link));
    struct kept *kept = mem_new(struct kept);
    kept->name = mem_strdup(lookup->name);
    kept->until_ms = loop_now(resolver->loop) + RESOLVE_CACHE_MS;
    kept->list = lookup->list;
    list_append(&resolver->kept, &kept->link);
    resolver->kept_count++;
}

// Whoever is called may ask again or cancel others who wait, so each is taken off first.
static void tell(struct lookup *lookup)
{
    struct list *link;
    while ((link = list_shift(&lookup->waiters))) {
        struct waiter *waiter = list_entry(link, struct waiter, link);
        resolve_fn *fn = waiter->fn;
        void *context = waiter->context;
        free(waiter);
        fn(context, &lookup->list);
    }
}

static void on_answered(void *context, int fd, unsigned events)
{
    struct resolver *resolver = context;
    struct list *reply;
    eventfd_t count;
    (void)events;
    eventfd_read(fd, &count);
    for (;;) {
        pthread_mutex_lock(&resolver->desk->lock);
        reply = list_shift(&resolver->desk->answered);
        pthread_mutex_unlock(&resolver->desk->lock);
        if (!reply)
            break;
        struct lookup *lookup = list_entry(reply, struct lookup, reply);
        resolver->running--;
        lookup->over = true; // who asks for the name from now on asks anew
        keep(resolver, lookup);
        tell(lookup);
        lookup_destroy(lookup);
    }
    start_waiting(resolver);
}

static int open_desk(struct resolver *resolver, struct error *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, errno, "cannot create an eventfd");
    resolver->desk = mem_new(struct desk);
    pthread_mutex_init(&resolver->desk->lock, NULL);
    list_init(&resolver->desk->answered);
    resolver->desk->holders = 1;
    resolver->desk->event_fd = fd;
    resolver->watch = loop_watch(resolver->loop, fd, LOOP_READ, on_answered, resolver);
    return 0;
}

static struct lookup *lookup_of(struct resolver *resolver, const char *name)
{
    list_for_each(link, &resolver->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        if (!lookup->over && strcmp(lookup->name, name) == 0)
            return lookup;
    }
    struct lookup *lookup = mem_new(struct lookup);
    lookup->name = mem_strdup(name);
    list_init(&lookup->reply);
    list_init(&lookup->waiters);
    list_append(&resolver->lookups, &lookup->link);
    return lookup;
}

static bool in_figures(const char *name, struct address_list *ret_list)
{
    struct address address = {.family = AF_INET};
    if (inet_pton(AF_INET, name, address.bytes) != 1) {
        address.family = AF_INET6;
        if (inet_pton(AF_INET6, name, address.bytes) != 1)
            return false;
    }
    *ret_list = (struct address_list){.count = 1, .addresses = {address}};
    return true;
}

int resolver_ask(struct resolver *resolver, const char *name, resolve_fn *fn, void *context,
                 resolve_id *ret_id, struct address_list *ret_list, struct error *err)
{
    if (in_figures(name, ret_list))
        return 1;
    struct kept *kept = kept_find(resolver, name);
    if (kept) {
        *ret_list = kept->list;
        return 1;
    }
    int r = resolver->desk ? 0 : open_desk(resolver, err);
    if (r < 0)
        return r;
    struct lookup *lookup = lookup_of(resolver, name);
    if (!lookup->running && resolver->running < RESOLVE_THREADS_MAX)
        r = start_thread(resolver, lookup);
    if (r < 0 && resolver->running == 0) {
        lookup_destroy(lookup);
        return error_errno(err, -r, "cannot start a thread to resolve a name");
    }
    struct waiter *waiter = mem_new(struct waiter);
    *waiter = (struct waiter){.id = ++resolver->last_id, .fn = fn, .context = context};
    list_append(&lookup->waiters, &waiter->link);
    *ret_id = waiter->id;
    return 0;
}

void resolver_cancel(struct resolver *resolver, resolve_id id)
{
    list_for_each(link, &resolver->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        list_for_each(waiting, &lookup->waiters) {
            struct waiter *waiter = list_entry(waiting, struct waiter, link);
            if (waiter->id != id)
                continue;
            list_remove(&waiter->link);
            free(waiter);
            if (!lookup->running && list_empty(&lookup->waiters))
                lookup_destroy(lookup);
            return;
        }
    }
}

void resolver_prefer(struct resolver *resolver, const char *name, const struct address *address)
{
    struct kept *kept = kept_find(resolver, name);
    struct address *all = kept ? kept->list.addresses : NULL;
    for (unsigned i = 1; kept && i < kept->list.count; i++) {
        if (memcmp(&all[i], address, sizeof *address) != 0)
            continue;
        memmove(all + 1, all, i * sizeof *all);
        all[0] = *address;
        return;
    }
}

void resolver_forget(struct resolver *resolver, const char *name)
{
    struct kept *kept = kept_find(resolver, name);
    if (kept)
        kept_destroy(resolver, kept);
}

struct resolver *resolver_create(struct loop *loop)
{
    struct resolver *resolver = mem_new(struct resolver);
    resolver->loop = loop;
    list_init(&resolver->lookups);
    list_init(&resolver->kept);
    return resolver;
}

// A running look-up belongs to its thread from now on; one that has answered belongs to us.
static void abandon(struct resolver *resolver)
{
    struct list mine = LIST_INIT(mine);
    if (resolver->desk)
        pthread_mutex_lock(&resolver->desk->lock);
    list_for_each(link, &resolver->lookups) {
        struct lookup *lookup = list_entry(link, struct lookup, link);
        list_remove(&lookup->link);
        if (lookup->running && list_empty(&lookup->reply))
            lookup->orphan = true;
        else
            list_append(&mine, &lookup->link);
    }
    if (resolver->desk)
        pthread_mutex_unlock(&resolver->desk->lock);
    list_for_each(link, &mine)
        lookup_destroy(list_entry(link, struct lookup, link));
}

void resolver_destroy(struct resolver *resolver)
{
    if (!resolver)
        return;
    abandon(resolver);
    list_for_each(link, &resolver->kept)
        kept_destroy(resolver, list_entry(link, struct kept, link));
    loop_unwatch(resolver->loop, resolver->watch);
    if (resolver->desk)
        desk_release(resolver->desk);
    free(resolver);
}
