#include "mcp/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"

enum { CHUNK = 64 * 1024 }; // bytes of one read

struct mcp_lines {
    struct loop *loop;
    const struct mcp_lines_events *events;
    void *context;
    int in, out, out_flags;
    size_t max;
    loop_id reading, writing;
    struct buf input, output;
    bool skips; // the rest of a line that was too long
    bool ended, dead;
};

static void die(struct mcp_lines *lines)
{
    lines->dead = true;
    loop_unwatch(lines->loop, lines->reading);
    loop_unwatch(lines->loop, lines->writing);
    lines->reading = lines->writing = 0;
    lines->events->on_change(lines->context);
}

static void on_writable(void *context, int fd, unsigned events)
{
    struct mcp_lines *lines = context;
    while (lines->output.len) {
        ssize_t n = write(fd, lines->output.data, lines->output.len);
        if (n >= 0) {
            buf_consume(&lines->output, (size_t)n);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            die(lines);
            return;
        }
    }
    unsigned wanted = lines->output.len ? LOOP_WRITE : 0;
    lines->writing = loop_watch_for(lines->loop, lines->writing, fd, wanted, on_writable, lines);
    if (!wanted)
        lines->events->on_change(lines->context);
}

bool mcp_lines_write(struct mcp_lines *lines, struct span text)
{
    if (lines->dead)
        return false;
    if (!buf_append_span(&lines->output, text) || !buf_append_char(&lines->output, '\n'))
        die(lines);
    else if (!lines->writing)
        on_writable(lines, lines->out, 0);
    return !lines->dead;
}

static void take_line(struct mcp_lines *lines, struct span line)
{
    if (STEAL(lines->skips) || lines->dead)
        return;
    if (line.len > lines->max)
        lines->events->on_line(lines->context, SPAN_ABSENT);
    else if (span_trim(line).len)
        lines->events->on_line(lines->context, span_trim(line));
}

static void take_lines(struct mcp_lines *lines)
{
    const char *feed;
    struct buf *input = &lines->input;
    struct span rest = buf_span(input);
    while (rest.len && (feed = memchr(rest.data, '\n', rest.len))) {
        struct span line = span_make(rest.data, (size_t)(feed - rest.data));
        rest = span_skip(rest, line.len + 1);
        take_line(lines, line);
    }
    buf_consume(input, input->len - rest.len);
    if (input->len <= lines->max)
        return;
    if (!lines->skips)
        take_line(lines, buf_span(input));
    lines->skips = true;
    buf_clear(input);
}

static void on_readable(void *context, int fd, unsigned events)
{
    struct mcp_lines *lines = context;
    ssize_t n = read(fd, buf_reserve(&lines->input, CHUNK), CHUNK);
    if (n > 0) {
        buf_grow_by(&lines->input, (size_t)n);
        take_lines(lines);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        lines->ended = true;
        loop_unwatch(lines->loop, lines->reading);
        lines->reading = 0;
        take_line(lines, buf_span(&lines->input)); // the last has no line feed
        lines->events->on_change(lines->context);
    }
}

// A file is always readable, and epoll takes none.
static void on_file(void *context)
{
    struct mcp_lines *lines = context;
    lines->reading = 0;
    on_readable(lines, lines->in, LOOP_READ);
    if (!lines->ended && !lines->dead)
        lines->reading = loop_defer(lines->loop, on_file, lines);
}

int mcp_lines_open(struct loop *loop, int in, int out, size_t max,
                   const struct mcp_lines_events *events, void *context,
                   struct mcp_lines **ret_lines, struct error *err)
{
    int flags = fcntl(out, F_GETFL);
    if (flags < 0 || fcntl(out, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_errno(err, errno, "standard output cannot be written");
    struct mcp_lines *lines = mem_new(struct mcp_lines);
    *lines = (struct mcp_lines){
        .loop = loop,
        .events = events,
        .context = context,
        .in = in,
        .out = out,
        .out_flags = flags,
        .max = max,
    };
    buf_init(&lines->input, max + 2 * (size_t)CHUNK);
    buf_init(&lines->output, MCP_LINES_WAITING_MAX);
    lines->reading = loop_watch(loop, in, LOOP_READ, on_readable, lines);
    if (!lines->reading)
        lines->reading = loop_defer(loop, on_file, lines);
    *ret_lines = lines;
    return 0;
}

void mcp_lines_close(struct mcp_lines *lines)
{
    if (!lines)
        return;
    loop_unwatch(lines->loop, lines->reading);
    loop_cancel(lines->loop, lines->reading); // of a file
    loop_unwatch(lines->loop, lines->writing);
    fcntl(lines->out, F_SETFL, lines->out_flags); // others may share it
    buf_finish(&lines->input);
    buf_finish(&lines->output);
    free(lines);
}

bool mcp_lines_over(const struct mcp_lines *lines)
{
    return lines->dead || (lines->ended && !lines->output.len);
}

bool mcp_lines_dead(const struct mcp_lines *lines)
{
    return lines->dead;
}
