#include "llm/translation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/json_write.h"
#include "codec/money.h"
#include "llm/openai_extra.h"
#include "llm/openai_read.h"

struct translation {
    const struct wire_format *format;
    struct wire_reply *reply; // NULL until it begins
    bool stream, begun;       // something was told
    char *model;              // that was asked for
    char id[sizeof "chatcmpl-" + 24];
    struct buf request_bytes, out;
    struct span request;
};

int translation_create(const struct wire_format *format, const struct span *parts, size_t count,
                       struct span params, struct translation **ret_translation, struct error *err)
{
    BUF_AUTO request = BUF_INIT(WIRE_REQUEST_MAX);
    BUF_AUTO body = BUF_INIT(WIRE_REQUEST_MAX);
    struct openai_asked asked;
    for (size_t i = 0; i < count; i++)
        if (!buf_append_span(&body, parts[i]))
            return error_set(err, -E2BIG, "the request is too large");
    int r = openai_read_request(buf_span(&body), params, &asked, err);
    if (r == 0)
        r = format->write_request(&asked.request, &request, err);
    if (r == 0) {
        struct translation *translation = mem_new(struct translation);
        translation->format = format;
        translation->stream = asked.request.stream;
        translation->model = mem_strdup(asked.request.model);
        memcpy(translation->id, "chatcmpl-", sizeof "chatcmpl-" - 1);
        random_hex(translation->id + sizeof "chatcmpl-" - 1, 25);
        translation->request_bytes = request;
        translation->request = buf_span(&request);
        request = (struct buf)BUF_INIT(0);
        buf_init(&translation->out, 2 * (size_t)CHAT_TEXT_MAX);
        *ret_translation = translation;
    }
    openai_asked_finish(&asked);
    return r;
}

const struct span *translation_request(const struct translation *translation)
{
    return &translation->request;
}

void translation_destroy(struct translation *translation)
{
    if (!translation)
        return;
    wire_reply_destroy(translation->reply);
    buf_finish(&translation->request_bytes);
    buf_finish(&translation->out);
    free(translation->model);
    free(translation);
}

/* To the client's side */

// Up to the array of choices, which is open then.
static void begin_object(struct translation *t, struct json_writer *w)
{
    if (t->stream)
        buf_append_text(&t->out, "data: ");
    json_writer_init(w, &t->out);
    json_write_object_begin(w);
    json_write_member_text(w, "id", t->id);
    json_write_member_text(w, "object", t->stream ? "chat.completion.chunk" : "chat.completion");
    json_write_member_int(w, "created", 0);
    json_write_member_text(w, "model", t->reply->model ? t->reply->model : t->model);
    json_write_key(w, "choices");
    json_write_array_begin(w);
}

static void end_object(struct translation *t, struct json_writer *w)
{
    json_write_object_end(w);
    buf_append_text(&t->out, t->stream ? "\n\n" : "");
}

static void begin_message(struct translation *t, struct json_writer *w)
{
    begin_object(t, w);
    json_write_object_begin(w);
    json_write_member_int(w, "index", 0);
    json_write_key(w, t->stream ? "delta" : "message");
    json_write_object_begin(w);
    if (!t->begun)
        json_write_member_text(w, "role", "assistant");
    t->begun = true;
}

static void end_message(struct json_writer *w, const char *finish)
{
    json_write_object_end(w);
    json_write_member_text(w, "finish_reason", finish);
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_delta(struct translation *t, const char *name, struct span delta)
{
    struct json_writer w;
    if (!t->stream)
        return;
    begin_message(t, &w);
    json_write_member_string(&w, name, delta);
    end_message(&w, NULL);
    end_object(t, &w);
}

static void on_text(void *context, struct span delta)
{
    write_delta(context, "content", delta);
}

static void on_reasoning(void *context, struct span delta)
{
    write_delta(context, "reasoning_content", delta);
}

static void write_calls(struct json_writer *w, const struct chat_message *message)
{
    json_write_key(w, "tool_calls");
    json_write_array_begin(w);
    for (size_t i = 0; i < message->call_count; i++) {
        json_write_object_begin(w);
        json_write_member_int(w, "index", (int64_t)i);
        json_write_member_text(w, "id", message->calls[i].id);
        json_write_member_text(w, "type", "function");
        json_write_key(w, "function");
        json_write_object_begin(w);
        json_write_member_text(w, "name", message->calls[i].name);
        json_write_member_text(w, "arguments", message->calls[i].arguments);
        json_write_object_end(w);
        openai_extra_write(w, message->calls[i].extra);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    openai_extra_write(w, message->extra);
}

static void write_count(struct json_writer *w, const char *name, int64_t count)
{
    if (count >= 0)
        json_write_member_int(w, name, count);
}

static void write_usage(struct json_writer *w, const struct chat_usage *usage)
{
    json_write_key(w, "usage");
    json_write_object_begin(w);
    write_count(w, "prompt_tokens", usage->prompt_tokens);
    write_count(w, "completion_tokens", usage->completion_tokens);
    json_write_key(w, "prompt_tokens_details");
    json_write_object_begin(w);
    write_count(w, "cached_tokens", usage->cached_tokens);
    write_count(w, "cache_write_tokens", usage->cache_write_tokens);
    json_write_object_end(w);
    json_write_key(w, "completion_tokens_details");
    json_write_object_begin(w);
    write_count(w, "reasoning_tokens", usage->reasoning_tokens);
    json_write_object_end(w);
    if (usage->cost_pico >= 0) {
        json_write_key(w, "cost");
        json_write_fixed(w, usage->cost_pico, MONEY_DIGITS);
    }
    json_write_object_end(w);
}

static void write_usage_chunk(struct translation *t)
{
    struct json_writer w;
    begin_object(t, &w);
    json_write_array_end(&w);
    write_usage(&w, &t->reply->usage);
    end_object(t, &w);
}

static void write_end(struct translation *t, const struct chat_reply *reply)
{
    static const char *const words[] = {"stop", "stop", "length", "tool_calls", "content_filter"};
    struct json_writer w;
    begin_message(t, &w);
    if (!t->stream)
        json_write_member_text(&w, "content", reply->message.text);
    if (reply->message.call_count)
        write_calls(&w, &reply->message);
    end_message(&w, words[reply->finish]);
    if (!t->stream)
        write_usage(&w, &reply->usage);
    end_object(t, &w);
    if (!t->stream)
        return;
    write_usage_chunk(t);
    buf_append_text(&t->out, "data: [DONE]\n\n");
}

/* The reply */

struct span translation_begin(struct translation *t, struct span content_type)
{
    static const struct chat_sink sink = {.on_text = on_text, .on_reasoning = on_reasoning};
    t->reply = wire_reply_create(t->format, content_type, &sink, t);
    return t->stream ? SPAN_LITERAL("text/event-stream") : SPAN_LITERAL("application/json");
}

const char *translation_model(const struct translation *t)
{
    return t->reply ? t->reply->model : NULL;
}

uint64_t translation_said(const struct translation *t)
{
    return t->reply ? t->reply->said : 0;
}

size_t translation_bytes(const struct translation *t)
{
    return t->out.capacity + (t->reply ? t->format->reply_bytes(t->reply) : 0);
}

static const struct chat_failure *give(struct translation *t, bool failed, struct span *ret_bytes)
{
    if (buf_is_full(&t->out)) { // what is in it is not whole
        buf_clear(&t->out);
        failed = true;
        wire_reply_fail(t->reply, CHAT_TOO_LARGE, "the answer is larger than 24 MiB");
    }
    *ret_bytes = buf_span(&t->out);
    return failed ? &t->reply->failure : NULL;
}

const struct chat_failure *translation_feed(struct translation *t, struct span bytes,
                                            struct span *ret_bytes)
{
    buf_clear(&t->out);
    return give(t, t->format->reply_feed(t->reply, bytes) < 0, ret_bytes);
}

const struct chat_failure *translation_end(struct translation *t, struct span *ret_bytes)
{
    struct chat_reply reply;
    buf_clear(&t->out);
    bool failed = t->format->reply_end(t->reply, &reply) < 0;
    if (!failed) {
        t->reply->model = STEAL(reply.model);
        write_end(t, &reply);
        chat_reply_finish(&reply);
    } else if (t->stream && t->reply->failure.kind != CHAT_INTERRUPTED) {
        write_usage_chunk(t); // of an answer that has ended, though there was nothing in it
    }
    return give(t, failed, ret_bytes);
}
