#include "support/reply_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct heard {
    struct buf text, reasoning;
};

static void on_text(void *context, struct span delta)
{
    struct heard *heard = context;
    buf_append_span(&heard->text, delta);
}

static void on_reasoning(void *context, struct span delta)
{
    struct heard *heard = context;
    buf_append_span(&heard->reasoning, delta);
}

static void write_number(struct buf *out, int64_t number, char end)
{
    if (number < 0)
        buf_append_char(out, '-');
    else
        buf_printf(out, "%lld", (long long)number);
    if (end)
        buf_append_char(out, end);
}

static void write_reply(const struct chat_reply *reply, struct buf *out)
{
    static const char *const finishes[] = {"unknown", "stop", "length", "tool_calls", "filter"};
    const struct chat_usage *usage = &reply->usage;
    buf_printf(out, "text=%s", reply->message.text ? reply->message.text : "(none)");
    for (size_t i = 0; i < reply->message.call_count; i++) {
        const struct chat_call *call = &reply->message.calls[i];
        bool made_up = strncmp(call->id, "call_", 5) == 0 && strlen(call->id) == 21;
        buf_printf(out, "|%s[%s]%s", call->name, made_up ? "made-up" : call->id, call->arguments);
        if (call->extra)
            buf_printf(out, "+%s", call->extra);
    }
    if (reply->message.extra)
        buf_printf(out, "|extra=%s", reply->message.extra);
    buf_printf(out, "|%s|", finishes[reply->finish]);
    write_number(out, usage->prompt_tokens, ',');
    write_number(out, usage->completion_tokens, ',');
    write_number(out, usage->cached_tokens, ',');
    write_number(out, usage->reasoning_tokens, ',');
    write_number(out, usage->cost_pico, '\0');
    buf_printf(out, "|%s", reply->model ? reply->model : "(none)");
}

static int feed_all(struct wire_reply *reply, struct span body, struct reply_feeding feeding)
{
    int r = 0;
    for (size_t len = feeding.step ? feeding.step : feeding.cut; body.len && r == 0;
         len = feeding.step ? feeding.step : body.len) {
        if (len > body.len)
            len = body.len;
        char *piece = mem_alloc(len ? len : 1); // so that a sanitizer sees an over-read
        if (len)
            memcpy(piece, body.data, len);
        r = reply->format->reply_feed(reply, span_make(piece, len));
        memset(piece, 'X', len);
        free(piece);
        body = span_skip(body, len);
    }
    return r;
}

void reply_record(struct span body, struct reply_feeding feeding, struct buf *out)
{
    static const struct chat_sink sink = {on_text, on_reasoning, NULL, NULL};
    struct heard heard = {BUF_INIT(2 * (size_t)CHAT_TEXT_MAX), BUF_INIT(2 * (size_t)CHAT_TEXT_MAX)};
    struct chat_reply whole = {0};
    struct wire_reply *reply =
        wire_reply_create(&wire_openai_chat, span_of(feeding.type), &sink, &heard);
    int fed = feed_all(reply, body, feeding);
    int r = reply->format->reply_end(reply, &whole);
    if ((fed < 0 && r == 0) || (r < 0) != reply->failed)
        buf_append_text(out, "contradicts itself: ");
    const char *told = whole.message.text ? whole.message.text : "";
    if (r == 0 && !span_is(buf_span(&heard.text), told))
        buf_printf(out, "streamed other text: %s", buf_text(&heard.text));
    if (heard.reasoning.len)
        buf_printf(out, "(%s)", buf_text(&heard.reasoning));
    if (r == 0)
        write_reply(&whole, out);
    else
        buf_printf(out, "failed %d %d: %s", reply->failure.kind, reply->failure.status,
                   reply->failure.text);
    chat_reply_finish(&whole);
    wire_reply_destroy(reply);
    buf_finish(&heard.text);
    buf_finish(&heard.reasoning);
}
