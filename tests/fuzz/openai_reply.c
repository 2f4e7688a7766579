#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "fuzz.h"
#include "llm/wire_format.h"

/*
 * What a server sends gives the same reply however the network cuts it, the text that was streamed
 * is the text of the reply, and a failure is a sentence. The first byte chooses a Content-Type and
 * the pieces' sizes.
 */
enum {
    BODY_BYTES_MAX = 4096,
    RECORD_BYTES_MAX = 64 << 20,
};

static void on_text(void *context, struct span delta)
{
    REQUIRE(delta.len > 0 && utf8_valid(delta) && !memchr(delta.data, '\0', delta.len));
    buf_append_span(context, delta);
}

static void on_reasoning(void *context, struct span delta)
{
    REQUIRE(delta.len > 0 && utf8_valid(delta));
}

static void record_reply(const struct chat_reply *reply, struct span streamed, struct buf *out)
{
    const struct chat_message *message = &reply->message;
    REQUIRE(message->role == CHAT_ASSISTANT && (message->text || message->call_count));
    REQUIRE(span_is(streamed, message->text ? message->text : ""));
    REQUIRE(message->call_count <= CHAT_CALLS_MAX);
    buf_printf(out, "%d|%s|%s|", reply->finish, reply->model ? reply->model : "",
               message->text ? message->text : "");
    buf_append(out, &reply->usage, sizeof reply->usage);
    for (size_t i = 0; i < message->call_count; i++) {
        const struct chat_call *call = &message->calls[i];
        REQUIRE(*call->id && *call->arguments);
        for (size_t n = 0; n < i; n++)
            REQUIRE(strcmp(call->id, message->calls[n].id) != 0);
        buf_printf(out, "|%s(%s)%s", call->name, call->arguments, call->extra ? call->extra : "");
    }
    buf_printf(out, "|%s", message->extra ? message->extra : "");
}

static void record_failure(const struct wire_reply *reply, struct buf *out)
{
    const struct chat_failure *failure = &reply->failure;
    size_t len = strnlen(failure->text, sizeof failure->text);
    REQUIRE(reply->failed && len > 0 && len < sizeof failure->text);
    REQUIRE(utf8_valid(span_make(failure->text, len)) && !memchr(failure->text, '\n', len));
    buf_printf(out, "%d %d %s", failure->kind, failure->status, failure->text);
}

// Pieces of `step` bytes, or of sizes that follow from `step` when it is 0.
static void run(struct span body, const char *type, size_t step, struct buf *out)
{
    static const struct chat_sink sink = {on_text, on_reasoning, NULL, NULL};
    BUF_AUTO streamed = BUF_INIT(RECORD_BYTES_MAX);
    struct chat_reply whole = {0};
    int r = 0;
    struct wire_reply *reply =
        wire_reply_create(&wire_openai_chat, span_of(type), &sink, &streamed);
    for (size_t seed = body.len; body.len && r == 0;) {
        seed = seed * 1103515245 + 12345;
        size_t len = step ? step : 1 + (seed >> 16) % 37;
        if (len > body.len)
            len = body.len;
        char *piece = mem_alloc(len);
        memcpy(piece, body.data, len);
        r = wire_openai_chat.reply_feed(reply, span_make(piece, len));
        free(piece);
        body = span_skip(body, len);
    }
    REQUIRE((r < 0) == reply->failed);
    if (wire_openai_chat.reply_end(reply, &whole) == 0)
        record_reply(&whole, buf_span(&streamed), out);
    else
        record_failure(reply, out);
    chat_reply_finish(&whole);
    wire_reply_destroy(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"", "text/event-stream", "application/json", "text/html"};
    static const size_t steps[] = {1, 2, 7, 64, 0};
    if (size == 0 || size > BODY_BYTES_MAX)
        return 0;
    const char *type = types[data[0] % ARRAY_LEN(types)];
    struct span body = span_make(data + 1, size - 1);
    BUF_AUTO wanted = BUF_INIT(RECORD_BYTES_MAX);
    run(body, type, size, &wanted);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        BUF_AUTO out = BUF_INIT(RECORD_BYTES_MAX);
        run(body, type, steps[i], &out);
        REQUIRE(span_equal(buf_span(&out), buf_span(&wanted)));
    }
    return 0;
}
