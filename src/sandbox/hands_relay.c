#include "sandbox/hands_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/supervisor.h"

enum {
    PATIENCE_MS = 10 * 1000, // with hands that start again
    FIRST_PAUSE_MS = 50,
    PAUSE_MAX_MS = 1000,
    HEARD_MAX = HANDS_HEADER + HANDS_DATA_MAX,       // bytes of the largest frame of theirs
    SAID_MAX = HANDS_HEADER + HANDS_REQUEST_MAX + 1, // and of ours
    GONE = -1, // no hands: what ends the connection without an end being told
};

const char *hands_socket(void)
{
    const char *path = getenv("HERMES_HANDS_SOCKET");
    return path && *path ? path : "/run/hands/socket";
}

// --- the connection

// The socket lies where a program of the hands may be able to put something else in its place, so
// that it is looked at before it is connected to, and no link is followed.
static int connect_to(const char *path, int *ret_fd, struct error *err)
{
    struct stat status;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t len = sizeof peer;
    FD_AUTO file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0)
        return error_errno(err, errno, "cannot reach %s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, -ENOTSOCK, "%s is not a socket", path);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", file);
    FD_AUTO fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return error_errno(err, errno, "cannot reach %s", path);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != geteuid())
        return error_set(err, -EPERM, "another user listens on %s", path);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

// Reads what is there. 1, or -ECONNRESET at the end.
static int receive(int fd, struct buf *heard)
{
    char chunk[HANDS_DATA_MAX];
    size_t room = heard->max - heard->len;
    ssize_t n = recv(fd, chunk, room < sizeof chunk ? room : sizeof chunk, MSG_DONTWAIT);
    if (n > 0)
        buf_append(heard, chunk, (size_t)n);
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)) ? 1 : -ECONNRESET;
}

static int await_hello(int fd, int64_t until_ms, struct hands_hello *ret_hello, struct error *err)
{
    BUF_AUTO heard = BUF_INIT(HANDS_HEADER + HANDS_TALK_MAX);
    struct hands_frame frame;
    for (;;) {
        int r = hands_frame_read(buf_span(&heard), &frame);
        if (r < 0 ||
            (r > 0 && (frame.kind != HANDS_HELLO || heard.len > HANDS_HEADER + frame.bytes.len ||
                       hands_hello_read(frame.bytes, ret_hello) < 0)))
            return error_set(err, -EPROTO, "what answers there are no hands of this version");
        if (r > 0)
            return 0;
        int64_t left_ms = until_ms - clock_monotonic_ms(&clock_system);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&readable, 1, (int)left_ms) == 0)
            return error_set(err, -ETIMEDOUT, "the hands do not answer");
        if (receive(fd, &heard) < 0)
            return error_set(err, -ECONNRESET, "the hands closed the connection");
    }
}

static int try_greet(const char *path, int64_t until_ms, int *ret_fd, struct hands_hello *ret_hello,
                     struct error *err)
{
    FD_AUTO fd = -1;
    int r = connect_to(path, &fd, err);
    if (r == 0)
        r = await_hello(fd, until_ms, ret_hello, err);
    if (r == 0 && ret_fd) {
        *ret_fd = fd;
        fd = -1;
    }
    return r;
}

// A container that was ended starts again in a moment, and what is wrong for good stays wrong.
int hands_greet(const char *socket_path, int patience_ms, int *ret_fd,
                struct hands_hello *ret_hello, struct error *err)
{
    int64_t until_ms = clock_monotonic_ms(&clock_system) + patience_ms;
    for (int pause_ms = FIRST_PAUSE_MS;; pause_ms *= 2) {
        int r = try_greet(socket_path, until_ms, ret_fd, ret_hello, err);
        bool may_pass = r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN || r == -ECONNRESET;
        pause_ms = pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
        if (!may_pass || clock_monotonic_ms(&clock_system) + pause_ms >= until_ms)
            return r;
        poll(NULL, 0, pause_ms);
    }
}

// --- what goes back and forth

struct relay {
    int fd;
    struct buf heard, said; // what was not taken apart, and not sent yet
    bool input_open, over;
    struct hands_end end;
};

static int take_frame(struct relay *relay, const struct hands_frame *frame)
{
    switch (frame->kind) {
    case HANDS_STDOUT:
        return fd_write_all(STDOUT_FILENO, frame->bytes.data, frame->bytes.len);
    case HANDS_STDERR:
        return fd_write_all(STDERR_FILENO, frame->bytes.data, frame->bytes.len);
    case HANDS_END:
        relay->over = true;
        return hands_end_read(frame->bytes, &relay->end);
    default:
        return -EPROTO;
    }
}

static int take_frames(struct relay *relay)
{
    struct hands_frame frame;
    size_t taken = 0;
    int r = 0;
    while (!relay->over && r >= 0) {
        struct span rest = span_skip(buf_span(&relay->heard), taken);
        int got = hands_frame_read(rest, &frame);
        if (got <= 0) {
            r = got;
            break;
        }
        r = take_frame(relay, &frame);
        taken += HANDS_HEADER + frame.bytes.len;
    }
    buf_consume(&relay->heard, taken);
    return r;
}

static void send_some(struct relay *relay)
{
    ssize_t n = send(relay->fd, relay->said.data, relay->said.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        buf_consume(&relay->said, (size_t)n);
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
        return;
    relay->input_open = false; // nobody listens; what was said before that is still to be read
    buf_clear(&relay->said);
}

static void read_input(struct relay *relay)
{
    char chunk[HANDS_DATA_MAX];
    ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    relay->input_open = n > 0;
    hands_frame_write(&relay->said, n > 0 ? HANDS_INPUT : HANDS_INPUT_END,
                      span_make(chunk, n > 0 ? (size_t)n : 0));
}

// One pass. What is written to our outputs waits for whoever reads them, and with it all else: the
// hands then hold the program, as a full pipe would.
static int pass(struct relay *relay)
{
    struct pollfd fds[] = {
        {.fd = relay->fd, .events = (short)(POLLIN | (relay->said.len ? POLLOUT : 0))},
        {.fd = relay->input_open && !relay->said.len ? STDIN_FILENO : GONE, .events = POLLIN},
    };
    if (poll(fds, ARRAY_LEN(fds), -1) < 0)
        return errno == EINTR ? 0 : -errno;
    int r = 0;
    if (fds[0].revents & POLLOUT) // also of a program that never stops to print
        send_some(relay);
    if (fds[0].revents & ~POLLOUT) {
        r = receive(relay->fd, &relay->heard);
        if (r > 0)
            r = take_frames(relay);
    }
    if (r >= 0 && fds[1].revents && relay->input_open)
        read_input(relay);
    return r;
}

// --- its beginning and its end

bool hands_verdict_read(int fd, struct hands_end *ret_end)
{
    struct hands_end end;
    if (fd < 0 || read(fd, &end, sizeof end) != (ssize_t)sizeof end)
        return false;
    end.text[sizeof end.text - 1] = '\0';
    *ret_end = end;
    return true;
}

static void tell_lost(struct hands_end *end, int r, const struct hands_hello *hello)
{
    enum { MIB = 20 }; // bits
    end->status = 0;
    end->failure = r;
    if (r == -EPROTO)
        snprintf(end->text, sizeof end->text, "the hands container sent what cannot be read");
    else if (r != -ECONNRESET)
        snprintf(end->text, sizeof end->text, "what it printed cannot be passed on: %s",
                 strerror(-r));
    else if (hello->memory)
        snprintf(end->text, sizeof end->text,
                 "the hands container was ended meanwhile, most likely for memory: all commands "
                 "together have %lld MiB there. It starts again by itself",
                 (long long)(hello->memory >> MIB));
    else
        snprintf(end->text, sizeof end->text,
                 "the hands container was ended meanwhile, most likely for memory. It starts again "
                 "by itself");
}

static int refuse(const struct error *err)
{
    dprintf(STDERR_FILENO, "hermes: nothing was run: %s\n", err->text);
    return EXIT_SANDBOX;
}

enum { SOCKET, CPU_S, MEMORY, PROCESSES, FILE_SIZE, GRANTS };

static bool read_words(const char *directory, int count, char **words, struct grants_read *read,
                       struct hands_request *request)
{
    uint64_t numbers[GRANTS];
    if (count <= GRANTS || grants_from_words(count - GRANTS, words + GRANTS, read) < 0)
        return false;
    for (int i = CPU_S; i < GRANTS; i++)
        if (!span_to_u64(span_of(words[i]), &numbers[i]))
            return false;
    *request = (struct hands_request){
        .directory = directory,
        .cpu_s = (int64_t)numbers[CPU_S],
        .memory = (int64_t)numbers[MEMORY],
        .processes = (int64_t)numbers[PROCESSES],
        .file_size = (int64_t)numbers[FILE_SIZE],
        .tasks = read->grants.tasks,
        .tmp = read->grants.tmp,
        .disk = read->grants.disk,
        .read = read->grants.read,
        .write = read->grants.write,
        .environment = (const char *const *)environ,
        .argv = (const char *const *)words + GRANTS + read->taken,
    };
    return request->argv[0] != NULL;
}

static int run(const char *socket_path, const struct hands_request *request, struct error *err)
{
    struct hands_hello hello;
    struct relay relay = {.fd = -1, .input_open = true};
    buf_init(&relay.heard, HEARD_MAX);
    buf_init(&relay.said, SAID_MAX);
    int r = 0;
    if (!hands_request_write(&relay.said, request))
        r = error_set(err, -E2BIG, "its arguments and variables are more than %d KiB",
                      HANDS_REQUEST_MAX / 1024);
    if (r == 0)
        r = hands_greet(socket_path, PATIENCE_MS, &relay.fd, &hello, err);
    if (r < 0)
        error_wrap(err, "the hands container cannot be asked");
    int lost = 0;
    while (r == 0 && lost >= 0 && !relay.over)
        lost = pass(&relay);
    if (r == 0 && lost < 0)
        tell_lost(&relay.end, lost, &hello);
    if (r == 0)
        fd_write_all(HANDS_VERDICT_FD, &relay.end, sizeof relay.end);
    fd_close(&relay.fd);
    buf_finish(&relay.heard);
    buf_finish(&relay.said);
    return r;
}

int hands_relay(const char *directory, int count, char **words)
{
    struct grants_read read = {0};
    struct hands_request request;
    struct error err = ERROR_INIT;
    int r = -EINVAL;
    if (read_words(directory, count, words, &read, &request))
        r = run(words[SOCKET], &request, &err);
    else
        error_set(&err, r, "its words cannot be read");
    grants_read_finish(&read);
    return r < 0 ? refuse(&err) : 0;
}
