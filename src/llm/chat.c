#include "llm/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *chat_role_name(enum chat_role role)
{
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    return names[role];
}

void chat_message_finish(struct chat_message *message)
{
    for (size_t i = 0; i < message->call_count; i++) {
        free(message->calls[i].id);
        free(message->calls[i].name);
        free(message->calls[i].arguments);
        free(message->calls[i].extra);
    }
    free(message->calls);
    chat_parts_finish(&message->parts);
    free(message->text);
    free(message->call_id);
    free(message->extra);
    free(message->writer);
    *message = (struct chat_message){0};
}

bool chat_message_has_extra(const struct chat_message *message)
{
    bool any = message->extra != NULL;
    for (size_t i = 0; i < message->call_count; i++)
        any |= message->calls[i].extra != NULL;
    return any;
}

void chat_message_add_call(struct chat_message *message, const char *id, const char *name,
                           const char *arguments, const char *extra)
{
    message->calls =
        mem_realloc(message->calls, (message->call_count + 1) * sizeof *message->calls);
    message->calls[message->call_count++] = (struct chat_call){
        .id = mem_strdup(id),
        .name = mem_strdup(name),
        .arguments = mem_strdup(arguments),
        .extra = extra ? mem_strdup(extra) : NULL,
    };
}

void chat_history_truncate(struct chat_history *history, size_t count)
{
    while (history->count > count)
        chat_message_finish(&history->messages[--history->count]);
}

void chat_history_finish(struct chat_history *history)
{
    chat_history_truncate(history, 0);
    free(history->messages);
    *history = (struct chat_history){0};
}

void chat_history_append(struct chat_history *history, struct chat_message *message)
{
    history->messages =
        mem_grow(history->messages, history->count, &history->capacity, sizeof *history->messages);
    history->messages[history->count++] = *message;
    *message = (struct chat_message){0};
}

void chat_history_append_text(struct chat_history *history, enum chat_role role, const char *text)
{
    struct chat_message message = {.role = role, .text = mem_strdup(text)};
    chat_history_append(history, &message);
}

void chat_history_append_result(struct chat_history *history, const char *call_id, const char *text,
                                bool tainted)
{
    struct chat_message message = {.role = CHAT_TOOL,
                                   .text = mem_strdup(text),
                                   .call_id = mem_strdup(call_id),
                                   .tainted = tainted};
    chat_history_append(history, &message);
}

void chat_reply_finish(struct chat_reply *reply)
{
    chat_message_finish(&reply->message);
    free(reply->model);
    free(reply->notice);
    reply->model = reply->notice = NULL;
}
