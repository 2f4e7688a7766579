#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "codec/json.h"
#include "net/http_client.h"

/*
 * What an answer of the Bot API means for whoever asked: pure, so that every refusal that was ever
 * seen can be replayed. The words are the server's descriptions, because it has no finer codes.
 */
enum telegram_outcome {
    TELEGRAM_OK,
    TELEGRAM_UNREACHABLE,  // the request never left
    TELEGRAM_UNKNOWN,      // it left, and no readable answer came back: it may have been obeyed
    TELEGRAM_UNAVAILABLE,  // the server says that it cannot, or somebody in between does
    TELEGRAM_LIMITED,      // 429
    TELEGRAM_UNAUTHORIZED, // the token is not known
    TELEGRAM_CONFLICT,     // somebody else asks for this bot's updates
    TELEGRAM_WEBHOOK,      // the updates go to a webhook
    TELEGRAM_UNCHANGED,    // an edit that changes nothing
    TELEGRAM_NO_MESSAGE,   // the message to edit is gone, or cannot be edited
    TELEGRAM_BAD_MARKUP,
    TELEGRAM_TOO_LONG,
    TELEGRAM_NO_THREAD, // the topic was deleted
    TELEGRAM_NO_CHAT,   // blocked, deleted, never begun
    TELEGRAM_NO_FILE,   // what was to be sent could not be read to its end
    TELEGRAM_REFUSED,   // everything else that the server will say again
};

enum {
    TELEGRAM_ANSWER_TEXT_MAX = 320,             // bytes of a sentence
    TELEGRAM_RETRY_AFTER_MAX_MS = 24 * 3600000, // what a server may ask for
};

struct telegram_answer {
    enum telegram_outcome outcome;
    bool oversized;                      // it was longer than the caller wanted to read
    int64_t retry_after_ms;              // of TELEGRAM_LIMITED
    struct json_value result;            // of TELEGRAM_OK; lives during the call
    char text[TELEGRAM_ANSWER_TEXT_MAX]; // what went wrong, for a person; "" when nothing did
};

// An answer that came whole. `doc` holds what `result` points into.
void telegram_answer_read(int status, struct span body, struct json *doc,
                          struct telegram_answer *ret_answer);

// None came, or not all of it. `connecting`: time ran out before there was a connection.
void telegram_answer_lost(enum http_failure failure, bool connecting, const char *sentence,
                          struct telegram_answer *ret_answer);

// A server may quote what it was asked for, and the token is part of that.
void telegram_redact(char *text, const char *token);

// Outcomes as they are counted.
enum telegram_result {
    TELEGRAM_RESULT_REFUSED,
    TELEGRAM_RESULT_OK,
    TELEGRAM_RESULT_UNAVAILABLE,
    TELEGRAM_RESULT_LIMITED,
    TELEGRAM_RESULT_UNAUTHORIZED,
    TELEGRAM_RESULT_CONFLICT,
    TELEGRAM_RESULTS,
};
enum telegram_result telegram_result_of(enum telegram_outcome outcome);
