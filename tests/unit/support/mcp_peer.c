#include "support/mcp_peer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

enum { PATIENCE_MS = 20 * 1000, STEPS_MAX = 32, ASKED_MAX = 64, PASS_MS = 5 };

static struct {
    pthread_mutex_t lock;
    struct mcp_step steps[STEPS_MAX];
    bool used[STEPS_MAX];
    size_t count;
    struct {
        char *text;
        int64_t ms;
    } asked[ASKED_MAX];
    size_t asked_count;
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_of(const char *text, const char *method)
{
    size_t len = strlen(method);
    return strncmp(text, method, len) == 0 && text[len] == ' ';
}

static struct mcp_step take_step(struct span request)
{
    struct mcp_step step = {.answer = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"};
    pthread_mutex_lock(&script.lock);
    if (script.asked_count == ASKED_MAX)
        abort();
    char *text = mem_strndup(request.data, request.len);
    script.asked[script.asked_count].text = text;
    script.asked[script.asked_count++].ms = clock_monotonic_ms(&clock_system);
    for (size_t i = 0; i < script.count; i++) {
        if (script.used[i] || !is_of(text, script.steps[i].method))
            continue;
        script.used[i] = true;
        step = script.steps[i];
        break;
    }
    pthread_mutex_unlock(&script.lock);
    return step;
}

static bool answer(void *context, int fd, struct span request)
{
    struct mcp_step step = take_step(request);
    char byte[2] = "";
    if (step.wait_ms)
        http_peer_pause(step.wait_ms);
    for (const char *at = step.bytewise ? step.answer : ""; *at; at++) {
        *byte = *at;
        http_peer_send(fd, byte);
        http_peer_pause(1);
    }
    if (step.answer && !step.bytewise)
        http_peer_send(fd, step.answer);
    while (step.often && http_peer_send(fd, step.often))
        ;
    if (step.then == THEN_HOLD)
        http_peer_hold(fd);
    return step.then == THEN_KEEP;
}

int mcp_peer_set_up(void **state)
{
    static char scale[] = "HERMES_DEBUG_WAIT_SCALE=0.05", *environment[] = {scale, NULL};
    struct mcp_peer *world = mem_new(struct mcp_peer);
    environ = environment;
    *state = world;
    world->peer = http_peer_create(answer, world);
    if (loop_create(&clock_system, &world->loop, NULL) != 0)
        return -1;
    return http_client_create(world->loop, NULL, &world->client, NULL);
}

int mcp_peer_tear_down(void **state)
{
    struct mcp_peer *world = *state;
    http_client_destroy(world->client);
    loop_destroy(world->loop);
    http_peer_destroy(world->peer);
    free(world);
    for (size_t i = 0; i < script.asked_count; i++)
        free(script.asked[i].text);
    script.asked_count = script.count = 0;
    memset(script.used, 0, sizeof script.used);
    return 0;
}

void mcp_peer_lay(struct mcp_peer *world, const struct mcp_step *steps, size_t count)
{
    pthread_mutex_lock(&script.lock);
    if (script.count + count > STEPS_MAX)
        abort();
    memcpy(script.steps + script.count, steps, count * sizeof *steps);
    script.count += count;
    pthread_mutex_unlock(&script.lock);
}

const char *mcp_peer_url(struct mcp_peer *world, const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_peer_port(world->peer), path);
    return url;
}

void mcp_peer_pass(struct mcp_peer *world, int ms)
{
    int64_t end = clock_monotonic_ms(&clock_system) + ms;
    while (clock_monotonic_ms(&clock_system) < end)
        loop_run_once(world->loop, PASS_MS);
}

static const char *find(const char *method, unsigned number, int64_t *ret_ms)
{
    const char *found = "";
    pthread_mutex_lock(&script.lock);
    for (size_t i = 0; i < script.asked_count; i++) {
        if (!is_of(script.asked[i].text, method) || number-- > 0)
            continue;
        found = script.asked[i].text;
        *ret_ms = script.asked[i].ms;
        break;
    }
    pthread_mutex_unlock(&script.lock);
    return found;
}

const char *mcp_peer_asked(const char *method, unsigned number)
{
    int64_t ms;
    return find(method, number, &ms);
}

int64_t mcp_peer_asked_ms(const char *method, unsigned number)
{
    int64_t ms = 0;
    find(method, number, &ms);
    return ms;
}

void mcp_peer_await(struct mcp_peer *world, const char *method, unsigned number)
{
    int64_t deadline = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (!*mcp_peer_asked(method, number)) {
        if (clock_monotonic_ms(&clock_system) > deadline)
            fail_msg("%s number %u did not come", method, number);
        loop_run_once(world->loop, PASS_MS);
    }
}
