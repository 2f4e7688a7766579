/*
 * What is held is everything until the first content. A role, an empty text, a comment are not
 * content: many servers send them before they know that they will fail. Comments are not even kept,
 * because whoever waits is given his own.
 *
 * What counts as an answer is the same as in llm/openai_reply.c, with two differences: an answer
 * that is empty because its tokens were used up is one, since nobody else would do better; and so
 * is one of reasoning alone.
 */
#include "router/reply_watch.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "llm/openai_error.h"
#include "router/failure.h"
#include "router/reply_convert.h"
#include "router/reply_look.h"
#include "router/reply_stream.h"

void reply_watch_init(struct reply_watch *watch, enum reply_kind kind, bool drop_usage)
{
    *watch = (struct reply_watch){
        .kind = kind,
        .drop_usage = drop_usage,
        .answers = 1,
        .usage = ROUTER_USAGE_UNKNOWN,
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
    reply_pieces_finish(&watch->pieces);
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

/* Failure */

void reply_fail(struct reply_watch *w, enum chat_failure_kind kind, const char *sentence)
{
    w->state = REPLY_FAILED;
    w->failure = (struct chat_failure){.kind = kind, .retry_after_ms = -1};
    snprintf(w->failure.text, sizeof w->failure.text, "%s", sentence);
}

// A short text of printable ASCII, or nothing.
static void copy_word(char *to, size_t size, struct span text)
{
    bool fits = text.len < size;
    for (size_t i = 0; fits && i < text.len; i++)
        fits = text.data[i] >= 0x20 && text.data[i] < 0x7f;
    if (fits && text.len)
        memcpy(to, text.data, text.len);
    to[fits ? text.len : 0] = '\0';
}

static void copy_json_word(char *to, size_t size, struct json_value value)
{
    BUF_AUTO text = BUF_INIT(REPLY_ID_MAX);
    if (json_type(value) == JSON_NUMBER)
        copy_word(to, size, json_raw(value));
    else if (json_string(value, &text))
        copy_word(to, size, buf_span(&text));
}

static void read_words(struct reply_watch *w, struct json_value error)
{
    struct reply_error_words *words = &w->words;
    copy_json_word(words->type, sizeof words->type, json_get(error, "type"));
    copy_json_word(words->param, sizeof words->param, json_get(error, "param"));
    copy_json_word(words->code, sizeof words->code, json_get(error, "code"));
    copy_json_word(words->status, sizeof words->status, json_get(error, "status"));
    copy_json_word(words->error_type, sizeof words->error_type,
                   json_get(json_get(error, "metadata"), "error_type"));
    if (!*words->code)
        copy_json_word(words->code, sizeof words->code,
                       json_get(json_get(error, "availability"), "code"));
    words->flagged = router_error_words_of(error).flagged;
}

// True when the text, of which it is known that it is JSON, really reports an error.
static bool fail_with_error(struct reply_watch *w, struct span text)
{
    if (json_parse(&w->doc, text, NULL) < 0)
        return false;
    struct json_value error = openai_find_error(json_root(&w->doc));
    if (json_type(error) == JSON_ABSENT)
        return false;
    w->state = REPLY_FAILED;
    w->failure = (struct chat_failure){.retry_after_ms = -1};
    openai_read_error(error, 0, &w->failure);
    read_words(w, error);
    return true;
}

static void fail_with_body(struct reply_watch *w)
{
    w->state = REPLY_FAILED;
    openai_read_error_body(buf_span(&w->held), w->status, &w->failure);
    struct span text = span_trim(buf_span(&w->held));
    if (json_parse(&w->doc, text, NULL) == 0)
        read_words(w, openai_find_error(json_root(&w->doc)));
    else // JSON that was too long to be read whole is still some
        w->words.foreign = !text.len || (text.data[0] != '{' && text.data[0] != '[');
}

// The answer has ended, and there was nothing in it.
void reply_fail_empty(struct reply_watch *w)
{
    if (w->finish == REPLY_FINISH_CONTENT_FILTER)
        reply_fail(w, CHAT_FORBIDDEN, "the provider's content filter withheld the answer");
    else if (w->shape == REPLY_STREAM && !w->done && w->finish == REPLY_FINISH_NONE)
        reply_fail(w, CHAT_EMPTY, "the provider ended the stream without an answer");
    else
        reply_fail(w, CHAT_EMPTY, "the provider sent an empty answer");
}

/* What a chunk or an answer says */

static void note_string(char *to, size_t size, struct span raw)
{
    if (*to || raw.len < 2)
        return;
    if (!memchr(raw.data, '\\', raw.len)) {
        copy_word(to, size, span_make(raw.data + 1, raw.len - 2));
        return;
    }
    JSON_AUTO doc = JSON_INIT;
    if (raw.len <= REPLY_ID_MAX && json_parse(&doc, raw, NULL) == 0)
        copy_json_word(to, size, json_root(&doc));
}

static void note_usage(struct router_usage *to, const struct router_usage *from)
{
    const int64_t values[] = {from->prompt_tokens,    from->completion_tokens,
                              from->cached_tokens,    from->cache_write_tokens,
                              from->reasoning_tokens, from->cost_pico};
    int64_t *const places[] = {&to->prompt_tokens,      &to->completion_tokens, &to->cached_tokens,
                               &to->cache_write_tokens, &to->reasoning_tokens,  &to->cost_pico};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (values[i] >= 0)
            *places[i] = values[i];
}

// Takes over what the text said. False when it was a failure.
bool reply_note(struct reply_watch *w, struct span text, const struct reply_look *look)
{
    note_string(w->id, sizeof w->id, look->id);
    note_string(w->model, sizeof w->model, look->model);
    w->content |= look->content;
    if (look->usage) {
        note_usage(&w->usage, &look->used);
        bool ends = look->finish != REPLY_FINISH_NONE || w->finish != REPLY_FINISH_NONE;
        w->usage_whole = w->shape == REPLY_WHOLE || !look->choices || (ends && w->answers <= 1);
    }
    if (look->error && fail_with_error(w, text)) {
        w->error_shown = look->error_top && w->passed;
        return false;
    }
    if (look->failed) {
        reply_fail(w, CHAT_SERVER, "the provider failed in the middle of the answer");
        return false;
    }
    if (look->finish != REPLY_FINISH_NONE)
        w->finish = look->finish;
    bool any = w->kind == REPLY_OTHER && look->type == JSON_OBJECT;
    if (look->content || any || look->finish == REPLY_FINISH_LENGTH)
        w->content = true;
    return true;
}

void reply_begin_to_pass(struct reply_watch *w)
{
    reply_pieces_add(&w->pieces, buf_span(&w->held));
    w->state = REPLY_PASS;
    w->passed = w->content = true;
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
        reply_fail(w, CHAT_MALFORMED,
                   "the provider answered with something that is neither JSON nor an event stream");
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
        reply_pieces_add(&w->pieces, chunk);
    } else if (!buf_append_span(&w->held, chunk)) {
        reply_begin_to_pass(w);
        reply_pieces_add(&w->pieces, chunk);
        w->unwatched = true;
    }
}

static void feed_error(struct reply_watch *w, struct span chunk)
{
    size_t room = REPLY_ERROR_MAX - w->held.len;
    buf_append(&w->held, chunk.data, chunk.len < room ? chunk.len : room);
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
    reply_pieces_clear(&w->pieces);
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
    case REPLY_ERROR_BODY:
        feed_error(w, chunk);
        break;
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
    int r = reply_look_at(text, &look);
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
    reply_pieces_clear(&w->pieces);
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
            reply_fail(
                w, CHAT_MALFORMED,
                "the provider answered with something that is neither JSON nor an event stream");
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
        fail_with_body(w);
        break;
    }
    return w->state;
}
