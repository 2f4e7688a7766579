// libraries: mbedtls mbedx509 mbedcrypto
//
// What a proxy says when it is asked to connect us: bounded in all, and at a time. There is no
// trust here, so a tunnel that was made is seen by what fails next.
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

enum {
    FEW = 30,          // interim heads that are borne
    LONG_HEAD = 3000,  // bytes
    PASS_BYTES = 1024, // that one pass of the loop may read
};

static bool flood(void *context, int fd, struct span request)
{
    while (http_peer_send(fd, "HTTP/1.1 100 C\r\n\r\n"))
        continue;
    return false;
}

static bool talk_long(void *context, int fd, struct span request)
{
    char line[LONG_HEAD + 1];
    memset(line, 'x', LONG_HEAD);
    line[LONG_HEAD] = '\0';
    for (int i = 0; i < FEW; i++) {
        http_peer_send(fd, "HTTP/1.1 100 C\r\nX: ");
        http_peer_send(fd, line);
        http_peer_send(fd, "\r\n\r\n");
    }
    http_peer_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
    http_peer_hold(fd);
    return false;
}

// How many passes of the loop it took.
static unsigned fails(http_peer_fn *answer, enum http_failure failure, const char *sentence)
{
    static char variable[64];
    static char *environment[] = {variable, NULL};
    struct fetch_world world = {.peer = http_peer_create(answer, NULL)};
    unsigned passes = 0;
    snprintf(variable, sizeof variable, "https_proxy=http://127.0.0.1:%u",
             http_peer_port(world.peer));
    environ = environment;
    assert_int_equal(loop_create(&clock_system, &world.loop, NULL), 0);
    assert_int_equal(http_client_create(world.loop, NULL, &world.client, NULL), 0);
    FETCH_AUTO fetch = fetch_of(&world);
    fetch_begin(&fetch, fetch_get("https://server.invalid/"));
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    for (; !fetch.dones && fetch_clock_ms() < deadline; passes++)
        loop_run_once(world.loop, 100);
    if (fetch.failure != failure || !strstr(fetch.err.text, sentence))
        fail_msg("failure %d: %s", fetch.failure, fetch.err.text);
    http_client_destroy(world.client);
    loop_destroy(world.loop);
    http_peer_destroy(world.peer);
    return passes;
}

static void interim_answers_without_end(void **state)
{
    (void)state;
    fails(flood, HTTP_UNREACHABLE, "sends too much");
}

static void a_long_answer_is_read_by_turns(void **state)
{
    (void)state;
    unsigned passes = fails(talk_long, HTTP_UNTRUSTED, "no certificate authority is trusted");
    assert_true(passes >= FEW * LONG_HEAD / PASS_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interim_answers_without_end),
        cmocka_unit_test(a_long_answer_is_read_by_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
