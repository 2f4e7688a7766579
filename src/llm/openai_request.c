#include "llm/openai_request.h"

#include <errno.h>
#include <string.h>

#include "codec/json_write.h"
#include "llm/openai_extra.h"
#include "llm/openai_parts.h"

/*
 * Servers refuse a history whose arguments are not JSON (and some, one where they are not an
 * object), although it was a model that wrote them; the tool's result has told the model already.
 */
static void write_arguments(struct json_writer *w, const char *arguments)
{
    JSON_AUTO doc = JSON_INIT;
    bool valid = json_parse(&doc, span_of(arguments), NULL) == 0 &&
                 json_type(json_root(&doc)) == JSON_OBJECT;
    json_write_member_text(w, "arguments", valid ? arguments : "{}");
}

/*
 * A model may call what no tool is called ("read file/now!"); it hears of that in the result, but
 * servers refuse a history with such a name: [a-zA-Z0-9_-], 1 to 64 of them.
 */
static void write_name(struct json_writer *w, const char *name)
{
    char allowed[64 + 1];
    size_t n = 0;
    for (; name[n] && n < sizeof allowed - 1; n++) {
        bool ok = (name[n] >= 'a' && name[n] <= 'z') || (name[n] >= 'A' && name[n] <= 'Z') ||
                  (name[n] >= '0' && name[n] <= '9') || name[n] == '_' || name[n] == '-';
        allowed[n] = ok ? name[n] : '_';
    }
    allowed[n] = '\0';
    json_write_member_text(w, "name", n ? allowed : "unnamed");
}

static void write_calls(struct json_writer *w, const struct chat_message *message, bool extra)
{
    json_write_key(w, "tool_calls");
    json_write_array_begin(w);
    for (size_t i = 0; i < message->call_count; i++) {
        const struct chat_call *call = &message->calls[i];
        json_write_object_begin(w);
        json_write_member_text(w, "id", call->id);
        json_write_member_text(w, "type", "function");
        json_write_key(w, "function");
        json_write_object_begin(w);
        write_name(w, call->name);
        write_arguments(w, call->arguments);
        json_write_object_end(w);
        openai_extra_write(w, extra ? call->extra : NULL);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

// What is said, and as parts behind it what else a user's message has.
static void write_content(struct json_writer *w, const struct chat_message *message, unsigned media)
{
    BUF_AUTO text = BUF_INIT(CHAT_TEXT_MAX);
    buf_append_text(&text, message->text ? message->text : "");
    openai_parts_tell(message, media, &text);
    json_write_key(w, "content");
    if (message->role == CHAT_TOOL || !openai_parts_any(message, media)) {
        json_write_string(w, buf_span(&text));
        return;
    }
    json_write_array_begin(w);
    json_write_object_begin(w);
    json_write_member_text(w, "type", "text");
    json_write_member_string(w, "text", buf_span(&text));
    json_write_object_end(w);
    openai_parts_write(w, message, media);
    json_write_array_end(w);
}

// Results of tools hold text alone: what else they have comes behind the last of them.
static void write_shown(struct json_writer *w, const struct chat_message *messages, size_t end,
                        unsigned media)
{
    size_t first = end;
    bool any = false;
    for (; first > 0 && messages[first - 1].role == CHAT_TOOL; first--)
        any = any || openai_parts_any(&messages[first - 1], media);
    if (!any)
        return;
    json_write_object_begin(w);
    json_write_member_text(w, "role", "user");
    json_write_key(w, "content");
    json_write_array_begin(w);
    for (; first < end; first++)
        openai_parts_write(w, &messages[first], media);
    json_write_array_end(w);
    json_write_object_end(w);
}

static void write_message(struct json_writer *w, const struct chat_message *message,
                          const char *writer, unsigned media)
{
    bool extra = !writer || !message->writer || strcmp(writer, message->writer) == 0;
    json_write_object_begin(w);
    json_write_member_text(w, "role", chat_role_name(message->role));
    if (message->call_id)
        json_write_member_text(w, "tool_call_id", message->call_id);
    // Some servers want the key to be there even when an assistant only called tools.
    if (message->parts.count)
        write_content(w, message, media);
    else
        json_write_member_text(w, "content",
                               message->text || message->call_count ? message->text : "");
    if (message->call_count) {
        write_calls(w, message, extra);
        openai_extra_write(w, extra ? message->extra : NULL);
    }
    json_write_object_end(w);
}

static void write_tool(struct json_writer *w, const struct chat_tool *tool)
{
    json_write_object_begin(w);
    json_write_member_text(w, "type", "function");
    json_write_key(w, "function");
    json_write_object_begin(w);
    json_write_member_text(w, "name", tool->name);
    json_write_member_text(w, "description", tool->description);
    json_write_member_raw(w, "parameters", span_of(tool->parameters));
    json_write_object_end(w);
    json_write_object_end(w);
}

int openai_write_request(const struct chat_request *request, struct buf *out, struct error *err)
{
    struct json_writer w;
    unsigned media = request->media | request->media_sure;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "model", request->model);
    json_write_key(&w, "messages");
    json_write_array_begin(&w);
    for (size_t i = 0, n = request->message_count; i < n; i++) {
        write_message(&w, &request->messages[i], request->writer, media);
        if (i + 1 == n || request->messages[i + 1].role != CHAT_TOOL)
            write_shown(&w, request->messages, i + 1, media);
    }
    json_write_array_end(&w);
    if (request->tool_count) {
        json_write_key(&w, "tools");
        json_write_array_begin(&w);
        for (size_t i = 0; i < request->tool_count; i++)
            write_tool(&w, &request->tools[i]);
        json_write_array_end(&w);
    }
    if (request->max_tokens > 0)
        json_write_member_int(&w, "max_tokens", request->max_tokens);
    if (request->stream) {
        json_write_member_bool(&w, "stream", true);
        json_write_member_raw(&w, "stream_options", SPAN_LITERAL("{\"include_usage\":true}"));
    }
    openai_extra_write(&w, request->params);
    json_write_object_end(&w);
    if (!json_write_done(&w))
        return error_set(err, -E2BIG, "the conversation is larger than %zu MiB", out->max >> 20);
    return 0;
}
