#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "channels/telegram_answer.h"

struct http_file;
struct telegram;

// Private to the channel: one request to the Bot API, and what came of it.
enum {
    TELEGRAM_FIRST_BYTE_MS = 30 * 1000,
    TELEGRAM_ANSWER_MAX = 256 * 1024, // bytes of an answer that holds one message
};

typedef uint64_t telegram_call_id; // of a request; 0 is none

struct telegram_ask {
    const char *method; // of the Bot API; a literal
    struct span body;   // JSON; copied
    const char *type;   // in its place a form: the line that says so, and its parts, all as in
    const struct span *parts; // http_client.h; NULL: none
    size_t part_count;
    const struct http_file *file; // between them
    int64_t first_byte_ms;        // 0: TELEGRAM_FIRST_BYTE_MS
    size_t answer_max;            // bytes; 0: TELEGRAM_ANSWER_MAX
    bool once;                    // twice would be seen: only we may decide to repeat it
    bool long_poll;               // see http_client.h
};
typedef void telegram_answer_fn(void *context, const struct telegram_answer *answer);

// The answer comes from the loop, never from inside the call. `fn` NULL: nobody needs it.
telegram_call_id telegram_api_ask(struct telegram *telegram, const struct telegram_ask *ask,
                                  telegram_answer_fn *fn, void *context);
void telegram_api_cancel(struct telegram *telegram, telegram_call_id id); // without an answer
void telegram_api_stop(struct telegram *telegram);                        // all of them

struct telegram_place {
    const char *chat;
    const char *thread; // the topic in it; "": none
};

struct telegram_message {
    struct telegram_place place;
    const char *message_id; // of the one to edit; NULL or "": a new one
    struct span text;
    bool markup;                // the text is MarkdownV2
    struct span buttons;        // under it, as in the outbox; absent or "": none
    struct telegram_file *file; // in place of all that; or NULL
};

telegram_call_id telegram_api_message(struct telegram *telegram,
                                      const struct telegram_message *message,
                                      telegram_answer_fn *fn, void *context);
void telegram_api_typing(struct telegram *telegram, struct telegram_place place);
telegram_call_id telegram_api_react(struct telegram *telegram, const char *chat,
                                    const char *message_id, const char *emoji, // "": none
                                    telegram_answer_fn *fn, void *context);
void telegram_api_confirm(struct telegram *telegram, const char *press); // of a button
telegram_call_id telegram_api_keyboard(struct telegram *telegram, struct telegram_place place,
                                       const char *message_id, struct span rows,
                                       telegram_answer_fn *fn, void *context);
void telegram_api_count_poll(struct telegram *telegram, enum telegram_outcome outcome);

enum telegram_sent {
    TELEGRAM_SENT_MESSAGE,
    TELEGRAM_SENT_EDIT,
    TELEGRAM_SENT_PHOTO,
    TELEGRAM_SENT_DOCUMENT,
};
void telegram_api_count_send(struct telegram *telegram, enum telegram_sent sent,
                             enum telegram_outcome outcome);
