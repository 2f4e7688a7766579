#include "llm/openai_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "llm/openai_extra.h"
#include "llm/openai_parts.h"
#include "llm/wire_format.h"

enum { TOOLS_MAX = 128, MESSAGES_MAX = 100 * 1000 };

void openai_asked_finish(struct openai_asked *asked)
{
    chat_history_finish(&asked->history);
    for (size_t i = 0; i < asked->text_count; i++)
        free(asked->texts[i]);
    free(asked->texts);
    free(asked->tools);
    buf_finish(&asked->params);
    *asked = (struct openai_asked){0};
}

static int refuse(struct json_value key, const char *where, struct error *err)
{
    struct span name = json_raw(key);
    return error_set(err, -ENOTSUP, "this model cannot be asked with %.*s%s", (int)name.len,
                     name.data, where);
}

// Texts are C strings from here on: a NUL would hide what follows it.
static int read_text(struct json_value value, struct buf *text, struct error *err)
{
    if (json_string(value, text) && !(text->len && memchr(text->data, '\0', text->len)))
        return 0;
    return error_set(err, -EBADMSG, "messages: a content is no text, or holds a U+0000");
}

// A text, or a list of parts: texts, images, sound; NULL stays NULL.
static int read_content(struct json_value content, struct chat_message *message, struct error *err)
{
    BUF_AUTO text = BUF_INIT(WIRE_REQUEST_MAX);
    struct json_iter it = json_iter_init(content);
    struct json_value part;
    if (json_type(content) == JSON_ABSENT || json_type(content) == JSON_NULL)
        return 0;
    int r = json_type(content) == JSON_ARRAY ? 0 : read_text(content, &text, err);
    while (r == 0 && json_type(content) == JSON_ARRAY && json_iter_next(&it, NULL, &part)) {
        struct json_value type = json_get(part, "type");
        if (json_is(type, "image_url") || json_is(type, "input_audio"))
            r = openai_part_read(part, message, err);
        else if (json_is(type, "text"))
            r = read_text(json_get(part, "text"), &text, err);
        else
            return refuse(type, " in a message", err);
    }
    if (r == 0)
        message->text = buf_take_text(&text);
    return r;
}

static int read_list(struct json_value list, size_t max, void *into,
                     int (*read)(struct json_value, void *into, struct error *), struct error *err)
{
    struct json_iter it = json_iter_init(list);
    struct json_value element;
    int r = json_count(list) > max ? error_set(err, -E2BIG, "more than %zu of them", max) : 0;
    if (json_type(list) != JSON_ARRAY)
        r = error_set(err, -EBADMSG, "messages, tools and tool_calls must be lists");
    while (r == 0 && json_iter_next(&it, NULL, &element))
        r = read(element, into, err);
    return r;
}

static int read_call(struct json_value call, void *into, struct error *err)
{
    struct json_value type = json_get(call, "type"), function = json_get(call, "function");
    struct json_value said = json_get(function, "arguments");
    bool none = json_type(said) == JSON_ABSENT || json_type(said) == JSON_NULL;
    CLEANUP(mem_cleanup) char *id = json_strdup(json_get(call, "id"), CHAT_ID_MAX);
    CLEANUP(mem_cleanup) char *name = json_strdup(json_get(function, "name"), CHAT_NAME_MAX);
    CLEANUP(mem_cleanup)
    char *arguments = none ? mem_strdup("{}") : json_strdup(said, CHAT_ARGUMENTS_MAX);
    BUF_AUTO extra = BUF_INIT(CHAT_EXTRA_MAX);
    if (json_type(type) == JSON_STRING && !json_is(type, "function"))
        return refuse(type, " as a tool call", err);
    if (!id || !name || !arguments)
        return error_set(err, -EBADMSG,
                         "messages: a tool call has no id, no name, or no text of arguments");
    openai_extra_add_call(call, &extra);
    if (buf_is_full(&extra))
        return error_set(err, -E2BIG, "messages: a tool call is too large");
    chat_message_add_call(into, id, name, arguments, extra.len ? buf_text(&extra) : NULL);
    return 0;
}

static int read_role(struct json_value role, enum chat_role *ret_role, struct error *err)
{
    *ret_role = CHAT_SYSTEM;
    if (json_is(role, "developer"))
        return 0;
    for (; *ret_role <= CHAT_TOOL; ++*ret_role)
        if (json_is(role, chat_role_name(*ret_role)))
            return 0;
    return error_set(err, -EBADMSG,
                     "messages: a role is none of system, developer, user, assistant, tool");
}

// The members that a server attached to its answer are for itself; of others nothing may be left
// out.
static int read_message_member(struct json_value key, struct json_value value,
                               struct chat_message *message, struct buf *extra, struct error *err)
{
    if (json_type(value) == JSON_NULL || json_is(key, "role"))
        return 0;
    if ((json_is(key, "content") && message->text) ||
        (json_is(key, "tool_calls") && message->call_count))
        return error_set(err, -EBADMSG, "messages: content or tool_calls occur twice in one");
    if (json_is(key, "content"))
        return read_content(value, message, err);
    if (json_is(key, "tool_calls"))
        return read_list(value, CHAT_CALLS_MAX, message, read_call, err);
    if (json_is(key, "tool_call_id")) {
        free(message->call_id);
        message->call_id = json_strdup(value, CHAT_ID_MAX);
        return 0;
    }
    if (message->role != CHAT_ASSISTANT || json_is(key, "function_call") || json_is(key, "audio") ||
        json_is(key, "name"))
        return refuse(key, " in a message", err);
    openai_extra_add(key, value, extra);
    return buf_is_full(extra) ? error_set(err, -E2BIG, "messages: one is too large") : 0;
}

static int read_message(struct json_value from, void *into, struct error *err)
{
    struct openai_asked *asked = into;
    struct chat_message message = {0};
    struct json_iter it = json_iter_init(from);
    struct json_value key, value;
    BUF_AUTO extra = BUF_INIT(CHAT_EXTRA_MAX);
    int r = read_role(json_get(from, "role"), &message.role, err);
    while (r == 0 && json_iter_next(&it, &key, &value))
        r = read_message_member(key, value, &message, &extra, err);
    if (r == 0 && message.role == CHAT_TOOL && !message.call_id)
        r = error_set(err, -EBADMSG, "messages: a tool's result has no tool_call_id");
    if (r == 0 && !message.text && !message.call_count)
        message.text = mem_strdup("");
    if (extra.len)
        message.extra = buf_take_text(&extra);
    if (r == 0)
        chat_history_append(&asked->history, &message);
    chat_message_finish(&message);
    return r;
}

static const char *keep(struct openai_asked *asked, char *text)
{
    asked->texts = mem_realloc(asked->texts, (asked->text_count + 1) * sizeof *asked->texts);
    return asked->texts[asked->text_count++] = text;
}

static int read_tool(struct json_value from, void *into, struct error *err)
{
    struct openai_asked *asked = into;
    struct json_value type = json_get(from, "type"), function = json_get(from, "function");
    struct span schema = json_raw(json_get(function, "parameters"));
    char *name = json_strdup(json_get(function, "name"), CHAT_NAME_MAX);
    char *description = json_strdup(json_get(function, "description"), WIRE_REQUEST_MAX);
    struct chat_tool *tool = &asked->tools[asked->request.tool_count];
    if (!name || (json_type(type) == JSON_STRING && !json_is(type, "function"))) {
        free(name);
        free(description);
        return error_set(err, -EBADMSG, "tools: one is no function with a name");
    }
    tool->name = keep(asked, name);
    tool->description = keep(asked, description ? description : mem_strdup(""));
    tool->parameters = keep(asked, schema.len ? mem_strndup(schema.data, schema.len)
                                              : mem_strdup("{\"type\":\"object\"}"));
    asked->request.tool_count++;
    return 0;
}

// A bound of 0 or less means none; 1e3 is a thousand.
static int read_bound(struct json_value key, struct json_value value, int64_t *ret_tokens,
                      struct error *err)
{
    enum { DIGITS = 3, UNIT = 1000 };
    int64_t fixed = 0;
    if (!json_fixed(value, DIGITS, &fixed) || fixed % UNIT)
        return refuse(key, " that is no whole number", err);
    *ret_tokens = fixed > 0 ? fixed / UNIT : 0;
    return 0;
}

static bool is_param(struct json_value params, struct json_value key)
{
    struct json_iter it = json_iter_init(params);
    struct json_value name, value;
    while (json_iter_next(&it, &name, &value))
        if (span_equal(json_raw(name), json_raw(key)))
            return true;
    return false;
}

static int read_member(struct json_value key, struct json_value value, struct json_value params,
                       struct openai_asked *asked, struct error *err)
{
    struct chat_request *request = &asked->request;
    if (json_type(value) == JSON_NULL || json_is(key, "stream_options") || json_is(key, "user"))
        return 0;
    if ((json_is(key, "messages") && asked->history.count) ||
        (json_is(key, "tools") && asked->tools))
        return error_set(err, -EBADMSG, "messages or tools occur twice");
    if (json_is(key, "messages"))
        return read_list(value, MESSAGES_MAX, asked, read_message, err);
    if (json_is(key, "tools")) {
        asked->tools = mem_zalloc((TOOLS_MAX + 1) * sizeof *asked->tools);
        return read_list(value, TOOLS_MAX, asked, read_tool, err);
    }
    if (json_is(key, "max_tokens") || json_is(key, "max_completion_tokens"))
        return read_bound(key, value, &request->max_tokens, err);
    if (json_is(key, "model"))
        request->model = keep(asked, json_strdup(value, CHAT_ID_MAX));
    else if (json_is(key, "stream"))
        json_bool(value, &request->stream);
    else if (is_param(params, key))
        openai_extra_add(key, value, &asked->params);
    else
        return refuse(key, "", err);
    return 0;
}

int openai_read_request(struct span body, struct span params, struct openai_asked *ret_asked,
                        struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    JSON_AUTO owner = JSON_INIT;
    struct json_value key, value;
    *ret_asked = (struct openai_asked){.params = BUF_INIT(WIRE_REQUEST_MAX)};
    int r = params.len ? json_parse(&owner, params, err) : 0;
    if (r == 0)
        r = json_parse(&doc, body, err);
    struct json_iter it = json_iter_init(json_root(&doc));
    while (r == 0 && json_iter_next(&it, &key, &value))
        r = read_member(key, value, json_root(&owner), ret_asked, err);
    if (r == 0 && !ret_asked->request.model)
        r = error_set(err, -EBADMSG, "the request names no model");
    ret_asked->request.media_sure = CHAT_IMAGES | CHAT_SOUND; // who asks knows the model
    ret_asked->request.params = buf_text(&ret_asked->params);
    ret_asked->request.messages = ret_asked->history.messages;
    ret_asked->request.message_count = ret_asked->history.count;
    ret_asked->request.tools = ret_asked->tools;
    return r;
}
