#include "tools/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "codec/utf8.h"

enum {
    PIECE_MAX = CAPTURE_MEMORY_MAX - CAPTURE_SHOWN_MAX, // bytes that are added at a time
    WRITER_WAITING_MAX = 128 * 1024,                    // bytes
    WORD_MAX = 512,                                     // bytes; a longer one is cut there
    PAUSE_EVERY = 1 << 20,                              // bytes that nobody keeps
    PAUSE_MS = 100,
    WRITER_PATIENCE_MS = 20 * 1000, // for what waits, when the program has ended
};

void capture_init(struct capture *capture)
{
    buf_init(&capture->head, CAPTURE_HEAD_MAX);
    buf_init(&capture->tail, CAPTURE_TAIL_MAX + PIECE_MAX);
    buf_init(&capture->pending, SPOOL_NAME_SIZE + CAPTURE_SHOWN_MAX + PIECE_MAX);
}

void capture_finish(struct capture *capture)
{
    loop_cancel(capture->loop, capture->patience);
    loop_cancel(capture->loop, capture->pause);
    process_cancel(capture->processes, capture->writer);
    capture->patience = capture->pause = capture->writer = 0;
    buf_finish(&capture->head);
    buf_finish(&capture->tail);
    buf_finish(&capture->pending);
}

static void hold(struct capture *capture, bool held)
{
    if (capture->held == held)
        return;
    capture->held = held;
    capture->on_hold(capture->context, held);
}

static void on_ended(void *context)
{
    struct capture *capture = context;
    capture->patience = 0;
    capture->on_ended(capture->context);
}

// From inside somebody's call it must not be told.
static void end_soon(struct capture *capture)
{
    loop_cancel(capture->loop, capture->patience);
    capture->patience = loop_defer(capture->loop, on_ended, capture);
}

static void give_up(struct capture *capture, const char *why)
{
    capture->failed = true;
    snprintf(capture->why, sizeof capture->why, "%s", why);
    buf_clear(&capture->pending);
    hold(capture, false);
}

static void on_writer_end(void *context, const struct process_end *end)
{
    struct capture *capture = context;
    capture->writer = 0;
    if (end->result != 0)
        give_up(capture, end->result > 0 ? "the disk did not take it" : end->err->text);
    if (end->result > 0 && end->output[PROCESS_STDOUT].len)
        snprintf(capture->why, sizeof capture->why, "%.*s", (int)end->output[PROCESS_STDOUT].len,
                 end->output[PROCESS_STDOUT].data);
    if (capture->ending)
        end_soon(capture);
}

static void pass_on(struct capture *capture)
{
    ssize_t taken = process_write(capture->processes, capture->writer, buf_span(&capture->pending));
    if (taken > 0)
        buf_consume(&capture->pending, (size_t)taken);
    hold(capture, (taken >= 0 && capture->pending.len > 0) || capture->pause);
    if (capture->ending && !capture->pending.len)
        process_end_input(capture->processes, capture->writer);
}

static void on_writer_room(void *context)
{
    pass_on(context);
}

// Of the tail, from a place of the whole on.
static struct span tail_from(const struct capture *capture, int64_t place)
{
    int64_t begin = capture->bytes - (int64_t)capture->tail.len;
    return span_skip(buf_span(&capture->tail), place > begin ? (size_t)(place - begin) : 0);
}

static void start_writer(struct capture *capture)
{
    static const struct process_events events = {.on_end = on_writer_end,
                                                 .on_room = on_writer_room};
    struct process_spec spec = {
        .function = spool_function.name,
        .directory = capture->results,
        .limits = {.file_size = SPOOL_FILE_MAX},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = WRITER_WAITING_MAX},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = 1024},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    struct error err = ERROR_INIT;
    spool_make_name(capture->name);
    if (!capture->results)
        give_up(capture, "there is no place for it");
    else if (process_start(capture->processes, &spec, &events, capture, &capture->writer, &err) < 0)
        give_up(capture, err.text);
    if (capture->failed)
        return;
    buf_printf(&capture->pending, "%s\n", capture->name);
    buf_append_span(&capture->pending, buf_span(&capture->head));
    buf_append_span(&capture->pending, tail_from(capture, (int64_t)capture->head.len));
    capture->kept = capture->bytes;
}

static void on_pause(void *context)
{
    struct capture *capture = context;
    capture->pause = 0;
    hold(capture, capture->writer && capture->pending.len > 0);
}

// What prints for ever must not keep this program busy for ever.
static void pass_over(struct capture *capture, size_t bytes)
{
    capture->unkept += (int64_t)bytes;
    if (!capture->spares || !*capture->name || capture->pause || capture->unkept < PAUSE_EVERY)
        return;
    capture->unkept = 0;
    capture->pause = loop_timer_after(capture->loop, PAUSE_MS, on_pause, capture);
    hold(capture, true);
}

void capture_add(struct capture *capture, struct span bytes)
{
    while (bytes.len > PIECE_MAX) {
        capture_add(capture, span_make(bytes.data, PIECE_MAX));
        bytes = span_skip(bytes, PIECE_MAX);
    }
    if (!*capture->name && capture->bytes + (int64_t)bytes.len > CAPTURE_SHOWN_MAX)
        start_writer(capture);
    size_t room = CAPTURE_HEAD_MAX - capture->head.len;
    buf_append(&capture->head, bytes.data, bytes.len < room ? bytes.len : room);
    if (capture->tail.len > CAPTURE_TAIL_MAX)
        buf_consume(&capture->tail, capture->tail.len - CAPTURE_TAIL_MAX);
    buf_append_span(&capture->tail, bytes);
    capture->bytes += (int64_t)bytes.len;
    int64_t left = SPOOL_FILE_MAX - capture->kept;
    if (!capture->writer || left == 0) {
        pass_over(capture, bytes.len);
        return;
    }
    size_t taken = (int64_t)bytes.len < left ? bytes.len : (size_t)left;
    buf_append(&capture->pending, bytes.data, taken);
    capture->kept += (int64_t)taken;
    pass_on(capture);
}

static void on_impatient(void *context)
{
    struct capture *capture = context;
    capture->patience = 0;
    process_cancel(capture->processes, capture->writer);
    capture->writer = 0;
    give_up(capture, "the disk did not take it in time");
    end_soon(capture);
}

void capture_end(struct capture *capture)
{
    capture->ending = true;
    capture->cut = capture->held && !capture->pause;
    loop_cancel(capture->loop, capture->pause);
    capture->pause = 0;
    if (!capture->writer) {
        end_soon(capture);
        return;
    }
    capture->patience = loop_timer_after(capture->loop, WRITER_PATIENCE_MS, on_impatient, capture);
    pass_on(capture);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

struct span capture_whole_words(struct span text)
{
    enum { CONTINUES = 0x80, MASK = 0xc0 };
    size_t len = 0;
    while (len < text.len && len < WORD_MAX && !is_blank(text.data[len]))
        len++;
    text = span_skip(text, len);
    for (int i = 1; i < UTF8_BYTES_MAX && text.len; i++)
        if (((unsigned char)*text.data & MASK) == CONTINUES)
            text = span_skip(text, 1);
    return text;
}

// Bytes of the last word, whose end is missing.
static size_t divided(struct span text)
{
    size_t len = 0;
    while (len < text.len && len < WORD_MAX && !is_blank(text.data[text.len - 1 - len]))
        len++;
    return len + utf8_incomplete_tail(span_make(text.data, text.len - len));
}

void capture_tell_file(const struct capture *capture, struct buf *out)
{
    if (!*capture->name)
        return;
    if (capture->cut)
        buf_append_text(out, "[the disk did not keep up, so its last output was not read]\n");
    if (capture->failed)
        buf_printf(out, "[the whole could not be kept: %s]\n", capture->why);
    else
        buf_printf(out, "[%s is in %s: read_result reads and searches it]\n",
                   capture->kept < capture->bytes ? "its first 64 MiB"
                   : capture->cut                 ? "what was read of it"
                                                  : "the whole",
                   capture->name);
}

void capture_show(const struct capture *capture, struct buf *out)
{
    int64_t place = 0;
    capture_show_since(capture, &place, CAPTURE_SHOWN_MAX, out);
}

void capture_show_since(const struct capture *capture, int64_t *place, size_t most, struct buf *out)
{
    int64_t from = *place, end = capture->bytes - (int64_t)most;
    struct span head = buf_span(&capture->head);
    head = span_skip(head, from < (int64_t)head.len ? (size_t)from : head.len);
    end += (int64_t)head.len; // what is shown of the beginning is not shown of the end
    if (end < capture->bytes - (int64_t)capture->tail.len)
        end = capture->bytes - (int64_t)capture->tail.len;
    from += (int64_t)head.len;
    *place = capture->bytes;
    if (from >= end) {
        buf_append_span(out, head);
        buf_append_span(out, tail_from(capture, from));
        return;
    }
    size_t broken = divided(head);
    head.len -= broken;
    struct span tail = tail_from(capture, end), whole = capture_whole_words(tail);
    buf_append_span(out, head);
    int64_t left_out = end - from + (int64_t)(broken + tail.len - whole.len);
    buf_printf(out, "\n[... %" PRId64 " bytes are not shown ...]\n", left_out);
    capture_tell_file(capture, out);
    buf_append_span(out, whole);
}

bool capture_show_beginning(const struct capture *capture, struct buf *out)
{
    struct span head = buf_span(&capture->head);
    bool all = capture->bytes - (int64_t)capture->tail.len <= (int64_t)head.len;
    buf_append_span(out, head);
    if (all)
        buf_append_span(out, tail_from(capture, (int64_t)head.len));
    return all;
}
