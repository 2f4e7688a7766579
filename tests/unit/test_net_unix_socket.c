// libraries: curl mbedtls mbedx509 mbedcrypto
//
// HTTP over a socket that is a file: who gets in, what is left behind, and how long a path may be.
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/unix_socket.h"

enum { PATIENCE_MS = 10 * 1000, STRANGER = 54321, BODY_MAX = 4 << 20 };

struct unix_world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    char home[64];
    char path[512];
    unsigned requests, gone;
    uint64_t held;
};

struct ask {
    int status;
    struct buf body;
    bool done;
    enum http_failure failure;
};

static void on_request(void *context, struct http_exchange *exchange)
{
    struct unix_world *world = context;
    world->requests++;
    if (span_is(http_exchange_path(exchange), "/hold")) {
        world->held = http_exchange_id(exchange);
        http_exchange_begin(exchange, 200, "text/plain");
        http_exchange_write(exchange, SPAN_LITERAL("begun"));
    } else {
        assert_null(http_exchange_peer(exchange).data);
        http_exchange_reply(exchange, 200, "text/plain", http_exchange_body(exchange));
    }
}

static void on_gone(void *context, uint64_t id)
{
    struct unix_world *world = context;
    world->gone += id == world->held;
}

static int serve(struct unix_world *world, struct error *err)
{
    char address[600];
    snprintf(address, sizeof address, "unix:%s", world->path);
    struct http_server_options options = {
        .address = address,
        .max_body = BODY_MAX,
        .on_request = on_request,
        .on_gone = on_gone,
        .ctx = world,
    };
    return http_server_create(world->loop, &options, &world->server, err);
}

static int set_up(void **state)
{
    struct unix_world *world = calloc(1, sizeof *world);
    *state = world;
    snprintf(world->home, sizeof world->home, "/tmp/hermes-unix-XXXXXX");
    if (!mkdtemp(world->home) || loop_create(&clock_system, &world->loop, NULL) != 0)
        return -1;
    chmod(world->home, 0755); // the stranger is to be stopped by the socket
    snprintf(world->path, sizeof world->path, "%s/hermes.sock", world->home);
    return http_client_create(world->loop, NULL, &world->client, NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct unix_world *world = *state;
    http_client_destroy(world->client);
    http_server_destroy(world->server);
    loop_destroy(world->loop);
    int r = nftw(world->home, remove_one, 4, FTW_DEPTH | FTW_PHYS);
    free(world);
    return r;
}

static void on_head(void *context, const struct http_head *head)
{
    struct ask *ask = context;
    ask->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct ask *ask = context;
    return buf_append_span(&ask->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    (void)err;
    struct ask *ask = context;
    ask->failure = failure;
    ask->done = true;
}

static const struct http_handler handler = {on_head, on_body, on_done};

static http_id begin(struct unix_world *world, struct ask *ask, const char *path, struct span body)
{
    char url[64];
    http_id id = 0;
    struct error err = ERROR_INIT;
    snprintf(url, sizeof url, "http://localhost%s", path);
    struct http_request request = {
        .method = body.data ? "POST" : "GET",
        .url = url,
        .body = body,
        .unix_socket = world->path,
    };
    if (http_client_start(world->client, &request, &handler, ask, &id, &err) < 0)
        fail_msg("%s", err.text);
    return id;
}

static void await(struct unix_world *world, const bool *done)
{
    int64_t end = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (!*done && clock_monotonic_ms(&clock_system) < end)
        loop_run_once(world->loop, 100);
    assert_true(*done);
}

static void echo(struct unix_world *world, struct span body)
{
    struct ask ask = {.body = BUF_INIT(BODY_MAX)};
    begin(world, &ask, "/echo", body);
    await(world, &ask.done);
    assert_int_equal(ask.failure, HTTP_OK);
    assert_int_equal(ask.status, 200);
    assert_true(span_equal(buf_span(&ask.body), body));
    buf_finish(&ask.body);
}

static void asks_and_answers(void **state)
{
    struct unix_world *world = *state;
    struct stat status;
    static char large[3 << 20];
    umask(0);
    assert_int_equal(serve(world, NULL), 0);
    assert_int_equal(lstat(world->path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(http_server_port(world->server), 0);
    echo(world, SPAN_LITERAL("hello"));
    memset(large, 'x', sizeof large);
    echo(world, span_make(large, sizeof large));
    for (int i = 0; i < 50; i++)
        echo(world, SPAN_LITERAL("again"));
    assert_int_equal(world->requests, 52);
}

static void a_long_path_works(void **state)
{
    struct unix_world *world = *state;
    char directory[400];
    memset(directory, 'd', sizeof directory);
    int n = snprintf(directory, sizeof directory, "%s/", world->home);
    directory[n] = 'd';
    directory[n + 200] = '\0';
    assert_int_equal(mkdir(directory, 0700), 0);
    snprintf(world->path, sizeof world->path, "%s/hermes.sock", directory);
    assert_true(strlen(world->path) > 200);
    assert_int_equal(serve(world, NULL), 0);
    echo(world, SPAN_LITERAL("far away"));
    echo(world, SPAN_LITERAL("still"));
    assert_int_equal(access(world->path, F_OK), 0);
}

static void a_left_over_socket_is_replaced(void **state)
{
    struct unix_world *world = *state;
    struct error err = ERROR_INIT;
    assert_int_equal(serve(world, NULL), 0);
    struct http_server *first = STEAL(world->server);
    assert_int_equal(serve(world, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, world->path));
    http_server_destroy(first);
    assert_int_equal(access(world->path, F_OK), 0);
    assert_int_equal(serve(world, NULL), 0);
    echo(world, SPAN_LITERAL("the second"));
}

static void what_is_no_socket_stays(void **state)
{
    struct unix_world *world = *state;
    struct error err = ERROR_INIT;
    FILE *file = fopen(world->path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(serve(world, &err), -EEXIST);
    assert_null(world->server);
    assert_int_equal(access(world->path, F_OK), 0);
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(rmdir(world->home), 0);
    assert_int_equal(serve(world, &err), -ENOENT);
    assert_int_equal(mkdir(world->home, 0700), 0);
}

static void nobody_there(void **state)
{
    struct unix_world *world = *state;
    struct ask ask = {.body = BUF_INIT(BODY_MAX)};
    FD_AUTO fd = -1;
    assert_int_equal(unix_socket_connect(world->path, &fd, NULL), -ENOENT);
    begin(world, &ask, "/echo", SPAN_ABSENT);
    await(world, &ask.done);
    assert_int_equal(ask.failure, HTTP_UNREACHABLE);
    assert_int_equal(serve(world, NULL), 0);
    http_server_destroy(STEAL(world->server));
    assert_int_equal(unix_socket_connect(world->path, &fd, NULL), -ECONNREFUSED);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    struct unix_world *world = *state;
    struct ask ask = {.body = BUF_INIT(BODY_MAX)};
    assert_int_equal(serve(world, NULL), 0);
    http_id id = begin(world, &ask, "/hold", SPAN_ABSENT);
    for (int i = 0; i < 100 && !ask.body.len; i++)
        loop_run_once(world->loop, 100);
    assert_true(span_is(buf_span(&ask.body), "begun"));
    http_client_cancel(world->client, id);
    for (int i = 0; i < 100 && !world->gone; i++)
        loop_run_once(world->loop, 100);
    assert_int_equal(world->gone, 1);
    assert_null(http_server_find(world->server, world->held));
    buf_finish(&ask.body);
}

static void an_abort_is_no_end(void **state)
{
    struct unix_world *world = *state;
    struct ask ask = {.body = BUF_INIT(BODY_MAX)};
    assert_int_equal(serve(world, NULL), 0);
    begin(world, &ask, "/hold", SPAN_ABSENT);
    for (int i = 0; i < 100 && !ask.body.len; i++)
        loop_run_once(world->loop, 100);
    http_exchange_abort(http_server_find(world->server, world->held));
    await(world, &ask.done);
    assert_int_equal(ask.failure, HTTP_CUT);
    buf_finish(&ask.body);
}

// What another user's process gets; its exit status.
static int speak_as_stranger(const char *path)
{
    char answer[64];
    FD_AUTO fd = -1;
    if (setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
        return 10;
    int r = unix_socket_connect(path, &fd, NULL);
    if (r < 0)
        return r == -EACCES ? 1 : 11;
    static const char request[] = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
    send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    return read(fd, answer, sizeof answer) > 0 ? 12 : 2;
}

static void expect_of_stranger(struct unix_world *world, int expected)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(speak_as_stranger(world->path));
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0)
        loop_run_once(world->loop, 20);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
    assert_int_equal(world->requests, 0);
}

static void strangers_are_refused(void **state)
{
    struct unix_world *world = *state;
    if (geteuid() != 0)
        skip(); // only root can become somebody else
    assert_int_equal(serve(world, NULL), 0);
    expect_of_stranger(world, 1); // by the file's mode
    assert_int_equal(chmod(world->path, 0666), 0);
    expect_of_stranger(world, 2); // by who they are
    echo(world, SPAN_LITERAL("and we are not"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_and_answers),
        TEST(a_long_path_works),
        TEST(a_left_over_socket_is_replaced),
        TEST(what_is_no_socket_stays),
        TEST(nobody_there),
        TEST(a_client_that_leaves_is_noticed),
        TEST(an_abort_is_no_end),
        TEST(strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
