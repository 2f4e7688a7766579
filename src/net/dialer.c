/*
 * libcurl's multi handle is driven by the loop: it says which sockets it wants watched and when it
 * wants to be called, and each event is handed to it.
 *
 * libcurl is told to use the allocator that aborts: what it allocates is bounded by its own limits.
 */
#include "net/dialer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/dialer_internal.h"
#include "net/http_proxy.h"

/* The loop's side */

static void run(struct dialer *dialer, int fd, int events)
{
    CURLMsg *message;
    int running, left;
    curl_multi_socket_action(dialer->multi, fd, events, &running);
    while ((message = curl_multi_info_read(dialer->multi, &left))) {
        struct dial *dial = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &dial);
        if (result == CURLE_OK)
            dial_connected(dial);
        else
            dial_fail(dial, result);
    }
}

static void on_timer(void *context)
{
    struct dialer *dialer = context;
    dialer->timer = 0;
    run(dialer, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(void *context, int fd, unsigned events)
{
    int mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
               (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & LOOP_FAILED ? CURL_CSELECT_ERR : 0);
    run(context, fd, mask);
}

static int set_timer(CURLM *multi, long delay_ms, void *context)
{
    struct dialer *dialer = context;
    loop_cancel(dialer->loop, dialer->timer);
    dialer->timer = delay_ms < 0 ? 0 : loop_timer_after(dialer->loop, delay_ms, on_timer, dialer);
    return 0;
}

// The id of the loop's watch is what libcurl keeps for the socket.
static int set_watch(CURL *easy, curl_socket_t fd, int what, void *context, void *kept)
{
    struct dialer *dialer = context;
    loop_id id = (uintptr_t)kept;
    unsigned events =
        (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
    id = loop_watch_for(dialer->loop, id, fd, events, on_socket, dialer); // REMOVE is neither
    curl_multi_assign(dialer->multi, fd, (void *)(uintptr_t)id); // unknown once removed: no matter
    return 0;
}

/*
 * When a dial may begin. libcurl resolves each dial's name on a thread of its own, even if a
 * hundred want the same one; so the first that wants a name leads, and the others begin when
 * libcurl has it in its cache, or fail as the first did. Since nobody can stop the thread, a leader
 * that is closed goes on as an orphan until the name is known, and what it finds is for those who
 * follow: a name that is never answered costs one thread, however often it is asked for.
 *
 * libcurl's cache knows names with their ports, and so do we.
 */
static bool is_in_figures(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
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
    list_for_each(link, &dialer->queue) {
        struct dial *dial = list_entry(link, struct dial, link);
        struct lookup *same = NULL;
        unsigned running = 0;
        list_for_each(busy, &dialer->lookups) {
            struct lookup *lookup = list_entry(busy, struct lookup, link);
            running++;
            if (lookup->port == dial->port && strcmp(lookup->name, dial->name) == 0)
                same = lookup;
        }
        if (!same && running >= DIALER_LOOKUPS_MAX)
            continue;
        list_remove(&dial->link);
        if (same)
            list_append(&same->followers, &dial->link);
        else
            lead(dial);
    }
}

static void lookup_free(struct lookup *lookup)
{
    list_remove(&lookup->link);
    free(lookup->name);
    free(lookup);
}

// A dial that is told may close others, which follow the same name or lead another.
static void on_resolved(void *context)
{
    struct dialer *dialer = context;
    dialer->deferred = 0;
    while (!list_empty(&dialer->over)) {
        struct lookup *lookup = list_entry(dialer->over.next, struct lookup, link);
        for (struct list *link; (link = list_shift(&lookup->followers));) {
            struct dial *dial = list_entry(link, struct dial, link);
            if (lookup->failed)
                dial_fail(dial, CURLE_COULDNT_RESOLVE_HOST);
            else
                dial_start(dial);
        }
        lookup_free(lookup);
    }
    start_queued(dialer);
}

static void enqueue(struct dial *dial)
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

/* The whole */

struct dial *dialer_dial(struct dialer *dialer, const struct dial_target *target, dial_fn *fn,
                         void *context)
{
    struct dial *dial = mem_new(struct dial);
    *dial = (struct dial){.dialer = dialer, .target = *target, .fn = fn, .context = context};
    dial->fd = -1;
    list_init(&dial->link);
    enqueue(dial);
    return dial;
}

static void *allocate_zeroed(size_t count, size_t size)
{
    return mem_zalloc(count * size); // libcurl's own sizes: they do not overflow
}

int dialer_create(struct loop *loop, struct trust *trust, struct dialer **ret_dialer,
                  struct error *err)
{
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, free, mem_realloc, mem_strdup,
                             allocate_zeroed) != CURLE_OK)
        return error_set(err, -EIO, "cannot set up libcurl");
    struct dialer *dialer = mem_new(struct dialer);
    dialer->loop = loop;
    dialer->trust = trust;
    dialer->multi = curl_multi_init();
    dialer->on_resolved = on_resolved;
    list_init(&dialer->lookups);
    list_init(&dialer->over);
    list_init(&dialer->queue);
    curl_multi_setopt(dialer->multi, CURLMOPT_SOCKETFUNCTION, set_watch);
    curl_multi_setopt(dialer->multi, CURLMOPT_SOCKETDATA, dialer);
    curl_multi_setopt(dialer->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(dialer->multi, CURLMOPT_TIMERDATA, dialer);
    *ret_dialer = dialer;
    return 0;
}

void dialer_destroy(struct dialer *dialer)
{
    if (!dialer)
        return;
    list_for_each(running, &dialer->lookups) {
        struct lookup *lookup = list_entry(running, struct lookup, link);
        dial_free(lookup->leader);
        lookup_free(lookup);
    }
    list_for_each(link, &dialer->over)
        lookup_free(list_entry(link, struct lookup, link));
    curl_multi_cleanup(dialer->multi);
    loop_cancel(dialer->loop, dialer->timer);
    loop_cancel(dialer->loop, dialer->deferred);
    free(dialer);
    curl_global_cleanup();
}
