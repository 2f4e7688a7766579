#include "sandbox/process_stream.h"

#include <errno.h>
#include <unistd.h>

#include "base/fd.h"

enum { CHUNK = 16 * 1024 }; // bytes that are read at a time

static void on_readable(void *context, int fd, unsigned events)
{
    struct process_output *output = context;
    char chunk[CHUNK];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        process_output_close(output);
    output->on_bytes(output->context, output, span_make(chunk, n > 0 ? (size_t)n : 0));
}

void process_output_open(struct process_output *output, int fd)
{
    output->fd = fd;
    output->watch = loop_watch(output->loop, fd, LOOP_READ, on_readable, output);
}

void process_output_close(struct process_output *output)
{
    loop_unwatch(output->loop, output->watch);
    output->watch = 0;
    fd_close(&output->fd);
}

void process_output_hold(struct process_output *output, bool held)
{
    if (held) {
        loop_unwatch(output->loop, output->watch);
        output->watch = 0;
    } else if (output->fd >= 0 && !output->watch) {
        output->watch = loop_watch(output->loop, output->fd, LOOP_READ, on_readable, output);
    }
}

// What the pipe takes. False when it is broken.
static bool flush(struct process_input *input)
{
    while (input->waiting.len) {
        ssize_t n = write(input->fd, input->waiting.data, input->waiting.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        buf_consume(&input->waiting, (size_t)n);
    }
    return true;
}

static void on_writable(void *context, int fd, unsigned events)
{
    struct process_input *input = context;
    if ((events & LOOP_FAILED) && !(events & LOOP_WRITE))
        process_input_close(input); // nobody reads it any more
    else if (!flush(input) || (input->ends && !input->waiting.len))
        process_input_close(input);
    else
        loop_watch_change(input->loop, input->watch, input->waiting.len ? LOOP_WRITE : 0);
    // Whoever waits for room learns in this way as well that there will be none.
    if (input->short_of_room && (input->fd < 0 || input->waiting.len <= input->waiting.max / 2)) {
        input->short_of_room = false;
        input->on_room(input->context);
    }
}

void process_input_open(struct process_input *input, int fd)
{
    bool waits = input->ends || input->waiting.len;
    input->fd = fd;
    input->expected = false;
    input->watch = loop_watch(input->loop, fd, waits ? LOOP_WRITE : 0, on_writable, input);
}

ssize_t process_input_write(struct process_input *input, struct span bytes)
{
    if ((input->fd < 0 && !input->expected) || input->ends)
        return -EPIPE;
    size_t room = input->waiting.max - input->waiting.len;
    size_t taken = bytes.len < room ? bytes.len : room;
    buf_append(&input->waiting, bytes.data, taken);
    input->short_of_room = input->short_of_room || taken < bytes.len;
    // Nothing is written here: a broken pipe is told from the loop.
    loop_watch_change(input->loop, input->watch, LOOP_WRITE);
    return (ssize_t)taken;
}

void process_input_end(struct process_input *input)
{
    input->ends = true;
    loop_watch_change(input->loop, input->watch, LOOP_WRITE);
}

void process_input_close(struct process_input *input)
{
    input->expected = false;
    loop_unwatch(input->loop, input->watch);
    input->watch = 0;
    fd_close(&input->fd);
    buf_finish(&input->waiting);
}
