#include "sandbox/hands.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"
#include "sandbox/cgroup.h"
#include "sandbox/hands_frame.h"
#include "sandbox/process.h"
#include "sandbox/supervisor.h"

enum {
    REQUEST_MAX_MS = 10 * 1000, // until a head has said what it wants
    STOP_MAX_MS = 3 * 1000,     // for the heads to hear of the end
    CHUNK = 16 * 1024,          // bytes that are read at a time
    HEARD_MAX = HANDS_HEADER + HANDS_REQUEST_MAX,
    SAID_HIGH = 64 * 1024, // bytes from which a program is held, until half of them are sent
    SAID_MAX = SAID_HIGH + 2 * (HANDS_HEADER + HANDS_DATA_MAX) + 2 * HANDS_TALK_MAX,
    INPUT_MAX = 64 * 1024, // bytes that wait for a program to read them
};

static const char own_group[] = "/proc/self/cgroup", groups[] = "/sys/fs/cgroup";

struct hands {
    struct loop *loop;
    struct hands_config config;
    struct processes *processes;
    struct list connections;
    size_t count;
    int64_t memory; // bytes that this container may take; INT64_MAX: no limit
    loop_id patience;
    void (*on_stopped)(void *context);
    void *context;
};

struct connection {
    struct list link; // hands::connections
    struct hands *hands;
    int fd;
    loop_id watch, deadline;
    struct buf heard, said; // what was not taken apart, and not sent yet
    size_t given;           // bytes of the first frame, an input, that the program took already
    bool asked, held;
    bool waits; // for the program to read what it was given
    bool over;  // its end is said; what is left is to send it
    process_id process;
    int64_t oom_kills; // when it began
};

static void on_event(void *context, int fd, unsigned events);
static void on_room(void *context);

struct hands *hands_create(struct loop *loop, const struct hands_config *config)
{
    static const struct process_config programs_only = {0};
    struct hands *hands = mem_new(struct hands);
    hands->loop = loop;
    hands->config = *config;
    hands->processes = processes_create(loop, &programs_only);
    hands->memory = cgroup_memory_max(own_group, groups);
    list_init(&hands->connections);
    return hands;
}

static void connection_destroy(struct connection *connection)
{
    struct hands *hands = connection->hands;
    list_remove(&connection->link);
    hands->count--;
    process_cancel(hands->processes, connection->process);
    loop_unwatch(hands->loop, connection->watch);
    loop_cancel(hands->loop, connection->deadline);
    fd_close(&connection->fd);
    buf_finish(&connection->heard);
    buf_finish(&connection->said);
    free(connection);
    if (hands->on_stopped && !hands->count) {
        loop_cancel(hands->loop, hands->patience);
        hands->patience = loop_timer_after(hands->loop, 0, hands->on_stopped, hands->context);
    }
}

void hands_destroy(struct hands *hands)
{
    if (!hands)
        return;
    hands->on_stopped = NULL;
    list_for_each(link, &hands->connections)
        connection_destroy(list_entry(link, struct connection, link));
    loop_cancel(hands->loop, hands->patience);
    processes_destroy(hands->processes);
    free(hands);
}

size_t hands_count(const struct hands *hands)
{
    return hands->count;
}

// --- what is said

static void watch(struct connection *connection)
{
    bool reads = !connection->over && !connection->waits;
    connection->watch = loop_watch_for(connection->hands->loop, connection->watch, connection->fd,
                                       LOOP_PEER_CLOSED | (reads ? LOOP_READ : 0) |
                                           (connection->said.len ? LOOP_WRITE : 0),
                                       on_event, connection);
}

static void hold(struct connection *connection)
{
    bool held =
        connection->held ? connection->said.len > SAID_HIGH / 2 : connection->said.len >= SAID_HIGH;
    if (held != connection->held)
        process_hold(connection->hands->processes, connection->process, held);
    connection->held = held;
}

static void say_end(struct connection *connection, const struct hands_end *end)
{
    connection->over = true;
    connection->process = 0;
    loop_cancel(connection->hands->loop, connection->deadline);
    connection->deadline = 0;
    hands_end_write(&connection->said, end);
    watch(connection);
}

// The words are those of the sandbox where a layer did not hold.
static void refuse(struct connection *connection, const struct error *err)
{
    enum { STATUS = 8 }; // bits, as waitpid(2) has it
    char text[ERROR_TEXT_MAX + 64];
    snprintf(text, sizeof text, "hermes: nothing was run: %s\n", err->text);
    hands_frame_write(&connection->said, HANDS_STDERR, span_of(text));
    say_end(connection, &(struct hands_end){.status = EXIT_SANDBOX << STATUS});
}

static void on_output(void *context, int which, struct span bytes)
{
    struct connection *connection = context;
    hands_frame_write(&connection->said, which == PROCESS_STDOUT ? HANDS_STDOUT : HANDS_STDERR,
                      bytes);
    hold(connection);
    watch(connection);
}

static void tell_oom(struct connection *connection)
{
    enum { MIB = 20 }; // bits
    char text[256];
    if (cgroup_oom_kills(own_group, groups) == connection->oom_kills)
        return;
    snprintf(text, sizeof text,
             "hermes: the kernel ended processes of it, since all that runs in the hands "
             "container took more than its %lld MiB of memory\n",
             (long long)(connection->hands->memory >> MIB));
    hands_frame_write(&connection->said, HANDS_STDERR, span_of(text));
}

static void on_end(void *context, const struct process_end *end)
{
    struct connection *connection = context;
    bool by_signal = end->result < 0 && WIFSIGNALED(end->status);
    struct hands_end told = {.status = end->status};
    if (end->result < 0 && !by_signal) {
        told.failure = end->result;
        snprintf(told.text, sizeof told.text, "%s", end->err->text);
    }
    tell_oom(connection);
    say_end(connection, &told);
}

// --- what is asked for

static bool is_beneath(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int check_place(const struct hands *hands, const char *path, struct error *err)
{
    CLEANUP(mem_cleanup) char *real = realpath(path, NULL);
    if (real && is_beneath(real, hands->config.workspace))
        return 0;
    int cause = errno;
    return real || *path != '/' ? error_set(err, -EACCES,
                                            "%.256s is not within %s, which is all that the hands "
                                            "container holds",
                                            path, hands->config.workspace)
                                : error_errno(err, cause, "cannot open %.256s", path);
}

static int check(const struct hands *hands, const struct hands_request *request, struct error *err)
{
    int r = check_place(hands, request->directory, err);
    for (size_t i = 0; request->read[i] && r == 0; i++)
        r = check_place(hands, request->read[i], err);
    for (size_t i = 0; request->write[i] && r == 0; i++)
        r = check_place(hands, request->write[i], err);
    return r;
}

// What says where something lies in the head's container, or how a program is loaded, is not the
// head's to say.
static bool is_kept(const char *variable)
{
    size_t len = strcspn(variable, "=");
    bool is_name = len && variable[len] && !isdigit((unsigned char)*variable);
    for (size_t i = 0; i < len && is_name; i++)
        is_name = isalnum((unsigned char)variable[i]) || variable[i] == '_';
    return is_name && strncmp(variable, "LD_", 3) != 0 && strncmp(variable, "TMPDIR=", 7) != 0;
}

static char *own_tmpdir(void)
{
    const char *place = getenv("TMPDIR");
    return place ? mem_printf("TMPDIR=%s", place) : NULL;
}

static int64_t least(int64_t asked, int64_t most)
{
    return asked && asked < most ? asked : most;
}

static int start(struct connection *connection, const struct hands_request *request,
                 struct error *err)
{
    static const struct process_events events = {
        .on_end = on_end, .on_output = on_output, .on_room = on_room};
    struct hands *hands = connection->hands;
    const char *environment[HANDS_LIST_MAX + 2];
    size_t count = 0;
    CLEANUP(mem_cleanup) char *tmpdir = own_tmpdir();
    for (size_t i = 0; request->environment[i]; i++)
        if (is_kept(request->environment[i]))
            environment[count++] = request->environment[i];
    environment[count] = tmpdir;
    environment[count + (tmpdir != NULL)] = NULL;
    const struct grants grants = {
        .isolation = hands->config.isolation,
        .tasks = request->tasks,
        .tmp = hands->memory == INT64_MAX ? request->tmp : least(request->tmp, hands->memory / 4),
        .disk = request->disk,
        .read = request->read,
        .write = request->write,
    };
    const struct process_spec spec = {
        .argv = request->argv,
        .grants = &grants,
        .environment = environment,
        .directory = request->directory,
        .limits = {.cpu_s = request->cpu_s,
                   // What takes all that the container has may end the others with it.
                   .memory = least(request->memory, hands->memory / 2),
                   .processes = request->processes,
                   .file_size = request->file_size},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = INPUT_MAX},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
                  [PROCESS_STDERR] = {.kind = PROCESS_STREAM}},
    };
    connection->oom_kills = cgroup_oom_kills(own_group, groups);
    return process_start(hands->processes, &spec, &events, connection, &connection->process, err);
}

static int take_request(struct connection *connection, struct span bytes)
{
    struct hands *hands = connection->hands;
    struct hands_request request = {0};
    struct error err = ERROR_INIT;
    if (connection->asked || hands_request_read(bytes, &request) < 0)
        return -EPROTO;
    connection->asked = true;
    loop_cancel(hands->loop, connection->deadline);
    connection->deadline = 0;
    int r = check(hands, &request, &err);
    if (r == 0 && hands->count > HANDS_PROGRAMS_MAX)
        r = error_set(&err, -EAGAIN, "the hands run %d programs already", HANDS_PROGRAMS_MAX);
    if (r == 0)
        r = start(connection, &request, &err);
    hands_request_finish(&request);
    if (r < 0)
        refuse(connection, &err);
    return 0;
}

// --- what goes in

// 1 when all of it was taken. Of a program that has ended no more is read.
static int give_input(struct connection *connection, struct span bytes)
{
    if (!connection->asked)
        return -EPROTO;
    struct span rest = span_skip(bytes, connection->given);
    ssize_t n = process_write(connection->hands->processes, connection->process, rest);
    connection->waits = n < 0 || (size_t)n < rest.len;
    connection->given = connection->waits ? connection->given + (n > 0 ? (size_t)n : 0) : 0;
    return !connection->waits;
}

// 1 when it is done with, 0 when it has to wait.
static int take_frame(struct connection *connection, const struct hands_frame *frame)
{
    int r;
    switch (frame->kind) {
    case HANDS_REQUEST:
        r = take_request(connection, frame->bytes);
        return r < 0 ? r : 1;
    case HANDS_INPUT:
        return give_input(connection, frame->bytes);
    case HANDS_INPUT_END:
        if (!connection->asked)
            return -EPROTO;
        process_end_input(connection->hands->processes, connection->process);
        return 1;
    default:
        return -EPROTO;
    }
}

static int take_frames(struct connection *connection)
{
    struct hands_frame frame;
    size_t taken = 0;
    int r = 1;
    while (r > 0 && !connection->over) {
        r = hands_frame_read(span_skip(buf_span(&connection->heard), taken), &frame);
        if (r > 0)
            r = take_frame(connection, &frame);
        if (r > 0)
            taken += HANDS_HEADER + frame.bytes.len;
    }
    buf_consume(&connection->heard, taken);
    return r < 0 ? r : 0;
}

static void on_room(void *context)
{
    struct connection *connection = context;
    connection->waits = false;
    if (take_frames(connection) < 0)
        connection_destroy(connection);
    else
        watch(connection);
}

// --- the connection

static int hear(struct connection *connection)
{
    char chunk[CHUNK];
    ssize_t n = recv(connection->fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || !buf_append(&connection->heard, chunk, (size_t)n))
        return -ECONNRESET;
    return take_frames(connection);
}

static int flush(struct connection *connection)
{
    struct buf *said = &connection->said;
    ssize_t n = send(connection->fd, said->data, said->len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    buf_consume(said, n > 0 ? (size_t)n : 0);
    if (connection->over && !said->len)
        return -ECONNRESET; // all is said
    hold(connection);
    return 0;
}

static void on_event(void *context, int fd, unsigned events)
{
    (void)fd;
    struct connection *connection = context;
    int r = 0;
    if (events &
        (LOOP_PEER_CLOSED | LOOP_FAILED)) // whoever asked is gone, whatever is left to read
        r = -ECONNRESET;
    if (r == 0 && (events & LOOP_WRITE) && connection->said.len)
        r = flush(connection);
    if (r == 0 && (events & LOOP_READ) && !connection->over && !connection->waits)
        r = hear(connection);
    if (r < 0)
        connection_destroy(connection);
    else
        watch(connection);
}

static void on_silent(void *context)
{
    connection_destroy(context);
}

void hands_serve(struct hands *hands, int fd)
{
    struct connection *connection = mem_new(struct connection);
    connection->hands = hands;
    connection->fd = fd;
    buf_init(&connection->heard, HEARD_MAX + CHUNK);
    buf_init(&connection->said, SAID_MAX);
    list_append(&hands->connections, &connection->link);
    hands->count++;
    connection->deadline = loop_timer_after(hands->loop, REQUEST_MAX_MS, on_silent, connection);
    hands_hello_write(&connection->said,
                      &(struct hands_hello){
                          .isolation = hands->config.isolation,
                          .memory = hands->memory == INT64_MAX ? 0 : hands->memory,
                      });
    watch(connection);
}

void hands_stop(struct hands *hands, void (*on_stopped)(void *context), void *context)
{
    struct hands_end end = {.failure = -ECANCELED, .text = "the hands container is being stopped"};
    hands->on_stopped = on_stopped;
    hands->context = context;
    list_for_each(link, &hands->connections) {
        struct connection *connection = list_entry(link, struct connection, link);
        process_cancel(hands->processes, connection->process);
        if (!connection->asked)
            connection_destroy(connection);
        else if (!connection->over)
            say_end(connection, &end);
    }
    loop_cancel(hands->loop, hands->patience);
    hands->patience =
        loop_timer_after(hands->loop, hands->count ? STOP_MAX_MS : 0, on_stopped, context);
}
