#include "support/http_fetch.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned asking; // for names that nobody answers
    bool release;
} resolver = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
static atomic_uint lookups;

static void wait_for_release(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.asking++;
    while (!resolver.release)
        pthread_cond_wait(&resolver.changed, &resolver.lock);
    resolver.asking--;
    pthread_cond_broadcast(&resolver.changed);
    pthread_mutex_unlock(&resolver.lock);
}

// In the place of libc's, which goes on answering for names that may exist.
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    typedef int resolve_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    atomic_fetch_add(&lookups, 1);
    if (name && strcmp(name, "stuck.invalid") == 0)
        wait_for_release();
    bool twice = name && strcmp(name, "twice.invalid") == 0;
    if (!twice && name && span_ends_with(span_of(name), ".invalid"))
        return EAI_NONAME;
    union {
        void *symbol;
        resolve_fn *resolve;
    } libc = {dlsym(RTLD_NEXT, "getaddrinfo")};
    if (!twice)
        return libc.resolve(name, service, hints, ret_list);
    struct addrinfo *second = NULL;
    int r = libc.resolve("127.0.0.2", service, hints, ret_list);
    if (r == 0)
        r = libc.resolve("127.0.0.1", service, hints, &second);
    if (r == 0)
        (*ret_list)->ai_next = second;
    return r;
}

unsigned fetch_lookups(void)
{
    return atomic_load(&lookups);
}

void fetch_release_resolver(void)
{
    pthread_mutex_lock(&resolver.lock);
    resolver.release = true;
    pthread_cond_broadcast(&resolver.changed);
    while (resolver.asking)
        pthread_cond_wait(&resolver.changed, &resolver.lock);
    resolver.release = false;
    pthread_mutex_unlock(&resolver.lock);
    usleep(50 * 1000); // for the threads to let go of what they hold
}

int64_t fetch_clock_ms(void)
{
    return clock_monotonic_ms(&clock_system);
}

static void reach(struct fetch *fetch, enum place place)
{
    assert_false(fetch->over);
    if (fetch->cancel_in != place)
        return;
    struct fetch *victim = fetch->victim ? fetch->victim : fetch;
    http_client_cancel(fetch->world->client, victim->id);
    victim->over = true;
}

void fetch_pause(struct fetch *fetch, bool paused)
{
    unsigned before = fetch->pieces;
    fetch->paused = paused;
    http_client_pause(fetch->world->client, fetch->id, paused);
    assert_int_equal(fetch->pieces, before); // never from inside
}

static void on_head(void *context, const struct http_head *head)
{
    struct fetch *fetch = context;
    assert_int_equal(fetch->heads + fetch->pieces, 0);
    fetch->heads++;
    fetch->status = head->status;
    buf_append_span(&fetch->head, head->lines);
    reach(fetch, IN_HEAD);
}

static int on_body(void *context, struct span chunk)
{
    struct fetch *fetch = context;
    assert_int_equal(fetch->heads, 1);
    assert_false(fetch->paused);
    fetch->pieces++;
    fetch->largest = chunk.len > fetch->largest ? chunk.len : fetch->largest;
    buf_append_span(&fetch->body, chunk);
    reach(fetch, IN_BODY);
    if (fetch->next_early && fetch->pieces == 1)
        fetch_begin(fetch->next, fetch_get(fetch->next_path));
    if ((int)fetch->pieces == fetch->pause_after)
        fetch_pause(fetch, true);
    return (int)fetch->pieces == fetch->stop_after ? -1 : 0;
}

struct http_request fetch_get(const char *path)
{
    return (struct http_request){.method = "GET", .url = path};
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct fetch *fetch = context;
    reach(fetch, IN_DONE);
    fetch->dones++;
    fetch->over = true;
    fetch->failure = failure;
    fetch->err = *err;
    fetch->took_ms = fetch_clock_ms() - fetch->took_ms;
    if (fetch->next && !fetch->next_early)
        fetch_begin(fetch->next, fetch_get(fetch->next_path));
}

const struct http_handler fetch_handler = {on_head, on_body, on_done};

void fetch_finish(struct fetch *fetch)
{
    buf_finish(&fetch->head);
    buf_finish(&fetch->body);
}

struct fetch fetch_of(struct fetch_world *world)
{
    return (struct fetch){.world = world, .head = BUF_INIT(BODY_MAX), .body = BUF_INIT(BODY_MAX)};
}

// `request.url` may be a path on the peer.
void fetch_begin(struct fetch *fetch, struct http_request request)
{
    char url[256];
    struct error err = ERROR_INIT;
    if (request.url[0] == '/') {
        snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_peer_port(fetch->world->peer),
                 request.url);
        request.url = url;
    }
    fetch->took_ms = fetch_clock_ms();
    unsigned before = fetch->heads + fetch->pieces + fetch->dones;
    if (http_client_start(fetch->world->client, &request, &fetch_handler, fetch, &fetch->id,
                          &err) != 0)
        fail_msg("%s", err.text);
    assert_true(fetch->id != 0);
    assert_int_equal(fetch->heads + fetch->pieces + fetch->dones, before); // never from inside
}

void fetch_until(struct fetch *fetch, const unsigned *count, unsigned value)
{
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    while (*count < value) {
        if (fetch_clock_ms() > deadline)
            fail_msg("nothing came in time");
        loop_run_once(fetch->world->loop, 100);
    }
}

void fetch_await(struct fetch *fetch)
{
    fetch_until(fetch, &fetch->dones, 1);
}

void fetch_pass_ms(struct fetch_world *world, int ms)
{
    int64_t end = fetch_clock_ms() + ms;
    while (fetch_clock_ms() < end)
        loop_run_once(world->loop, end - fetch_clock_ms());
}

void fetch_until_closed(struct fetch_world *world)
{
    for (int i = 0; i < PATIENCE_MS / 10 && http_peer_open(world->peer); i++)
        fetch_pass_ms(world, 10);
    assert_int_equal(http_peer_open(world->peer), 0);
}

int fetch_set_up(void **state)
{
    struct fetch_world *world = calloc(1, sizeof *world);
    *state = world;
    world->peer = http_peer_create(fetch_answer, world);
    if (loop_create(&clock_system, &world->loop, NULL) != 0)
        return -1;
    return http_client_create(world->loop, NULL, &world->client, NULL);
}

int fetch_set_up_proxied(void **state)
{
    static char variable[64];
    static char *environment[] = {variable, NULL};
    int r = fetch_set_up(state);
    if (r < 0)
        return r;
    struct fetch_world *world = *state;
    snprintf(variable, sizeof variable, "http_proxy=http://127.0.0.1:%u",
             http_peer_port(world->peer));
    environ = environment;
    http_client_destroy(world->client);
    return http_client_create(world->loop, NULL, &world->client, NULL);
}

int fetch_tear_down(void **state)
{
    static char *no_environment[] = {NULL};
    environ = no_environment;
    struct fetch_world *world = *state;
    http_client_destroy(world->client);
    loop_destroy(world->loop);
    http_peer_destroy(world->peer);
    free(world);
    return 0;
}
