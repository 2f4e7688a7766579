#include "router/wire/reply_watch.h"

#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "fuzz.h"
#include "llm/wire_format.h"

/*
 * What is found out about a reply, and what of it is passed on, does not depend on how the network
 * cuts it; what is passed on is what came, in order; and a reply that the agent would take for an
 * answer is never called a failure. The first byte chooses the kind, the status and the type.
 */
enum {
    BODY_BYTES_MAX = 4096,
    RECORD_BYTES_MAX = 1 << 20,
};

struct setting {
    enum reply_kind kind;
    bool drop_usage, cut;
    int status;
    const char *type;
};

static void take_pieces(const struct reply_watch *w, struct buf *out)
{
    REQUIRE(w->pieces.count == 0 || w->passed);
    for (size_t i = 0; i < w->pieces.count; i++)
        REQUIRE(buf_append_span(out, w->pieces.spans[i]));
}

static void check_end(const struct reply_watch *w, enum reply_state state)
{
    size_t len = strnlen(w->failure.text, sizeof w->failure.text);
    REQUIRE(state == w->state && state != REPLY_HELD);
    REQUIRE(state == REPLY_FAILED || w->passed);
    REQUIRE((state == REPLY_FAILED) == (len > 0));
    REQUIRE(utf8_valid(span_make(w->failure.text, len)));
    REQUIRE(!w->torn && (!w->error_shown || w->passed));
    REQUIRE(w->usage.prompt_tokens >= -1 && w->usage.completion_tokens >= -1 &&
            w->usage.cost_pico >= -1);
}

// Pieces of `step` bytes, or of sizes that follow from `step` when it is 0.
static enum reply_state run(struct span body, const struct setting *setting, size_t step,
                            struct buf *out, struct buf *record)
{
    struct reply_watch w;
    reply_watch_init(&w, setting->kind, setting->drop_usage);
    reply_watch_head(&w, setting->status, span_of(setting->type));
    for (size_t seed = body.len; body.len;) {
        seed = seed * 1103515245 + 12345;
        size_t len = step ? step : 1 + (seed >> 16) % 37;
        if (len > body.len)
            len = body.len;
        char *piece = mem_alloc(len);
        memcpy(piece, body.data, len);
        reply_watch_feed(&w, span_make(piece, len));
        take_pieces(&w, out);
        free(piece);
        body = span_skip(body, len);
    }
    enum reply_state state = reply_watch_end(&w, setting->cut);
    take_pieces(&w, out);
    check_end(&w, state);
    // Behind the event that ended it all, an LF that comes apart from its CR is of no use.
    if (state == REPLY_FAILED && span_ends_with(buf_span(out), "\r\n"))
        buf_truncate(out, out->len - 1);
    buf_printf(record, "%d %d%d%d%d %d|%s|%s|%d %d %s|%s|%s|%s|%s", w.state, w.passed, w.content,
               w.done, w.error_shown, w.finish, w.id, w.model, w.failure.kind, w.failure.status,
               w.failure.text, w.words.type, w.words.code, w.words.error_type, w.words.status);
    buf_append(record, &w.usage, sizeof w.usage);
    reply_watch_finish(&w);
    return state;
}

static bool is_subsequence(struct span part, struct span whole)
{
    size_t at = 0;
    for (size_t i = 0; i < whole.len && at < part.len; i++)
        at += part.data[at] == whole.data[i];
    return at == part.len;
}

static void ignore(void *context, struct span delta) {}

static bool agent_takes_it(struct span body, const char *type)
{
    static const struct chat_sink sink = {ignore, ignore, NULL, NULL};
    struct chat_reply whole = {0};
    struct wire_reply *reply = wire_reply_create(&wire_openai_chat, span_of(type), &sink, NULL);
    wire_openai_chat.reply_feed(reply, body);
    bool takes = wire_openai_chat.reply_end(reply, &whole) == 0;
    chat_reply_finish(&whole);
    wire_reply_destroy(reply);
    return takes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"", "text/event-stream", "application/json", "text/html"};
    static const size_t steps[] = {1, 2, 7, 64, 0};
    if (size == 0 || size > BODY_BYTES_MAX)
        return 0;
    struct setting setting = {data[0] & 4 ? REPLY_OTHER : REPLY_CHAT, data[0] & 8, data[0] & 16,
                              data[0] & 32 ? 429 : 200, types[data[0] % ARRAY_LEN(types)]};
    struct span body = span_make(data + 1, size - 1);
    BUF_AUTO wanted = BUF_INIT(RECORD_BYTES_MAX), passed = BUF_INIT(RECORD_BYTES_MAX);
    enum reply_state state = run(body, &setting, size, &passed, &wanted);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        BUF_AUTO record = BUF_INIT(RECORD_BYTES_MAX), out = BUF_INIT(RECORD_BYTES_MAX);
        run(body, &setting, steps[i], &out, &record);
        REQUIRE(span_equal(buf_span(&record), buf_span(&wanted)));
        REQUIRE(span_equal(buf_span(&out), buf_span(&passed)));
    }
    BUF_AUTO came = BUF_INIT(RECORD_BYTES_MAX);
    buf_append_span(&came, body);
    buf_append_text(&came, "\n\n"); // may be put behind the last event
    REQUIRE(is_subsequence(buf_span(&passed), buf_span(&came)));

    // Of several choices the agent reads one; the others may have failed.
    bool middle = span_find(buf_span(&wanted), SPAN_LITERAL("in the middle of the answer")) >= 0;
    if (setting.status == 200 && setting.kind == REPLY_CHAT && !middle &&
        agent_takes_it(body, setting.type))
        REQUIRE(state == REPLY_PASS);
    return 0;
}
