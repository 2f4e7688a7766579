#include "support/websocket_world.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "net/ca_roots.h"
#include "net/http_client.h"

enum { SHOWN = 64 }; // bytes of a message in the log

static struct {
    pid_t pid;
    FILE *out, *in; // its standard output and input
    unsigned ports[2], proxy_ports[2];
    char ca_file[512];
} servers;

static char line[4096];

// Of those that begin so: a connection over TLS may end without a line.
static const char *read_line(const char *beginning)
{
    struct pollfd ready = {.fd = fileno(servers.out), .events = POLLIN}; // nothing is buffered
    do {
        if (poll(&ready, 1, SOCKET_PATIENCE_MS) != 1)
            fail_msg("no line \"%s\" from the servers", beginning);
        if (!fgets(line, sizeof line, servers.out))
            fail_msg("the servers are gone");
    } while (strncmp(line, beginning, strlen(beginning)) != 0);
    line[strcspn(line, "\n")] = '\0';
    return line;
}
const char *socket_server_said(const char *path)
{
    char beginning[64];
    snprintf(beginning, sizeof beginning, "%s ", path);
    return read_line(beginning) + strlen(beginning);
}

const char *socket_proxy_heads(void)
{
    fputs("\n", servers.in);
    fflush(servers.in);
    return read_line("CONNECT");
}

static const char *find_script(void)
{
    static const char *const tops[] = {".", "..", "../..", "../../.."};
    static char path[512];
    const char *given = getenv("HERMES_SOURCE_ROOT");
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        snprintf(path, sizeof path, "%s/tests/unit/support/websocket_servers.py",
                 given ? given : tops[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    fail_msg("websocket_servers.py is not found; set HERMES_SOURCE_ROOT to the source tree");
    return NULL;
}

static void start_servers(void)
{
    const char *script = find_script();
    int out[2], in[2];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(in), 0);
    servers.pid = fork();
    assert_true(servers.pid >= 0);
    if (servers.pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(in[0], STDIN_FILENO);
        closefrom(STDERR_FILENO + 1);
        execl("/usr/bin/python3", "/usr/bin/python3", "-B", script, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    close(in[0]);
    servers.out = fdopen(out[0], "r");
    servers.in = fdopen(in[1], "w");
    setvbuf(servers.out, NULL, _IONBF, 0);
    if (sscanf(read_line(""), "%u %u %u %u %511s", &servers.ports[0], &servers.ports[1],
               &servers.proxy_ports[0], &servers.proxy_ports[1], servers.ca_file) != 5)
        fail_msg("the servers did not start: %s", line);
}

static char *no_environment[] = {NULL};

int socket_set_up(void **state)
{
    struct socket_world *world = calloc(1, sizeof *world);
    struct error err = ERROR_INIT;
    *state = world;
    start_servers();
    environ = no_environment;
    if (loop_create(&clock_system, &world->loop, &err) != 0 ||
        trust_create(servers.ca_file, &world->trust, &err) != 0 ||
        http_client_create(world->loop, world->trust, &world->client, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

int socket_tear_down(void **state)
{
    struct socket_world *world = *state;
    http_client_destroy(world->client);
    trust_destroy(world->trust);
    loop_destroy(world->loop);
    free(world);
    fclose(servers.in);
    kill(servers.pid, SIGTERM);
    waitpid(servers.pid, NULL, 0);
    fclose(servers.out);
    return 0;
}

const char *socket_url(bool secure, const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "ws%s://127.0.0.1:%u%s", secure ? "s" : "", servers.ports[secure],
             path);
    return url;
}

void socket_use_proxy(struct socket_world *world, const char *variable, bool secure_proxy)
{
    static char text[128];
    static char *environment[] = {text, NULL};
    snprintf(text, sizeof text, "%s=http%s://me:secret@127.0.0.1:%u", variable ? variable : "none",
             secure_proxy ? "s" : "", servers.proxy_ports[secure_proxy]);
    environ = variable ? environment : no_environment;
    http_client_destroy(world->client);
    assert_int_equal(http_client_create(world->loop, world->trust, &world->client, NULL), 0);
}

int64_t socket_clock_ms(void)
{
    return clock_monotonic_ms(&clock_system);
}

void socket_pass_ms(struct socket_world *world, int ms)
{
    int64_t end = socket_clock_ms() + ms;
    while (socket_clock_ms() < end)
        loop_run_once(world->loop, end - socket_clock_ms());
}

static void reach(struct session *session, enum socket_place place)
{
    assert_false(session->gone);
    if (session->destroy_at != place)
        return;
    session->gone = true;
    websocket_destroy(session->ws);
    session->ws = NULL;
}

static void on_open(void *context, const struct http_head *head)
{
    struct session *session = context;
    assert_int_equal(session->opens + session->messages + session->closes, 0);
    assert_int_equal(head->status, 101);
    buf_append_span(&session->protocol, http_head_get(head, "Sec-WebSocket-Protocol"));
    session->opens++;
    reach(session, AT_OPEN);
}

static void on_message(void *context, bool is_text, struct span message)
{
    struct session *session = context;
    assert_int_equal(session->opens, 1);
    session->messages++;
    session->last_len = message.len;
    buf_clear(&session->last);
    buf_append_span(&session->last, message);
    buf_append_text(&session->log, is_text ? "text:" : "binary:");
    if (message.len > SHOWN || !is_text)
        buf_printf(&session->log, "%zu bytes", message.len);
    else
        buf_append_span(&session->log, message);
    buf_append_text(&session->log, "\n");
    reach(session, AT_MESSAGE);
}

static void on_room(void *context)
{
    struct session *session = context;
    session->rooms++;
    reach(session, AT_ROOM);
}

static void on_close(void *context, const struct websocket_end *end)
{
    struct session *session = context;
    session->closes++;
    session->failure = end->failure;
    session->status = end->status;
    session->code = end->code;
    buf_append_span(&session->reason, end->reason);
    if (end->err)
        buf_append_text(&session->sentence, end->err->text);
    assert_int_equal(end->err == NULL, end->failure == HTTP_OK);
    reach(session, AT_CLOSE);
}

struct session session_of(struct socket_world *world)
{
    return (struct session){.world = world,
                            .log = BUF_INIT(SOCKET_LOG_MAX),
                            .last = BUF_INIT(SOCKET_LOG_MAX),
                            .protocol = BUF_INIT(SOCKET_LOG_MAX),
                            .reason = BUF_INIT(SOCKET_LOG_MAX),
                            .sentence = BUF_INIT(SOCKET_LOG_MAX)};
}

void session_finish(struct session *session)
{
    websocket_destroy(session->ws);
    buf_finish(&session->log);
    buf_finish(&session->last);
    buf_finish(&session->protocol);
    buf_finish(&session->reason);
    buf_finish(&session->sentence);
}

int session_try(struct session *session, struct websocket_request request)
{
    static const struct websocket_handler handler = {on_open, on_message, on_room, on_close};
    struct error err = ERROR_INIT;
    int r = websocket_open(session->world->client, &request, &handler, session, &session->ws, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(session->opens + session->closes, 0); // never from inside
    buf_append_text(&session->sentence, err.text);
    return r;
}

void session_begin(struct session *session, const char *url)
{
    if (session_try(session, (struct websocket_request){.url = url}) != 0)
        fail_msg("%s", buf_text(&session->sentence));
}

void session_until(struct session *session, const unsigned *count, unsigned value)
{
    int64_t deadline = socket_clock_ms() + SOCKET_PATIENCE_MS;
    while (*count < value) {
        if (socket_clock_ms() > deadline)
            fail_msg("nothing came in time: %s", buf_text(&session->sentence));
        loop_run_once(session->world->loop, 100);
    }
}

void session_end(struct session *session)
{
    session_until(session, &session->closes, 1);
}
