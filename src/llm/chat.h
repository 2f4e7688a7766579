#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "llm/chat_failure.h"
#include "llm/chat_part.h"
#include "llm/origin.h"

/*
 * The neutral chat model: what the agent says to any language model and hears from it. Wire
 * formats are translated to and from this, one file each. Everything here owns its memory;
 * tool arguments are the model's own bytes, never re-printed, so that 64-bit numbers survive.
 */

enum {
    CHAT_TEXT_MAX = 12 * 1024 * 1024,     // bytes of text in one reply
    CHAT_ARGUMENTS_MAX = 4 * 1024 * 1024, // bytes of arguments of one tool call
    CHAT_CALLS_MAX = 64,                  // tool calls in one reply
    CHAT_NAME_MAX = 128,                  // bytes of a tool's name
    CHAT_ID_MAX = 16 * 1024,              // bytes of a call's id, in which some hide more
    CHAT_EXTRA_MAX = 4 * 1024 * 1024,     // bytes of what a provider wants back
};

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL };

const char *chat_role_name(enum chat_role role); // "system", "user", "assistant", "tool"

struct chat_call {
    char *id;
    char *name;
    char *arguments; // JSON text as the model wrote it, which may be wrong
    char *extra;     // see struct chat_message
};

struct chat_message {
    enum chat_role role;
    char *text;              // NULL is none
    struct chat_call *calls; // of an assistant message
    size_t call_count;
    char *call_id; // of a tool message: which call it answers
    // Extras that the provider wants to see again with a message or a call that asks for tools
    // (DeepSeek's reasoning_content, Gemini's thought signatures, OpenRouter's reasoning_details):
    // members of its own wire format, `"name":value,...`, which nobody else looks into. NULL is
    // none.
    char *extra;
    char *writer; // of one with extras: the model that was asked, as no other one gets them
    struct chat_parts parts; // behind the text
    bool tainted;            // came of text that nobody vouches for
    bool summary;            // stands in the place of earlier messages
    bool unstored;           // no row of the store is this message
    int64_t at_ms;           // wall clock; 0: not known
};

void chat_message_finish(struct chat_message *message);          // accepts zeroed
bool chat_message_has_extra(const struct chat_message *message); // or a call of it has
// `extra` may be NULL. The strings are copied.
void chat_message_add_call(struct chat_message *message, const char *id, const char *name,
                           const char *arguments, const char *extra);

// A growing conversation. Messages are owned and, once appended, never change.
struct chat_history {
    struct chat_message *messages;
    size_t count, capacity;
};

void chat_history_finish(struct chat_history *history);
void chat_history_truncate(struct chat_history *history, size_t count);

// Takes the message over and leaves *message zeroed.
void chat_history_append(struct chat_history *history, struct chat_message *message);
void chat_history_append_text(struct chat_history *history, enum chat_role role, const char *text);
void chat_history_append_result(struct chat_history *history, const char *call_id, const char *text,
                                bool tainted);

struct chat_tool { // borrowed strings
    const char *name, *description;
    const char *parameters; // a JSON Schema object
};

struct chat_request { // borrowed; valid during the call that takes it
    struct chat_origin origin;
    const char *model;  // NULL: that of origin.slot
    const char *writer; // the same, as messages name it; NULL: every `extra` is sent
    const struct chat_message *messages;
    const struct chat_tool *tools;
    size_t message_count, tool_count;
    int64_t max_tokens; // 0: the provider's default
    bool stream;
    unsigned media;      // CHAT_IMAGES, CHAT_SOUND: sent to whichever model takes it
    unsigned media_sure; // sent to any model
    const char *params;  // further members in the server's own wire format, as in `extra`; or NULL
};

enum chat_finish {
    CHAT_FINISH_UNKNOWN, // the reply ended without saying why
    CHAT_FINISH_STOP,
    CHAT_FINISH_LENGTH,
    CHAT_FINISH_TOOL_CALLS,
    CHAT_FINISH_CONTENT_FILTER,
};

struct chat_usage { // as the provider counted; -1 is "not said"
    int64_t prompt_tokens, completion_tokens;
    int64_t cached_tokens, cache_write_tokens; // parts of the prompt's
    int64_t reasoning_tokens;                  // a part of the completion's
    int64_t cost_pico;                         // codec/money.h
};

#define CHAT_USAGE_UNKNOWN     \
    {                          \
        -1, -1, -1, -1, -1, -1 \
    }

struct chat_reply {
    struct chat_message message; // role assistant
    enum chat_finish finish;
    struct chat_usage usage;
    char *model;  // that really answered, or NULL
    char *notice; // for the user, beside the answer (provider.h: end_work); NULL: none
};

void chat_reply_finish(struct chat_reply *reply);

/*
 * Where a reply goes. Callbacks come from the loop, never from inside chat_provider_start(); the
 * last one is on_reply or on_failure, exactly once unless the call is cancelled.
 */
struct chat_sink {
    void (*on_text)(void *context, struct span delta);         // UTF-8, whole characters
    void (*on_reasoning)(void *context, struct span delta);    // may be NULL
    void (*on_reply)(void *context, struct chat_reply *reply); // may be emptied by the callee
    void (*on_failure)(void *context, const struct chat_failure *failure);
    // Before all others: it waits for some time already, at this place of a queue. May be NULL.
    void (*on_wait)(void *context, size_t place);
};
