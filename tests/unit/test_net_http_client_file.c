// libraries: curl mbedtls mbedx509 mbedcrypto
//
// A body that is read from a file while it is sent: it arrives as it is, in its place, and whole or
// not at all, however slowly it is taken, whatever the disk does, and from its first byte again
// when the request goes out again. The server is played here, down to what it reads; so is the
// kernel's word on what is in its cache.
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
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "support/fake_clock.h"
#include "support/http_fetch.h"

enum {
    LARGE = 20 << 20, // bytes: more than the sockets hold
    SMALL = 100 * 1000,
    BUFFER = 16 * 1024, // of the server's socket
    LIMIT_MS = 200,
    DISK_PATIENCE_MS = 60 * 1000,
    AT_ONCE = 4, // pieces, before others have their turn
};

static enum { WARM, EVERY_OTHER, SILENT, UNKNOWN, ENDS } disk;
static unsigned asked; // of the disk

// In the place of libc's.
ssize_t preadv2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    assert_int_equal(count, 1);
    assert_int_equal(flags, RWF_NOWAIT);
    assert_true(pieces->iov_len <= HTTP_FILE_PIECE);
    asked++;
    if (disk == SILENT || (disk == EVERY_OTHER && asked % 2)) {
        errno = EAGAIN;
        return -1;
    }
    if (disk == UNKNOWN) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return disk == ENDS ? 0 : pread(fd, pieces->iov_base, pieces->iov_len, offset);
}

// --- the world

struct scene {
    struct fetch_world world;
    struct fetch fetch;
    struct fake_clock clock;
    char url[64];
    int listener, server, file;
    struct buf got; // by the server, on the present connection
};

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static int new_file(size_t size)
{
    char name[] = "/tmp/hermes-file-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    char *bytes = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(i);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(fd_write_all(fd, bytes, size), 0);
    free(bytes);
    return fd;
}

static int set_up_with(void **state, const struct clock *clock, struct scene *scene)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int buffer = BUFFER;
    *state = scene;
    disk = WARM;
    asked = 0;
    scene->server = scene->file = -1;
    buf_init(&scene->got, LARGE + (1 << 20));
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(scene->listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(scene->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(scene->listener, 8) < 0 ||
        getsockname(scene->listener, (struct sockaddr *)&address, &size) < 0 ||
        loop_create(clock, &scene->world.loop, NULL) < 0 ||
        http_client_create(scene->world.loop, NULL, &scene->world.client, NULL) < 0)
        return -1;
    snprintf(scene->url, sizeof scene->url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    scene->fetch = fetch_of(&scene->world);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, &clock_system, mem_new(struct scene));
}

static int set_up_with_a_clock(void **state)
{
    struct scene *scene = mem_new(struct scene);
    return set_up_with(state, fake_clock_init(&scene->clock, 1000), scene);
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
    fd_close(&scene->file);
    free(scene);
    return 0;
}

// --- what a test does

static void begin(struct scene *scene, const char *method, struct http_file file)
{
    static const struct span parts[] = {SPAN_LITERAL("<be"), SPAN_LITERAL("fore>"),
                                        SPAN_LITERAL("<after>")};
    struct http_request request = fetch_get(scene->url);
    request.method = method;
    request.body = span_of("not looked at");
    request.body_parts = parts;
    request.body_part_count = ARRAY_LEN(parts);
    request.timeouts.first_byte = disk == SILENT ? LIMIT_MS : 0;
    file.after = 2;
    request.file = &file;
    fetch_begin(&scene->fetch, request);
}

static void post(struct scene *scene, size_t size)
{
    scene->file = new_file(size);
    begin(scene, "POST", (struct http_file){.fd = scene->file, .len = size});
}

// The loop runs until somebody connects.
static void take_connection(struct scene *scene)
{
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    fd_close(&scene->server);
    buf_clear(&scene->got);
    fcntl(scene->listener, F_SETFL, O_NONBLOCK);
    while ((scene->server = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        loop_run_once(scene->world.loop, scene->clock.now_ms ? 0 : 1);
        if (fetch_clock_ms() > deadline)
            fail_msg("nobody connects");
    }
}

// One read of the server; false when the client has closed.
static bool read_some(struct scene *scene)
{
    char chunk[BUFFER];
    ssize_t n = recv(scene->server, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0)
        assert_true(buf_append(&scene->got, chunk, (size_t)n));
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void read_until(struct scene *scene, size_t bytes)
{
    int64_t deadline = fetch_clock_ms() + PATIENCE_MS;
    while (scene->got.len < bytes) {
        loop_run_once(scene->world.loop, scene->clock.now_ms ? 0 : 1);
        for (size_t before = SIZE_MAX; scene->got.len != before && scene->got.len < bytes;) {
            before = scene->got.len;
            read_some(scene);
        }
        if (fetch_clock_ms() > deadline)
            fail_msg("the server has got only %zu of %zu bytes", scene->got.len, bytes);
    }
}

static size_t head_len(struct scene *scene)
{
    read_until(scene, 4);
    ptrdiff_t end;
    while ((end = span_find(buf_span(&scene->got), SPAN_LITERAL("\r\n\r\n"))) < 0)
        read_until(scene, scene->got.len + 1);
    return (size_t)end + 4;
}

static bool is_pattern(struct span bytes, size_t offset)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != pattern(offset + i))
            return false;
    return true;
}

// The request is there, with so many bytes of the file, and nothing else.
static void arrives(struct scene *scene, size_t offset, size_t len)
{
    char line[64];
    size_t head = head_len(scene);
    size_t body = strlen("<before>") + len + strlen("<after>");
    snprintf(line, sizeof line, "\r\nContent-Length: %zu\r\n", body);
    assert_true(span_find(buf_span(&scene->got), span_of(line)) > 0);
    read_until(scene, head + body);
    assert_int_equal(scene->got.len, head + body);
    struct span rest = span_skip(buf_span(&scene->got), head);
    assert_true(span_starts_with(rest, "<before>"));
    assert_true(is_pattern(span_make(rest.data + 8, len), offset));
    assert_true(span_is(span_skip(rest, 8 + len), "<after>"));
}

static void answers(struct scene *scene)
{
    http_peer_send(scene->server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    fetch_await(&scene->fetch);
    assert_string_equal(scene->fetch.err.text, "");
    assert_int_equal(scene->fetch.failure, HTTP_OK);
    assert_string_equal(buf_text(&scene->fetch.body), "hello");
}

static void again(struct scene *scene)
{
    fetch_finish(&scene->fetch);
    scene->fetch = fetch_of(&scene->world);
    fd_close(&scene->file);
}

// --- it arrives

static void every_size(void **state)
{
    enum { PIECE = HTTP_FILE_PIECE };
    static const size_t sizes[] = {0,     1,         4096,      PIECE - 1,
                                   PIECE, PIECE + 1, 3 * PIECE, 10 * PIECE + 5};
    struct scene *scene = *state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        post(scene, sizes[i]);
        if (i == 0) // the others come over the same connection
            take_connection(scene);
        buf_clear(&scene->got);
        arrives(scene, 0, sizes[i]);
        answers(scene);
        again(scene);
    }
}

// From another place than the descriptor's, which stays where it is; and alone.
static void a_part_of_a_file(void **state)
{
    struct scene *scene = *state;
    scene->file = new_file(SMALL);
    lseek(scene->file, 77, SEEK_SET);
    begin(scene, "POST", (struct http_file){.fd = scene->file, .offset = 1000, .len = 70000});
    take_connection(scene);
    arrives(scene, 1000, 70000);
    answers(scene);
    assert_int_equal(lseek(scene->file, 0, SEEK_CUR), 77);
    fetch_finish(&scene->fetch);
    scene->fetch = fetch_of(&scene->world);
    struct http_file file = {.fd = scene->file, .offset = SMALL - 10, .len = 10};
    struct http_request request = fetch_get(scene->url);
    request.method = "PUT";
    request.file = &file;
    fetch_begin(&scene->fetch, request);
    buf_clear(&scene->got);
    size_t head = head_len(scene);
    read_until(scene, head + 10);
    assert_true(span_find(buf_span(&scene->got), span_of("\r\nContent-Length: 10\r\n")) > 0);
    assert_true(is_pattern(span_skip(buf_span(&scene->got), head), SMALL - 10));
    answers(scene);
}

// More than the sockets hold: it is read as the server takes it, and no sooner.
static void a_slow_server(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    fetch_pass_ms(&scene->world, LIMIT_MS);
    assert_true(asked < LARGE / HTTP_FILE_PIECE);
    assert_false(http_client_was_sent(scene->world.client, scene->fetch.id));
    arrives(scene, 0, LARGE);
    assert_true(asked >= LARGE / HTTP_FILE_PIECE);
    answers(scene);
    assert_true(http_client_was_sent(scene->world.client, scene->fetch.id));
}

// The server's socket would take more, but others have their turn.
static void a_fast_server(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    while (asked == 0)
        loop_run_once(scene->world.loop, 1);
    assert_in_range(asked, 1, AT_ONCE);
    take_connection(scene);
    while (asked < LARGE / HTTP_FILE_PIECE) {
        unsigned before = asked;
        read_some(scene);
        loop_run_once(scene->world.loop, 1);
        assert_in_range(asked - before, 0, AT_ONCE);
    }
    arrives(scene, 0, LARGE);
    answers(scene);
}

static void too_large_is_heard_in_the_middle(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    read_until(scene, SMALL);
    http_peer_send(scene->server, "HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n");
    fetch_await(&scene->fetch);
    assert_int_equal(scene->fetch.failure, HTTP_OK);
    assert_int_equal(scene->fetch.status, 413);
    while (read_some(scene)) // the connection serves nobody else
        continue;
}

// --- what cannot be sent

static void ends_unreadable(struct scene *scene, const char *why)
{
    fetch_await(&scene->fetch);
    assert_int_equal(scene->fetch.failure, HTTP_UNREADABLE);
    assert_non_null(strstr(scene->fetch.err.text, why));
    assert_false(http_client_was_sent(scene->world.client, scene->fetch.id));
}

// The server has what there was, and then the end: nothing that it could take for the rest.
static void has_only(struct scene *scene, size_t bytes)
{
    while (read_some(scene))
        continue;
    struct span rest = buf_span(&scene->got);
    rest = span_skip(rest, (size_t)span_find(rest, SPAN_LITERAL("\r\n\r\n")) + 4);
    assert_int_equal(rest.len, strlen("<before>") + bytes);
    assert_true(is_pattern(span_skip(rest, 8), 0));
}

static void a_file_that_is_too_short(void **state)
{
    struct scene *scene = *state;
    scene->file = new_file(SMALL);
    begin(scene, "PUT", (struct http_file){.fd = scene->file, .len = SMALL + 1});
    take_connection(scene);
    size_t head = head_len(scene);
    read_until(scene, head + 8 + SMALL);
    ends_unreadable(scene, "became shorter while it was sent: of 100001 bytes 100000 are left");
    has_only(scene, SMALL);
}

static void a_file_that_becomes_shorter(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    read_until(scene, SMALL);
    assert_int_equal(ftruncate(scene->file, LARGE / 2 + 1), 0);
    size_t head = head_len(scene);
    read_until(scene, head + 8 + LARGE / 2 + 1);
    ends_unreadable(scene, "became shorter");
    has_only(scene, LARGE / 2 + 1);
}

static void no_file_at_all(void **state)
{
    struct scene *scene = *state;
    scene->file = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    begin(scene, "POST", (struct http_file){.fd = scene->file, .len = 10});
    take_connection(scene);
    ends_unreadable(scene, strerror(EISDIR));
    has_only(scene, 0);
}

// --- again, and not to the end

static void keep_a_connection(struct scene *scene)
{
    FETCH_AUTO fetch = fetch_of(&scene->world);
    fetch_begin(&fetch, fetch_get(scene->url));
    take_connection(scene);
    head_len(scene);
    http_peer_send(scene->server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    buf_clear(&scene->got);
}

// The kept connection ends in the middle of the file, and the request goes out on a new one.
static void it_begins_anew(void **state)
{
    struct scene *scene = *state;
    int64_t repeats = 0;
    http_client_count_repeats(scene->world.client, &repeats);
    keep_a_connection(scene);
    post(scene, LARGE);
    read_until(scene, 5 * HTTP_FILE_PIECE);
    shutdown(scene->server, SHUT_WR);
    take_connection(scene);
    arrives(scene, 0, LARGE);
    answers(scene);
    assert_int_equal(repeats, 1);
}

// It was read to its end before: the server had the whole and said nothing.
static void it_begins_anew_from_its_end(void **state)
{
    struct scene *scene = *state;
    keep_a_connection(scene);
    scene->file = new_file(SMALL);
    begin(scene, "PUT", (struct http_file){.fd = scene->file, .len = SMALL});
    arrives(scene, 0, SMALL);
    shutdown(scene->server, SHUT_WR);
    take_connection(scene);
    arrives(scene, 0, SMALL);
    answers(scene);
}

static void cancelled_in_the_middle(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    read_until(scene, SMALL);
    http_client_cancel(scene->world.client, scene->fetch.id);
    scene->fetch.over = true;
    fd_close(&scene->file); // nobody reads it any more
    while (read_some(scene))
        continue;
    fetch_pass_ms(&scene->world, LIMIT_MS);
    assert_int_equal(scene->fetch.dones, 0);
}

static void the_client_goes_in_the_middle(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    read_until(scene, SMALL);
}

// --- disks

static void a_slow_disk(void **state)
{
    struct scene *scene = *state;
    disk = EVERY_OTHER;
    post(scene, 5 * HTTP_FILE_PIECE + 7);
    take_connection(scene);
    arrives(scene, 0, 5 * HTTP_FILE_PIECE + 7);
    answers(scene);
    assert_int_equal(asked, 2 * 6);
}

static void disks_that_cannot_say(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 2; i++) {
        disk = i == 0 ? UNKNOWN : ENDS;
        post(scene, 2 * HTTP_FILE_PIECE + 7);
        if (i == 0)
            take_connection(scene);
        buf_clear(&scene->got);
        arrives(scene, 0, 2 * HTTP_FILE_PIECE + 7);
        answers(scene);
        again(scene);
    }
}

// It holds up nobody, time goes on, and it is not asked all the time.
static void a_silent_disk(void **state)
{
    struct scene *scene = *state;
    disk = SILENT;
    post(scene, SMALL);
    take_connection(scene);
    fetch_await(&scene->fetch);
    assert_int_equal(scene->fetch.failure, HTTP_TIMED_OUT);
    assert_true(asked > 0 && asked <= LIMIT_MS / 10 + 2);
    has_only(scene, 0);
}

static void cancelled_while_it_is_silent(void **state)
{
    struct scene *scene = *state;
    disk = SILENT;
    post(scene, SMALL);
    take_connection(scene);
    read_until(scene, head_len(scene) + 8);
    http_client_cancel(scene->world.client, scene->fetch.id);
    scene->fetch.over = true;
    unsigned before = asked;
    fetch_pass_ms(&scene->world, LIMIT_MS);
    assert_int_equal(asked, before);
}

static void tick(struct scene *scene)
{
    read_some(scene);
    scene->clock.now_ms += 10;
    loop_run_once(scene->world.loop, 0);
}

static void a_disk_that_is_dead(void **state)
{
    struct scene *scene = *state;
    post(scene, LARGE);
    take_connection(scene);
    disk = SILENT;
    while (!scene->fetch.dones && scene->clock.now_ms < 2 * DISK_PATIENCE_MS) {
        tick(scene);
    }
    ends_unreadable(scene, strerror(ETIMEDOUT));
    assert_true(scene->clock.now_ms > DISK_PATIENCE_MS);
}

// What counts is how long it says nothing at all.
static void a_disk_that_rests(void **state)
{
    struct scene *scene = *state;
    post(scene, 40 * HTTP_FILE_PIECE);
    take_connection(scene);
    for (int i = 0; i < 3; i++) {
        int64_t until = scene->clock.now_ms + DISK_PATIENCE_MS / 2;
        unsigned before = asked;
        disk = SILENT;
        while (scene->clock.now_ms < until) {
            tick(scene);
        }
        assert_true(asked > before);
        disk = EVERY_OTHER;
        for (before = asked; asked < before + 2;) { // one piece, or two
            tick(scene);
        }
    }
    assert_int_equal(scene->fetch.dones, 0);
    disk = WARM;
    scene->clock.now_ms += 10;
    arrives(scene, 0, 40 * HTTP_FILE_PIECE);
    answers(scene);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static char *no_environment[] = {NULL};
    environ = no_environment;
    const struct CMUnitTest tests[] = {
        SCENE(every_size),
        SCENE(a_part_of_a_file),
        SCENE(a_slow_server),
        SCENE(a_fast_server),
        SCENE(too_large_is_heard_in_the_middle),
        SCENE(a_file_that_is_too_short),
        SCENE(a_file_that_becomes_shorter),
        SCENE(no_file_at_all),
        SCENE(it_begins_anew),
        SCENE(it_begins_anew_from_its_end),
        SCENE(cancelled_in_the_middle),
        SCENE(the_client_goes_in_the_middle),
        SCENE(a_slow_disk),
        SCENE(disks_that_cannot_say),
        SCENE(a_silent_disk),
        SCENE(cancelled_while_it_is_silent),
        cmocka_unit_test_setup_teardown(a_disk_that_is_dead, set_up_with_a_clock, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_rests, set_up_with_a_clock, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
