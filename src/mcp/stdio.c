/*
 * A message is a line. What a program writes to its standard output besides (banners of npx and
 * dotenv, logs) is passed over, and its first line kept for those who ask why nothing works. A line
 * that lies whole in one piece is read where it lies; others are gathered.
 *
 * Events may destroy the transport: its parts are gone then, the struct itself stays until whoever
 * told the event has seen that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "mcp/rpc.h"
#include "mcp/transport_ops.h"
#include "sandbox/process.h"
#include "tools/capture.h"

enum {
    BANNER_MAX = 160,              // bytes of the first line that is no JSON
    TAIL_ROOM = 4 * MCP_NOTES_MAX, // bytes of stderr: its end is moved up now and then
    NOTES_SIZE = MCP_NOTES_MAX + BANNER_MAX + 64,
};

struct stdio {
    struct mcp_transport transport; // the first
    struct processes *processes;
    process_id process; // 0: it has ended
    struct mcp_transport_events events;
    void *context;
    struct buf line;   // whose end has not come yet
    struct buf unsent; // of the last message, while the program does not read
    uint64_t *running; // requests without an answer, in their order
    size_t count, capacity;
    char banner[BANNER_MAX];
    struct buf tail; // of stderr
    bool tail_cut;   // more came before it
    char notes[NOTES_SIZE];
    unsigned telling; // events, one within another
    bool destroyed;
};

static struct stdio *of(const struct mcp_transport *transport)
{
    return (struct stdio *)transport;
}

// Whether it is still there when an event has been told.
static bool told(struct stdio *stdio)
{
    bool destroyed = stdio->destroyed;
    if (--stdio->telling == 0 && destroyed)
        free(stdio);
    return !destroyed;
}

static void forget(struct stdio *stdio, uint64_t request)
{
    size_t kept = 0;
    for (size_t i = 0; i < stdio->count; i++)
        if (stdio->running[i] != request)
            stdio->running[kept++] = stdio->running[i];
    stdio->count = kept;
}

static bool tell_failures(struct stdio *stdio, const struct error *err)
{
    const struct mcp_failure failure = {.loss = MCP_CUT, .err = err};
    while (stdio->count) {
        uint64_t request = stdio->running[0];
        forget(stdio, request);
        stdio->telling++;
        stdio->events.on_failure(stdio->context, request, &failure);
        if (!told(stdio))
            return false;
    }
    return true;
}

// `err` is the caller's.
static void close_because(struct stdio *stdio, const struct error *err)
{
    process_cancel(stdio->processes, stdio->process);
    stdio->process = 0;
    buf_finish(&stdio->unsent);
    if (tell_failures(stdio, err))
        stdio->events.on_closed(stdio->context, err);
}

/* What it writes */

static void take_line(struct stdio *stdio, struct span line)
{
    uint64_t answered;
    line = span_trim(line);
    if (!line.len)
        return;
    if (rpc_peek(line, &answered)) {
        forget(stdio, answered);
        stdio->events.on_message(stdio->context, line, 0);
    } else if (!*stdio->banner) {
        utf8_one_line(line, stdio->banner, sizeof stdio->banner);
    }
}

// The line that ends here. An event has its text for as long as it is told.
static bool end_line(struct stdio *stdio, struct span rest)
{
    BUF_AUTO gathered = stdio->line;
    buf_init(&stdio->line, RPC_MESSAGE_MAX);
    bool fits = !gathered.len || buf_append_span(&gathered, rest);
    if (!fits)
        return false;
    take_line(stdio, gathered.len ? buf_span(&gathered) : rest);
    return true;
}

static bool take_output(struct stdio *stdio, struct span bytes)
{
    while (bytes.len && stdio->process) {
        const char *end = memchr(bytes.data, '\n', bytes.len);
        struct span piece = {bytes.data, end ? (size_t)(end - bytes.data) : bytes.len};
        if (end ? !end_line(stdio, piece) : !buf_append_span(&stdio->line, piece))
            return false;
        bytes = span_skip(bytes, piece.len + (end != NULL));
    }
    return true;
}

static struct span last_bytes(struct span text)
{
    return span_skip(text, text.len > MCP_NOTES_MAX ? text.len - MCP_NOTES_MAX : 0);
}

static void keep_tail(struct stdio *stdio, struct span bytes)
{
    struct buf *tail = &stdio->tail;
    struct span end = last_bytes(bytes);
    bool full = tail->len + end.len > tail->max;
    if (full)
        buf_consume(tail, tail->len - MCP_NOTES_MAX);
    stdio->tail_cut = stdio->tail_cut || full || end.len < bytes.len;
    buf_append_span(tail, end);
}

static void on_output(void *context, int which, struct span bytes)
{
    struct stdio *stdio = context;
    if (which == PROCESS_STDERR) {
        keep_tail(stdio, bytes);
        return;
    }
    stdio->telling++;
    bool fits = take_output(stdio, bytes);
    if (!told(stdio) || fits)
        return;
    struct error err;
    error_set(&err, -EMSGSIZE, "it wrote a message of more than %d MiB and was stopped",
              RPC_MESSAGE_MAX >> 20);
    close_because(stdio, &err);
}

static void on_end(void *context, const struct process_end *end)
{
    struct stdio *stdio = context;
    struct error err = *end->err;
    stdio->telling++;
    end_line(stdio, SPAN_LITERAL("")); // which may lack its end
    stdio->process = 0;
    if (!told(stdio))
        return;
    if (end->result >= 0)
        error_set(&err, -EPIPE, "its program ended with status %d", end->result);
    close_because(stdio, &err);
}

static const char *notes(const struct mcp_transport *transport)
{
    struct stdio *stdio = of(transport);
    struct span tail = last_bytes(buf_span(&stdio->tail));
    size_t len = 0;
    if (stdio->tail_cut || tail.len < stdio->tail.len)
        tail = capture_whole_words(tail);
    if (*stdio->banner)
        len = (size_t)snprintf(stdio->notes, sizeof stdio->notes, "\"%s\" (which is no JSON)%s",
                               stdio->banner, tail.len ? "; " : "");
    utf8_one_line(span_trim(tail), stdio->notes + len, sizeof stdio->notes - len);
    return stdio->notes;
}

/* What it is sent */

// A message that was begun is kept to its end.
static int write_line(struct stdio *stdio, struct span line)
{
    ssize_t n = process_write(stdio->processes, stdio->process, line);
    if (n < 0)
        return (int)n;
    buf_append_span(&stdio->unsent, span_skip(line, (size_t)n));
    return 0;
}

static void on_room(void *context)
{
    struct stdio *stdio = context;
    BUF_AUTO unsent = stdio->unsent;
    buf_init(&stdio->unsent, unsent.max);
    write_line(stdio, buf_span(&unsent));
}

static int send_line(struct mcp_transport *transport, const struct mcp_outgoing *message,
                     struct error *err)
{
    struct stdio *stdio = of(transport);
    BUF_AUTO line = BUF_INIT(MCP_WAITING_MAX);
    if (!stdio->process)
        return error_set(err, -EPIPE, "its program has ended");
    if (stdio->unsent.len)
        return error_set(err, -EAGAIN, "its program does not read what it is sent, and %d MiB wait",
                         MCP_WAITING_MAX >> 20);
    if (!buf_append_span(&line, message->text) || !buf_append_char(&line, '\n'))
        return error_set(err, -E2BIG, "a message of more than %d MiB is not sent to a program",
                         MCP_WAITING_MAX >> 20);
    // In JSON they can only be white space, as models write it into arguments.
    for (char *at = line.data; (at = memchr(at, '\n', line.len - 1 - (size_t)(at - line.data)));)
        *at = ' ';
    int r = write_line(stdio, buf_span(&line));
    if (r < 0)
        return error_set(err, r, "its program reads no more");
    if (message->request) {
        stdio->running =
            mem_grow(stdio->running, stdio->count, &stdio->capacity, sizeof *stdio->running);
        stdio->running[stdio->count++] = message->request;
    }
    return 0;
}

static void abandon(struct mcp_transport *transport, uint64_t request)
{
    forget(of(transport), request);
}

static void destroy(struct mcp_transport *transport)
{
    struct stdio *stdio = of(transport);
    process_leave(stdio->processes, stdio->process, MCP_LEAVE_MS);
    stdio->process = 0;
    stdio->destroyed = true;
    buf_finish(&stdio->line);
    buf_finish(&stdio->unsent);
    buf_finish(&stdio->tail);
    free(stdio->running);
    stdio->running = NULL;
    stdio->count = 0;
    if (!stdio->telling)
        free(stdio);
}

int mcp_stdio_create(struct loop *loop, struct processes *processes,
                     const struct mcp_program *program, const struct mcp_transport_events *events,
                     void *context, struct mcp_transport **ret_transport, struct error *err)
{
    static const struct mcp_transport_ops ops = {
        .send = send_line, .abandon = abandon, .destroy = destroy, .notes = notes};
    static const struct process_events of_process = {on_end, on_output, on_room};
    const struct process_spec spec = {
        .argv = program->argv,
        .environment = program->environment,
        .directory = program->directory,
        .grants = program->grants,
        .hidden = program->hidden,
        .shown = program->shown,
        .limits = {.memory = program->memory},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = MCP_WAITING_MAX},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
                  [PROCESS_STDERR] = {.kind = PROCESS_STREAM}},
    };
    struct stdio *stdio = mem_new(struct stdio);
    stdio->transport.ops = &ops;
    stdio->processes = processes;
    stdio->events = *events;
    stdio->context = context;
    buf_init(&stdio->line, RPC_MESSAGE_MAX);
    buf_init(&stdio->unsent, MCP_WAITING_MAX);
    buf_init(&stdio->tail, TAIL_ROOM);
    int r = process_start(processes, &spec, &of_process, stdio, &stdio->process, err);
    if (r < 0) {
        free(stdio);
        return r;
    }
    *ret_transport = &stdio->transport;
    return 0;
}
