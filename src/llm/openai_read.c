#include "llm/openai_read.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "llm/wire_format.h"

enum { TOOLS_MAX = 128, MESSAGES_MAX = 100 * 1000 };

void openai_asked_finish(struct openai_asked *asked)
{
    chat_history_finish(&asked->history);
    for (size_t i = 0; i < asked->text_count; i++)
        free(asked->texts[i]);
    free(asked->texts);
    free(asked->tools);
    *asked = (struct openai_asked){0};
}

static int refuse(struct json_value key, const char *where, struct error *err)
{
    struct span name = json_raw(key);
    return error_set(err, -ENOTSUP, "this model cannot be asked with %.*s%s", (int)name.len,
                     name.data, where);
}

// A text, or a list of parts that are texts; NULL stays NULL.
static int read_content(struct json_value content, char **ret_text, struct error *err)
{
    BUF_AUTO text = BUF_INIT(WIRE_REQUEST_MAX);
    struct json_iter it = json_iter_init(content);
    struct json_value part;
    enum json_type type = json_type(content);
    if (type == JSON_ABSENT || type == JSON_NULL)
        return 0;
    if (type == JSON_STRING)
        json_string(content, &text);
    while (type == JSON_ARRAY && json_iter_next(&it, NULL, &part)) {
        if (!json_is(json_get(part, "type"), "text"))
            return refuse(json_get(part, "type"), " in a message", err);
        json_string(json_get(part, "text"), &text);
    }
    *ret_text = buf_take_text(&text);
    return 0;
}

static int read_calls(struct json_value calls, struct chat_message *message, struct error *err)
{
    struct json_iter it = json_iter_init(calls);
    struct json_value call;
    while (json_iter_next(&it, NULL, &call)) {
        struct json_value function = json_get(call, "function");
        struct json_value text = json_get(function, "arguments");
        CLEANUP(mem_cleanup) char *id = json_strdup(json_get(call, "id"), CHAT_ID_MAX);
        CLEANUP(mem_cleanup) char *name = json_strdup(json_get(function, "name"), CHAT_NAME_MAX);
        CLEANUP(mem_cleanup) char *arguments = json_strdup(text, CHAT_ARGUMENTS_MAX);
        if (!id || !name || message->call_count == CHAT_CALLS_MAX)
            return error_set(err, -EBADMSG, "messages: a tool call has no id or no name");
        chat_message_add_call(message, id, name, arguments ? arguments : "{}", NULL);
    }
    return 0;
}

static int read_message(struct json_value from, struct openai_asked *asked, struct error *err)
{
    struct chat_message message = {.role = CHAT_USER};
    struct json_value role = json_get(from, "role");
    for (enum chat_role known = CHAT_SYSTEM; known <= CHAT_TOOL; known++)
        if (json_is(role, chat_role_name(known)))
            message.role = known;
    if (json_is(role, "developer"))
        message.role = CHAT_SYSTEM;
    message.call_id = json_strdup(json_get(from, "tool_call_id"), CHAT_ID_MAX);
    int r = read_content(json_get(from, "content"), &message.text, err);
    if (r == 0)
        r = read_calls(json_get(from, "tool_calls"), &message, err);
    if (r == 0 && message.role == CHAT_TOOL && !message.call_id)
        r = error_set(err, -EBADMSG, "messages: a tool's result has no tool_call_id");
    if (r == 0 && !message.text && !message.call_count)
        message.text = mem_strdup("");
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

static int read_tool(struct json_value from, struct openai_asked *asked, struct error *err)
{
    struct json_value function = json_get(from, "function");
    struct span schema = json_raw(json_get(function, "parameters"));
    char *name = json_strdup(json_get(function, "name"), CHAT_NAME_MAX);
    char *description = json_strdup(json_get(function, "description"), WIRE_REQUEST_MAX);
    struct chat_tool *tool = &asked->tools[asked->request.tool_count];
    if (!name) {
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

static int read_list(struct json_value list, size_t max, struct openai_asked *asked,
                     int (*read)(struct json_value, struct openai_asked *, struct error *),
                     struct error *err)
{
    struct json_iter it = json_iter_init(list);
    struct json_value element;
    int r = json_count(list) > max ? error_set(err, -E2BIG, "more than %zu of them", max) : 0;
    while (r == 0 && json_iter_next(&it, NULL, &element))
        r = read(element, asked, err);
    return r;
}

static int read_member(struct json_value key, struct json_value value, struct openai_asked *asked,
                       struct error *err)
{
    struct chat_request *request = &asked->request;
    if (json_type(value) == JSON_NULL || json_is(key, "stream_options") || json_is(key, "user"))
        return 0;
    if (json_is(key, "messages"))
        return read_list(value, MESSAGES_MAX, asked, read_message, err);
    if (json_is(key, "tools")) {
        asked->tools = mem_zalloc((TOOLS_MAX + 1) * sizeof *asked->tools);
        return read_list(value, TOOLS_MAX, asked, read_tool, err);
    }
    if (json_is(key, "model"))
        request->model = keep(asked, json_strdup(value, CHAT_ID_MAX));
    else if (json_is(key, "max_tokens") || json_is(key, "max_completion_tokens"))
        json_int64(value, &request->max_tokens);
    else if (json_is(key, "stream"))
        json_bool(value, &request->stream);
    else
        return refuse(key, "", err);
    return 0;
}

int openai_read_request(struct span body, struct openai_asked *ret_asked, struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_value key, value;
    *ret_asked = (struct openai_asked){0};
    int r = json_parse(&doc, body, err);
    struct json_iter it = json_iter_init(json_root(&doc));
    while (r == 0 && json_iter_next(&it, &key, &value))
        r = read_member(key, value, ret_asked, err);
    if (r == 0 && !ret_asked->request.model)
        r = error_set(err, -EBADMSG, "the request names no model");
    ret_asked->request.messages = ret_asked->history.messages;
    ret_asked->request.message_count = ret_asked->history.count;
    ret_asked->request.tools = ret_asked->tools;
    return r;
}
