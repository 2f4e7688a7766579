/*
 * What is held is everything until the first content. A role, an empty text, a comment are not
 * content: many servers send them before they know that they will fail. Comments are not even kept,
 * because whoever waits is given his own.
 *
 * What counts as an answer is the same as in llm/openai_reply.c, with two differences: an answer
 * that is empty because its tokens were used up is one, since nobody else would do better; and so
 * is one of reasoning alone.
 */
#include "router/wire/reply_watch.h"

#include <errno.h>

#include "base/mem.h"
#include "router/wire/reply_stream.h"

static const char NEITHER[] =
    "the provider answered with something that is neither JSON nor an event stream";

void reply_watch_init(struct reply_watch *watch, enum reply_kind kind, bool drop_usage)
{
    *watch = (struct reply_watch){
        .kind = kind,
        .drop_usage = drop_usage,
        .answers = 1,
        .usage = CHAT_USAGE_UNKNOWN,
        .held = BUF_INIT(REPLY_WHOLE_MAX),
        .carry = BUF_INIT(REPLY_FIRST_MAX),
        .tail = BUF_INIT(REPLY_FIRST_MAX),
        .joined = BUF_INIT(REPLY_FIRST_MAX),
        .failure = {.retry_after_ms = -1},
    };
}

void reply_watch_finish(struct reply_watch *watch)
{
    if (!watch)
        return;
    pieces_finish(&watch->pieces);
    buf_finish(&watch->held);
    buf_finish(&watch->carry);
    buf_finish(&watch->tail);
    buf_finish(&watch->joined);
    json_finish(&watch->doc);
}

size_t reply_watch_bytes(const struct reply_watch *w)
{
    return w->held.capacity + w->carry.capacity + w->tail.capacity + w->joined.capacity;
}

size_t reply_watch_waiting(const struct reply_watch *w)
{
    return w->tail.len + (w->state == REPLY_PASS ? 0 : w->held.len);
}

struct span reply_watch_held(const struct reply_watch *watch)
{
    return buf_span(&watch->held);
}

/* Shapes */

void reply_watch_head(struct reply_watch *w, int status, struct span content_type)
{
    struct span rest = content_type;
    struct span type = span_trim(span_cut(&rest, ';'));
    w->status = status;
    if (!reply_is_answer(status))
        w->shape = REPLY_ERROR_BODY;
    else
        w->expect_stream = span_is(type, "text/event-stream");
}

// The first bytes decide; false when there are too few of them.
static bool sniff(struct reply_watch *w, struct span text)
{
    static const char *const fields[] = {"data:", "event:", "id:", "retry:", ":"};
    if (span_starts_with(text, REPLY_BOM))
        text = span_skip(text, sizeof REPLY_BOM - 1);
    bool half_bom = text.len < sizeof REPLY_BOM - 1 && memcmp(text.data, REPLY_BOM, text.len) == 0;
    text = span_trim(text);
    if (text.len == 0 || half_bom)
        return false;
    if (text.data[0] == '{' || text.data[0] == '[') {
        w->shape = REPLY_WHOLE;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        size_t len = strlen(fields[i]) < text.len ? strlen(fields[i]) : text.len;
        if (memcmp(text.data, fields[i], len) != 0)
            continue;
        w->shape = REPLY_STREAM;
        return len == strlen(fields[i]);
    }
    w->shape = REPLY_STREAM;
    if (text.data[0] == '<')
        reply_fail(w, CHAT_MALFORMED, "the provider answered with a web page");
    else if (!w->expect_stream)
        reply_fail(w, CHAT_MALFORMED, NEITHER);
    return true;
}

static bool becomes_stream(const struct reply_watch *w)
{
    return w->wants_stream && w->kind == REPLY_CHAT;
}

static void feed_whole(struct reply_watch *w, struct span chunk)
{
    if (becomes_stream(w) && w->held.len + chunk.len > REPLY_CONVERT_MAX) {
        reply_fail(w, CHAT_TOO_LARGE, "the provider sent no stream, and too much to make one");
    } else if (w->unwatched) {
        pieces_add(&w->pieces, chunk);
    } else if (!buf_append_span(&w->held, chunk)) {
        reply_begin_to_pass(w);
        pieces_add(&w->pieces, chunk);
        w->unwatched = true;
    }
}

static void feed_first(struct reply_watch *w, struct span chunk)
{
    bool alone = w->held.len == 0;
    if (!alone && !buf_append_span(&w->held, chunk)) {
        reply_fail(w, CHAT_TOO_LARGE, "the provider sent only white space");
        return;
    }
    struct span text = alone ? chunk : buf_span(&w->held);
    if (!sniff(w, text)) {
        w->shape = REPLY_UNDECIDED;
        if (alone)
            buf_append_span(&w->held, chunk);
    } else if (w->state == REPLY_FAILED || w->shape == REPLY_WHOLE) {
        if (alone)
            feed_whole(w, chunk);
    } else if (alone) {
        reply_stream_feed(w, chunk);
    } else { // what came before it was known to be a stream is no longer held, but read
        struct buf begun = w->held;
        w->held = (struct buf)BUF_INIT(REPLY_WHOLE_MAX);
        buf_finish(&w->carry);
        w->carry = begun;
        w->carry.max = REPLY_FIRST_MAX;
        reply_stream_take(w, buf_span(&w->carry));
    }
}

enum reply_state reply_watch_feed(struct reply_watch *w, struct span chunk)
{
    pieces_clear(&w->pieces);
    if (w->passed)
        buf_finish(&w->held); // it went out with the last call
    if (w->state == REPLY_FAILED || chunk.len == 0)
        return w->state;
    w->bytes += chunk.len;
    switch (w->shape) {
    case REPLY_UNDECIDED:
        feed_first(w, chunk);
        break;
    case REPLY_STREAM:
        reply_stream_feed(w, chunk);
        break;
    case REPLY_WHOLE:
        feed_whole(w, chunk);
        break;
    case REPLY_ERROR_BODY: {
        size_t room = REPLY_ERROR_MAX - w->held.len;
        buf_append(&w->held, chunk.data, chunk.len < room ? chunk.len : room);
        break;
    }
    }
    return w->state;
}

/* The end */

static void pass_as_stream(struct reply_watch *w)
{
    BUF_AUTO events = BUF_INIT(2 * REPLY_CONVERT_MAX);
    if (reply_convert(buf_span(&w->held), !w->drop_usage, &events) < 0) {
        reply_fail(w, CHAT_MALFORMED, "the provider sent no stream, nor a whole answer");
        return;
    }
    buf_finish(&w->held);
    w->held = events;
    events = (struct buf)BUF_INIT(0);
    w->shape = REPLY_STREAM;
    w->done = true;
    reply_begin_to_pass(w);
}

static void end_whole(struct reply_watch *w, bool cut)
{
    struct reply_look look;
    struct span text = buf_span(&w->held);
    if (w->unwatched) {
        if (cut)
            reply_fail(w, CHAT_INTERRUPTED, "the answer was cut off before its end");
        return;
    }
    int r = reply_look_at(text, &w->usage, &look);
    if (r == -ENODATA)
        reply_fail(w, CHAT_INTERRUPTED, "the answer was cut off before its end");
    else if (r < 0)
        reply_fail(w, CHAT_MALFORMED, "the provider sent something that is not JSON");
    else if (!reply_note(w, text, &look))
        return;
    else if (look.type != JSON_OBJECT)
        reply_fail(w, CHAT_MALFORMED, "the provider sent JSON that is not an answer");
    else if (!w->content)
        reply_fail_empty(w);
    else if (becomes_stream(w))
        pass_as_stream(w);
    else
        reply_begin_to_pass(w);
}

enum reply_state reply_watch_end(struct reply_watch *w, bool cut)
{
    pieces_clear(&w->pieces);
    w->pieces.last = true;
    if (w->passed)
        buf_finish(&w->held);
    if (w->state == REPLY_FAILED)
        return w->state;
    switch (w->shape) {
    case REPLY_UNDECIDED:
        if (cut)
            reply_fail(w, CHAT_INTERRUPTED, "the connection was cut before the answer began");
        else if (span_trim(buf_span(&w->held)).len)
            reply_fail(w, CHAT_MALFORMED, NEITHER);
        else
            reply_fail_empty(w);
        break;
    case REPLY_STREAM:
        reply_stream_end(w, cut);
        break;
    case REPLY_WHOLE:
        end_whole(w, cut);
        break;
    case REPLY_ERROR_BODY:
        reply_fail_with_body(w);
        break;
    }
    return w->state;
}
