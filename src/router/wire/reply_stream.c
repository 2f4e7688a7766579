/*
 * What is passed on are whole events, so that what follows a cut is an event as well: a client that
 * got half of one would fail on that half, and never see the error behind it. The bytes of an event
 * whose end has not come wait in `tail`; a reader could make nothing of them anyway. Only an event
 * larger than a limit goes out as it comes, and then `torn` says so.
 *
 * Not before the first content: what is larger than the limits by then, an event without an end or
 * many without content, is no answer that anybody could be given. It is a failure like an empty
 * one, so that the next deployment is asked.
 */
#include "router/wire/reply_stream.h"

#include "base/mem.h"
#include "base/simd16.h"

enum { BUFFER_KEPT_MAX = 64 * 1024 }; // bytes of a buffer that is empty

// An event may be passed on, kept, or is of no use.
enum fate { FATE_PASS, FATE_HOLD, FATE_DROP };

/* Events */

// The text of an event's data lines, and whether it has any.
static bool event_data(struct reply_watch *w, struct span event, struct span *ret_data)
{
    bool any = false;
    buf_clear(&w->joined);
    while (event.len) {
        size_t len = 0;
        while (len < event.len && event.data[len] != '\n' && event.data[len] != '\r')
            len++;
        struct span line = {event.data, len};
        event = span_skip(event, len + (len < event.len));
        if (span_starts_with(line, "data") && (line.len == 4 || line.data[4] == ':')) {
            line = span_skip(line, line.len == 4 ? 4 : 5);
            if (any)
                buf_append_char(&w->joined, '\n');
            buf_append_span(&w->joined, span_skip(line, span_starts_with(line, " ")));
            any = true;
        }
    }
    *ret_data = buf_span(&w->joined);
    return any;
}

// The usual event is one line of data and a blank one; its data is read where it lies.
static bool plain_event_data(const struct reply_watch *w, struct span event, struct span *ret_data)
{
    if (w->lines != 1 || event.len < 8 || memcmp(event.data, "data:", 5) != 0)
        return false;
    size_t end = event.len;
    while (end > 5 && (event.data[end - 1] == '\n' || event.data[end - 1] == '\r'))
        end--;
    size_t begin = 5 + (event.data[5] == ' ');
    *ret_data = span_make(event.data + begin, end > begin ? end - begin : 0);
    return true;
}

static uint64_t choice_bit(size_t index)
{
    return UINT64_C(1) << index % 64;
}

// Of several choices each says for itself that it has ended. One without an index is the first.
static void note_choices(struct reply_watch *w, struct span data)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_value choice;
    if (data.len > REPLY_EVENT_MAX || json_parse(&doc, data, NULL) < 0)
        return;
    struct json_iter it = json_iter_init(json_get(json_root(&doc), "choices"));
    while (json_iter_next(&it, NULL, &choice)) {
        int64_t said = 0;
        if (!json_int64(json_get(choice, "index"), &said) || said < 0)
            said = 0;
        size_t index = said < REPLY_CHOICES_MAX ? (size_t)said : REPLY_CHOICES_MAX - 1;
        struct json_value why = json_get(choice, "finish_reason");
        w->choices_begun[index / 64] |= choice_bit(index);
        if (json_type(why) == JSON_STRING && json_raw(why).len > 2 && !json_is(why, "null"))
            w->choices_ended[index / 64] |= choice_bit(index);
    }
}

/*
 * Has the answer said that it is whole? Of several choices every one that began must have; and
 * where the stream was cut as many as were asked for, since one might not have begun yet. A server
 * that gives fewer than were asked for is whole when it ends well.
 */
static bool is_finished(const struct reply_watch *w, bool cut)
{
    if (w->done || w->answers <= 1 || w->finish == REPLY_FINISH_NONE)
        return w->done || w->finish != REPLY_FINISH_NONE;
    int64_t ended = 0;
    for (size_t i = 0; i < ARRAY_LEN(w->choices_begun); i++) {
        if (w->choices_begun[i] & ~w->choices_ended[i])
            return false;
        ended += __builtin_popcountll(w->choices_ended[i]);
    }
    return !cut || ended >= w->answers || ended == REPLY_CHOICES_MAX;
}

static enum fate look_at(struct reply_watch *w, struct span data)
{
    struct reply_look look;
    if (w->answers > 1)
        note_choices(w, data);
    if (reply_look_at(data, &w->usage, &look) < 0) {
        if (w->state == REPLY_HELD)
            reply_fail(w, CHAT_MALFORMED, "the provider sent something that is not JSON");
        return FATE_PASS;
    }
    if (!reply_note(w, data, &look))
        return FATE_PASS;
    if (w->state == REPLY_HELD && look.type != JSON_OBJECT) {
        reply_fail(w, CHAT_MALFORMED, "the provider sent JSON that is not an answer");
        return FATE_PASS;
    }
    if (w->drop_usage && look.usage && !look.choices)
        return FATE_DROP;
    return w->content ? FATE_PASS : FATE_HOLD;
}

static enum fate judge(struct reply_watch *w, struct span event)
{
    struct span data;
    w->events++;
    if (w->events == 1 && span_starts_with(event, REPLY_BOM))
        event = span_skip(event, sizeof REPLY_BOM - 1);
    bool plain = plain_event_data(w, event, &data);
    bool any = plain || event_data(w, event, &data);
    if (!any) // comments, or fields that mean nothing
        return w->state == REPLY_PASS ? FATE_PASS : FATE_DROP;
    w->said++;
    if (!plain)
        data = span_trim(data);
    if (w->done || data.len == 0)
        return w->content ? FATE_PASS : FATE_HOLD;
    if (data.data[0] == '[' && span_is(span_trim(data), "[DONE]")) {
        w->done = true;
        if (!w->content)
            reply_fail_empty(w);
        return FATE_PASS;
    }
    if (w->state == REPLY_PASS && plain && w->answers <= 1 && !reply_look_needed(data))
        return FATE_PASS;
    return look_at(w, data);
}

static void dispose_of(struct reply_watch *w, struct span bytes, enum fate fate)
{
    if (fate == FATE_HOLD && w->held.len + bytes.len > REPLY_HELD_MAX) {
        reply_fail(w, CHAT_TOO_LARGE, "the provider sent too much without any content");
    } else if (fate == FATE_HOLD) {
        buf_append_span(&w->held, bytes);
    } else if (fate == FATE_PASS) {
        if (w->state == REPLY_HELD)
            reply_begin_to_pass(w);
        pieces_add(&w->pieces, bytes);
    }
}

// One whole event, which stays where it is until the next call.
static void take_event(struct reply_watch *w, struct span event)
{
    enum fate fate = judge(w, event);
    bool lost = w->state == REPLY_FAILED && !w->passed;
    w->last_fate = lost ? FATE_DROP : fate;
    dispose_of(w, event, w->last_fate);
}

/* Cutting the stream into events */

static size_t find_line_end(struct span text, size_t at)
{
    for (; text.len - at >= SIMD16_BYTES; at += SIMD16_BYTES) {
        simd16 here = simd16_load(text.data + at);
        uint64_t hits = simd16_bits((simd16)(here == '\n') | (simd16)(here == '\r'));
        if (hits)
            return at + simd16_first(hits);
    }
    while (at < text.len && text.data[at] != '\n' && text.data[at] != '\r')
        at++;
    return at;
}

// Offset behind the event whose end comes first at or after `at`; 0 when it is not there.
static size_t find_event_end(struct reply_watch *w, struct span text, size_t at)
{
    while (at < text.len) {
        if (w->after_cr && text.data[at] == '\n')
            at++;
        w->after_cr = false;
        size_t end = find_line_end(text, at);
        w->line_begun |= end > at;
        if (end == text.len)
            return 0;
        bool blank = !w->line_begun, crlf = text.data[end] == '\r';
        at = end + 1;
        w->line_begun = false;
        if (blank && w->event_lines) {
            bool both = crlf && at < text.len && text.data[at] == '\n';
            w->after_cr = crlf && at == text.len;
            w->lines = w->event_lines;
            w->event_lines = 0;
            return at + both;
        }
        w->event_lines += !blank;
        w->after_cr = crlf;
    }
    return 0;
}

// How much of an event without an end is kept.
static size_t event_max(const struct reply_watch *w)
{
    return w->state == REPLY_PASS ? REPLY_EVENT_MAX : REPLY_FIRST_MAX;
}

// A part of an event that is too large to keep goes out unseen, or is a failure.
static void pass_part(struct reply_watch *w, struct span part, bool is_last)
{
    if (w->state == REPLY_HELD)
        reply_fail(w, CHAT_TOO_LARGE, "the provider sent an event that is too large");
    if (w->state == REPLY_FAILED)
        return;
    pieces_add(&w->pieces, part);
    w->said++;
    w->skipped_event = w->torn = !is_last;
    w->last_fate = FATE_PASS;
}

// Events that begin with the text.
void reply_stream_take(struct reply_watch *w, struct span text)
{
    while (text.len && w->state != REPLY_FAILED) {
        size_t end = find_event_end(w, text, 0);
        if (end == 0) {
            if (text.len > event_max(w) || !buf_append_span(&w->tail, text))
                pass_part(w, text, false);
            return;
        }
        take_event(w, span_make(text.data, end));
        text = span_skip(text, end);
    }
}

// The rest of an event of which the head is in `carry`, or was passed on. Returns what is behind.
static struct span finish_event(struct reply_watch *w, struct span chunk)
{
    size_t end = find_event_end(w, chunk, 0);
    struct span head = {chunk.data, end ? end : chunk.len};
    if (w->skipped_event) {
        pass_part(w, head, end > 0);
        return span_skip(chunk, head.len);
    }
    bool fits = w->carry.len + head.len <= event_max(w) && buf_append_span(&w->carry, head);
    if (!fits) {
        pass_part(w, buf_span(&w->carry), false);
        pass_part(w, head, end > 0);
    } else if (end) {
        take_event(w, buf_span(&w->carry));
    } else { // back to where it waits
        struct buf waiting = w->tail;
        w->tail = w->carry;
        w->carry = waiting;
    }
    return span_skip(chunk, head.len);
}

// A long event is rare, and a stream long: what one took is not kept for the next.
static void empty(struct buf *buf)
{
    if (buf->capacity > BUFFER_KEPT_MAX)
        buf_finish(buf);
    else
        buf_clear(buf);
}

// What waited for its end may find it now; what had found it is done with.
static void turn_buffers(struct reply_watch *w)
{
    struct buf done = w->carry;
    w->carry = w->tail;
    w->tail = done;
    empty(&w->tail);
    empty(&w->joined);
}

void reply_stream_feed(struct reply_watch *w, struct span chunk)
{
    turn_buffers(w);
    if (w->carry.len || w->skipped_event) {
        chunk = finish_event(w, chunk);
    } else if (w->after_cr) { // the other half of the line end that ended the last event
        size_t half = span_starts_with(chunk, "\n");
        w->after_cr = false;
        dispose_of(w, span_make(chunk.data, half), (enum fate)w->last_fate);
        chunk = span_skip(chunk, half);
    }
    reply_stream_take(w, chunk);
}

// The last event may lack its blank line; it counts when it is whole all the same.
static void end_event(struct reply_watch *w)
{
    struct reply_look look;
    struct span event = buf_span(&w->carry), data;
    w->lines = w->event_lines + w->line_begun;
    if (!plain_event_data(w, event, &data) && !event_data(w, event, &data))
        return;
    data = span_trim(data);
    if (!span_is(data, "[DONE]") && reply_look_at(data, &w->usage, &look) < 0)
        return;
    size_t before = w->pieces.count;
    take_event(w, event);
    if (w->pieces.count > before)
        pieces_add(&w->pieces, SPAN_LITERAL("\n\n"));
}

void reply_stream_end(struct reply_watch *w, bool cut)
{
    turn_buffers(w);
    if (w->carry.len)
        end_event(w);
    if (w->state == REPLY_FAILED)
        return;
    bool finished = is_finished(w, cut);
    if (w->state == REPLY_PASS && !finished)
        reply_fail(w, CHAT_INTERRUPTED, "the answer was cut off before its end");
    else if (w->state == REPLY_HELD && cut && !finished)
        reply_fail(w, CHAT_INTERRUPTED, "the connection was cut before the answer began");
    else if (w->state == REPLY_HELD)
        reply_fail_empty(w);
}
