// libraries: curl mbedtls mbedx509 mbedcrypto
//
// What a proxy says when it is asked to connect us is bounded. There is no trust here, so a tunnel
// that was made is seen by what fails next.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/http_fetch.h"

enum { LINE = 1000, LINES = 400 };

static bool flood(void *context, int fd, struct span request)
{
    while (http_peer_send(fd, "HTTP/1.1 100 C\r\n\r\n"))
        continue;
    return false;
}

static bool talk_long(void *context, int fd, struct span request)
{
    char line[LINE + 1];
    memset(line, 'x', LINE);
    line[LINE] = '\0';
    http_peer_send(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < LINES; i++) {
        http_peer_send(fd, "X: ");
        http_peer_send(fd, line);
        http_peer_send(fd, "\r\n");
    }
    http_peer_hold(fd);
    return false;
}

static bool agree(void *context, int fd, struct span request)
{
    http_peer_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
    http_peer_hold(fd);
    return false;
}

static void fails(http_peer_fn *answer, enum http_failure failure, const char *sentence)
{
    static char variable[64];
    static char *environment[] = {variable, NULL};
    struct fetch_world world = {.peer = http_peer_create(answer, NULL)};
    snprintf(variable, sizeof variable, "https_proxy=http://127.0.0.1:%u",
             http_peer_port(world.peer));
    environ = environment;
    assert_int_equal(loop_create(&clock_system, &world.loop, NULL), 0);
    assert_int_equal(http_client_create(world.loop, NULL, &world.client, NULL), 0);
    FETCH_AUTO fetch = fetch_of(&world);
    fetch_begin(&fetch, fetch_get("https://server.invalid/"));
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    while (!fetch.dones && fetch_clock_ms() < deadline)
        loop_run_once(world.loop, 100);
    if (fetch.failure != failure || !strstr(fetch.err.text, sentence))
        fail_msg("failure %d: %s", fetch.failure, fetch.err.text);
    http_client_destroy(world.client);
    loop_destroy(world.loop);
    http_peer_destroy(world.peer);
}

static void interim_answers_without_end(void **state)
{
    (void)state;
    fails(flood, HTTP_UNREACHABLE, "interim answers");
}

static void a_head_without_end(void **state)
{
    (void)state;
    fails(talk_long, HTTP_UNREACHABLE, "sends too much");
}

static void a_tunnel(void **state)
{
    (void)state;
    fails(agree, HTTP_UNTRUSTED, "no certificate authority is trusted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interim_answers_without_end),
        cmocka_unit_test(a_head_without_end),
        cmocka_unit_test(a_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
