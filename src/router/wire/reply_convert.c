/*
 * Some servers overlook "stream": true. Who asked for events finds none in a piece of JSON, takes
 * it for an empty answer, and says so to nobody; so it is told as events. The message goes into one
 * delta, whole, with what only a delta has put in: "index" in tool calls, and why it ended in a
 * chunk of its own, where clients look for it.
 */
#include <errno.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_write.h"
#include "router/wire/reply_edit.h"
#include "router/wire/reply_stream.h"

enum { KEY_MAX = 1024 }; // bytes of a member's name

// The members of an object as they are, but for some: a list that ends with NULL, or NULL.
static void write_members(struct json_writer *w, struct json_value object,
                          const char *const *but_for)
{
    struct json_iter it = json_iter_init(object);
    struct json_value key, value;
    while (json_iter_next(&it, &key, &value)) {
        BUF_AUTO name = BUF_INIT(KEY_MAX);
        const char *const *other = but_for;
        while (other && *other && !json_is(key, *other))
            other++;
        if ((other && *other) || !json_string(key, &name))
            continue;
        json_write_key_span(w, buf_span(&name));
        json_write_raw(w, json_raw(value));
    }
}

static void write_index(struct json_writer *w, struct json_value object, int64_t index)
{
    if (json_type(json_get(object, "index")) == JSON_ABSENT)
        json_write_member_int(w, "index", index);
}

static void write_tool_calls(struct json_writer *w, struct json_value calls)
{
    struct json_iter it = json_iter_init(calls);
    struct json_value call;
    json_write_key(w, "tool_calls");
    json_write_array_begin(w);
    for (int64_t i = 0; json_iter_next(&it, NULL, &call); i++) {
        json_write_object_begin(w);
        write_index(w, call, i);
        write_members(w, call, NULL);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_delta(struct json_writer *w, struct json_value message)
{
    static const char *const ours[] = {"tool_calls", NULL};
    struct json_value calls = json_get(message, "tool_calls");
    json_write_key(w, "delta");
    json_write_object_begin(w);
    if (json_type(json_get(message, "role")) == JSON_ABSENT)
        json_write_member_text(w, "role", "assistant");
    write_members(w, message, ours);
    if (json_type(calls) == JSON_ARRAY)
        write_tool_calls(w, calls);
    json_write_object_end(w);
}

// Returns where it begins.
static size_t begin_event(struct json_writer *w, struct json_value root, struct buf *out)
{
    static const char *const ours[] = {"object", "choices", "usage", NULL};
    size_t begin = out->len;
    buf_append_text(out, "data: ");
    json_writer_init(w, out);
    json_write_object_begin(w);
    write_members(w, root, ours);
    bool is_text = json_is(json_get(root, "object"), "text_completion");
    json_write_member_text(w, "object", is_text ? "text_completion" : "chat.completion.chunk");
    json_write_key(w, "choices");
    json_write_array_begin(w);
    return begin;
}

static int end_event(struct json_writer *w, struct json_value usage, struct buf *out, size_t begin)
{
    json_write_array_end(w);
    if (json_type(usage) != JSON_ABSENT)
        json_write_member_raw(w, "usage", json_raw(usage));
    json_write_object_end(w);
    // Between the members of what was printed for people there are line breaks, which would end a
    // line of the event. Within a string there is none.
    for (size_t i = begin; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    return json_write_done(w) && buf_append_text(out, "\n\n") ? 0 : -EMSGSIZE;
}

static int write_choice(struct json_value root, struct json_value choice, int64_t index,
                        struct buf *out)
{
    static const char *const ends[] = {"message", "finish_reason", "native_finish_reason",
                                       "stop_reason", NULL};
    struct json_value message = json_get(choice, "message");
    bool is_chat = json_type(message) == JSON_OBJECT;
    struct json_writer w;
    size_t begin = begin_event(&w, root, out);
    json_write_object_begin(&w);
    write_index(&w, choice, index);
    write_members(&w, choice, is_chat ? ends : NULL);
    if (is_chat) {
        write_delta(&w, message);
        json_write_member_text(&w, "finish_reason", NULL);
    }
    json_write_object_end(&w);
    return end_event(&w, JSON_VALUE_ABSENT, out, begin);
}

static int write_finish(struct json_value root, struct json_value choice, int64_t index,
                        struct buf *out)
{
    static const char *const names[] = {"finish_reason", "native_finish_reason", "stop_reason"};
    struct json_writer w;
    size_t begin = begin_event(&w, root, out);
    json_write_object_begin(&w);
    write_index(&w, choice, index);
    if (json_type(json_get(choice, "index")) != JSON_ABSENT)
        json_write_member_raw(&w, "index", json_raw(json_get(choice, "index")));
    json_write_member_raw(&w, "delta", SPAN_LITERAL("{}"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json_value why = json_get(choice, names[i]);
        if (i == 0 || json_type(why) != JSON_ABSENT)
            json_write_member_raw(&w, names[i], json_raw(why));
    }
    json_write_object_end(&w);
    return end_event(&w, JSON_VALUE_ABSENT, out, begin);
}

int reply_convert(struct span whole, bool usage, struct buf *out)
{
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, whole, NULL) < 0)
        return -EBADMSG;
    struct json_value root = json_root(&doc), choice, used = json_get(root, "usage");
    struct json_iter it = json_iter_init(json_get(root, "choices"));
    int r = 0;
    int64_t index = 0;
    for (; r == 0 && json_iter_next(&it, NULL, &choice); index++) {
        bool is_chat = json_type(json_get(choice, "message")) == JSON_OBJECT;
        if (!is_chat && json_type(json_get(choice, "text")) != JSON_STRING)
            return -EBADMSG;
        r = write_choice(root, choice, index, out);
        if (r == 0 && is_chat)
            r = write_finish(root, choice, index, out);
    }
    if (r == 0 && index == 0)
        r = -EBADMSG;
    if (r == 0 && usage && json_type(used) == JSON_OBJECT) {
        struct json_writer w;
        size_t begin = begin_event(&w, root, out);
        r = end_event(&w, used, out, begin);
    }
    return r == 0 && !buf_append_text(out, REPLY_DONE) ? -EMSGSIZE : r;
}
