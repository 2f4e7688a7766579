/*
 * libcurl's multi handle is driven by the loop: it says which sockets it wants watched and when it
 * wants to be called, and each event is handed to it.
 *
 * libcurl is told to use the allocator that aborts: what it allocates is bounded by its own limits.
 */
#include "net/dialer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/dialer_internal.h"

/* The loop's side */

static void run(struct dialer *dialer, int fd, int events);

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
    if (what == CURL_POLL_REMOVE)
        loop_unwatch(dialer->loop, id);
    else if (id)
        loop_watch_change(dialer->loop, id, events);
    else
        id = loop_watch(dialer->loop, fd, events, on_socket, dialer);
    if (what == CURL_POLL_REMOVE)
        id = 0;
    curl_multi_assign(dialer->multi, fd, (void *)(uintptr_t)id); // unknown once removed: no matter
    return 0;
}

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

/* The whole */

struct dial *dialer_dial(struct dialer *dialer, const struct dial_target *target, dial_fn *fn,
                         void *context)
{
    struct dial *dial = mem_new(struct dial);
    *dial = (struct dial){.dialer = dialer, .target = *target, .fn = fn, .context = context};
    dial->fd = -1;
    list_init(&dial->link);
    dialer_enqueue(dial);
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
    dialer_lookups_init(dialer);
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
    dialer_lookups_finish(dialer);
    curl_multi_cleanup(dialer->multi);
    loop_cancel(dialer->loop, dialer->timer);
    free(dialer);
    curl_global_cleanup();
}
