#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/sha256.h"
#include "llm/chat.h"

/*
 * What a turn reports while it runs, to whoever shows its answer: a channel, the console, a client
 * of the control socket. One kind of event, one function that takes it; turn_event_json.h is its
 * form on the wire.
 */
enum turn_state {
    TURN_QUEUED,
    TURN_PROMPT,
    TURN_MODEL,
    TURN_TOOLS,
    TURN_WAITING, // for somebody's approval, in the store alone; it goes on as another turn_id
    TURN_DONE,
    TURN_FAILED,
    TURN_CANCELLED,
};

struct turn_question { // that a turn waits for; answered by "/approve CODE" or "/deny CODE"
    char code[9], hash[SHA256_HEX_SIZE]; // the hash is of name and arguments
    char *name, *arguments;
    char *asks;         // what the model wants to know, with choices; NULL: may the call run?
    char *why;          // it is asked, for people; "": its tool asks always
    char *files;        // as they are now, for tools/file_prints.h; NULL: it names none
    int ordinal;        // of the call
    int64_t expires_ms; // wall clock; 0: not known
};

struct turn_outcome {      // borrowed; lives during the call
    bool begun;            // false: the message could not be written down, and nothing was done
    enum turn_state state; // one of the last four
    const char *text;      // the whole answer when done; what there was of it when not; "" is none
    const char *error;     // a sentence, when failed
    int code;              // and of which kind; 0 when not
    const char *remark;    // something the user should know besides, or ""
    struct chat_usage usage; // of the whole turn; -1 where nothing was said
    int iterations;          // calls to the model
    bool refused;            // it was a command, and the text says why that could not be done
    const int64_t *unheard;  // messages that were steered in and that the model never read
    size_t unheard_count;
    const struct turn_question *questions; // when it waits
    size_t question_count;
};

enum turn_event_kind {
    TURN_EVENT_BEGIN,  // first: the turn runs, or goes on; somebody who waits is not told of it
    TURN_EVENT_WAIT,   // nothing happens for a while; what follows takes the sentence's place
    TURN_EVENT_STEP,   // the model is asked again: the text begins anew
    TURN_EVENT_TEXT,   // more of the answer
    TURN_EVENT_CALL,   // a tool begins
    TURN_EVENT_RESULT, // and has ended
    TURN_EVENT_END,    // last, exactly once
};

struct turn_event { // borrowed; lives during the call
    enum turn_event_kind kind;
    const char *turn;      // its id from the channel to the ledger; "" where there is no turn
    const char *channel;   // that delivers the answer; NULL: none does
    const char *chat;      // of that channel; "": it has only one
    const char *thread;    // of the chat, such as a forum's topic; "": none
    const char *sentence;  // WAIT: why
    struct span text;      // TEXT: UTF-8, whole characters; RESULT: the tool's
    const char *name;      // CALL, RESULT: the tool's
    const char *call_id;   // CALL, RESULT: by which the model tells its calls apart
    const char *arguments; // CALL: JSON as the model wrote it
    bool failed;           // RESULT
    const struct turn_outcome *outcome; // END
};

// From the loop, never from inside the call that begins a turn.
typedef void turn_event_fn(void *context, const struct turn_event *event);
