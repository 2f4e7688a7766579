// libraries: curl mbedtls mbedx509 mbedcrypto
//
// A server that answers before it has read the request, and a reader who pauses: what TLS has taken
// over and the socket has not is still to be sent. The dialer is played here: it keeps the last
// bytes of what it is given until a test lets them go, and wants the same again, from a file too.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "net/dialer.h"
#include "support/http_fetch.h"

enum { OUT_MAX = 4096, KEPT = 5, FILE_BYTES = 3 * HTTP_FILE_PIECE + 1000 };

struct dialer {
    struct loop *loop;
};

struct dial {
    dial_fn *fn;
    void *context;
    int fd;
    struct buf record; // that was begun and not taken
};

static bool stuck;    // the socket takes no more than all but the last KEPT bytes
static bool hesitant; // for a moment, each time

int dialer_create(struct loop *loop, struct trust *trust, struct dialer **ret_dialer,
                  struct error *err)
{
    *ret_dialer = mem_new(struct dialer);
    (*ret_dialer)->loop = loop;
    return 0;
}

void dialer_destroy(struct dialer *dialer)
{
    free(dialer);
}

static void connected(void *context)
{
    static const struct error none = ERROR_INIT;
    struct dial *dial = context;
    dial->fn(dial->context, HTTP_OK, &none);
}

struct dial *dialer_dial(struct dialer *dialer, const struct dial_target *target, dial_fn *fn,
                         void *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    struct dial *dial = mem_new(struct dial);
    *dial = (struct dial){.fn = fn, .context = context};
    buf_init(&dial->record, OUT_MAX);
    inet_pton(AF_INET, target->host, &address.sin_addr);
    dial->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(dial->fd, (struct sockaddr *)&address, sizeof address), 0);
    loop_defer(dialer->loop, connected, dial);
    return dial;
}

void dial_close(struct dial *dial)
{
    if (!dial)
        return;
    buf_finish(&dial->record);
    fd_close(&dial->fd);
    free(dial);
}

bool dial_is_resolving(const struct dial *dial)
{
    return false;
}

int dial_fd(const struct dial *dial)
{
    return dial->fd;
}

bool dial_is_secure(const struct dial *dial)
{
    return true;
}

ssize_t dial_receive(struct dial *dial, char *data, size_t size)
{
    ssize_t n = recv(dial->fd, data, size, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

ssize_t dial_send(struct dial *dial, struct span data)
{
    bool first = !dial->record.len;
    data.len = data.len < OUT_MAX ? data.len : OUT_MAX - 1; // a record, and no more
    size_t kept = data.len < KEPT ? data.len : KEPT;
    if (first) {
        assert_true(buf_append_span(&dial->record, data));
        assert_int_equal(send(dial->fd, data.data, data.len - kept, MSG_NOSIGNAL), data.len - kept);
    }
    assert_true(span_equal(buf_span(&dial->record), data));
    if (stuck || (hesitant && first))
        return -EAGAIN;
    assert_int_equal(send(dial->fd, data.data + data.len - kept, kept, MSG_NOSIGNAL), kept);
    buf_clear(&dial->record);
    return (ssize_t)data.len;
}

// --- the world

struct scene {
    struct fetch_world world;
    struct fetch fetch;
    int listener, server;
    struct buf got; // by the server
};

// Lets the loop run until the server has got so much of `text`.
static void until_got(struct scene *scene, const char *text)
{
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    while (span_find(buf_span(&scene->got), span_of(text)) < 0) {
        char chunk[1024];
        loop_run_once(scene->world.loop, 1);
        ssize_t n = recv(scene->server, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0)
            buf_append(&scene->got, chunk, (size_t)n);
        if (fetch_clock_ms() > deadline)
            fail_msg("the server has got only: %s", buf_text(&scene->got));
    }
}

// All but the last bytes have gone out, the answer has begun, and its reader has paused.
static int set_up(void **state)
{
    static char url[64];
    struct scene *scene = calloc(1, sizeof *scene);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *state = scene;
    buf_init(&scene->got, OUT_MAX);
    stuck = true;
    hesitant = false;
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(scene->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(scene->listener, 1) < 0 ||
        getsockname(scene->listener, (struct sockaddr *)&address, &size) < 0 ||
        loop_create(&clock_system, &scene->world.loop, NULL) < 0 ||
        http_client_create(scene->world.loop, NULL, &scene->world.client, NULL) < 0)
        return -1;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", ntohs(address.sin_port));
    scene->fetch = fetch_of(&scene->world);
    scene->fetch.pause_after = 1;
    struct http_request request = fetch_get(url);
    request.method = "POST";
    request.body = span_of("0123456789");
    fetch_begin(&scene->fetch, request);
    scene->server = accept(scene->listener, NULL, NULL);
    until_got(scene, "\r\n\r\n01234");
    http_peer_send(scene->server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    fetch_until(&scene->fetch, &scene->fetch.pieces, 1);
    assert_false(http_client_was_sent(scene->world.client, scene->fetch.id));
    http_peer_send(scene->server, "w"); // it finds that nobody reads
    fetch_pass_ms(&scene->world, 20);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    http_client_destroy(scene->world.client);
    loop_destroy(scene->world.loop);
    fetch_finish(&scene->fetch);
    buf_finish(&scene->got);
    fd_close(&scene->server);
    fd_close(&scene->listener);
    free(scene);
    return 0;
}

static void ends_well(struct scene *scene)
{
    http_peer_send(scene->server, "orld");
    fetch_await(&scene->fetch);
    assert_int_equal(scene->fetch.failure, HTTP_OK);
    assert_string_equal(buf_text(&scene->fetch.body), "helloworld");
    assert_true(http_client_was_sent(scene->world.client, scene->fetch.id));
}

static void a_paused_reader_does_not_hold_up_the_request(void **state)
{
    struct scene *scene = *state;
    stuck = false;
    until_got(scene, "0123456789");
    fetch_pause(&scene->fetch, false);
    ends_well(scene);
}

static void nor_does_one_who_goes_on(void **state)
{
    struct scene *scene = *state;
    fetch_pause(&scene->fetch, false);
    fetch_pass_ms(&scene->world, 20);
    stuck = false;
    until_got(scene, "0123456789");
    ends_well(scene);
}

// The answer is complete, its server still waits for the rest: this connection serves nobody else.
static void a_connection_that_owes_something_is_not_kept(void **state)
{
    struct scene *scene = *state;
    fetch_pause(&scene->fetch, false);
    http_peer_send(scene->server, "orld");
    fetch_await(&scene->fetch);
    assert_int_equal(scene->fetch.failure, HTTP_OK);
    assert_false(http_client_was_sent(scene->world.client, scene->fetch.id));
    char chunk[64];
    while (recv(scene->server, chunk, sizeof chunk, 0) > 0)
        continue; // up to the end, which is there
}

// Each record of it is refused once, and the same is given again.
static void a_file_goes_in_records(void **state)
{
    struct scene *scene = *state;
    char name[] = "/tmp/hermes-unsent-XXXXXX", url[64];
    FD_AUTO file = mkostemp(name, O_CLOEXEC);
    CLEANUP(mem_cleanup) char *bytes = mem_alloc(FILE_BYTES);
    BUF_AUTO got = BUF_INIT(FILE_BYTES + OUT_MAX);
    FETCH_AUTO fetch = fetch_of(&scene->world);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    unlink(name);
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = (char)(i * 31 + (i >> 8));
    assert_int_equal(fd_write_all(file, bytes, FILE_BYTES), 0);
    getsockname(scene->listener, (struct sockaddr *)&address, &size);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", ntohs(address.sin_port));
    const struct span parts[] = {SPAN_LITERAL("before"), SPAN_LITERAL("after")};
    struct http_file between = {.fd = file, .len = FILE_BYTES, .after = 1};
    struct http_request request = fetch_get(url);
    request.method = "POST";
    request.body_parts = parts;
    request.body_part_count = 2;
    request.file = &between;
    stuck = false;
    hesitant = true;
    fetch_begin(&fetch, request);
    FD_AUTO server = accept(scene->listener, NULL, NULL);
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    while (!span_ends_with(buf_span(&got), "after")) {
        char chunk[OUT_MAX];
        loop_run_once(scene->world.loop, 1);
        for (ssize_t n; (n = recv(server, chunk, sizeof chunk, MSG_DONTWAIT)) > 0;)
            assert_true(buf_append(&got, chunk, (size_t)n));
        if (fetch_clock_ms() > deadline)
            fail_msg("the server has got only %zu bytes", got.len);
    }
    struct span body = span_skip(buf_span(&got), got.len - FILE_BYTES - strlen("beforeafter"));
    assert_true(span_starts_with(body, "before"));
    assert_memory_equal(body.data + strlen("before"), bytes, FILE_BYTES);
    http_peer_send(server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_string_equal(buf_text(&fetch.body), "hello");
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static char *no_environment[] = {NULL};
    environ = no_environment;
    const struct CMUnitTest tests[] = {
        SCENE(a_paused_reader_does_not_hold_up_the_request),
        SCENE(nor_does_one_who_goes_on),
        SCENE(a_connection_that_owes_something_is_not_kept),
        SCENE(a_file_goes_in_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
