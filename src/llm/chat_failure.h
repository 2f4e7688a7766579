#pragma once

#include <stdint.h>

// Families of failure, by what can be done about them: the router decides on these alone.
enum chat_failure_kind {
    CHAT_UNREACHABLE,  // no name, no connection, no TLS
    CHAT_TIMED_OUT,    // connected, and then nothing within a limit
    CHAT_INTERRUPTED,  // the reply was cut before its end
    CHAT_RATE_LIMITED, // 429
    CHAT_UNAUTHORIZED, // 401: the key
    CHAT_PAYMENT,      // 402: credits, or the key's limit
    CHAT_FORBIDDEN,    // 403: moderation, guardrail, region
    CHAT_NOT_FOUND,    // 404: model or path
    CHAT_TOO_LONG,     // the context window, or 413
    CHAT_REJECTED,     // any other 4xx: the request itself
    CHAT_OVERLOADED,   // 503, 529
    CHAT_SERVER,       // any other 5xx
    CHAT_MALFORMED,    // an answer that is not the protocol
    CHAT_EMPTY,        // an answer with nothing in it
    CHAT_TOO_LARGE,    // past one of the limits above
    CHAT_BUDGET,       // a budget of our own configuration; nobody was asked
    CHAT_EXHAUSTED,    // no descriptor or memory left on this machine; nobody was asked
};

struct chat_failure {
    enum chat_failure_kind kind;
    int status;             // of HTTP; 0 when there was none
    int64_t retry_after_ms; // what the provider asked for, or until a budget resets; -1: not said
    char text[400];         // one sentence for a person
};

// The way out for a person, to follow the sentence: "try again later, or use another model".
const char *chat_failure_advice(const struct chat_failure *failure);

// As a negated errno value: -EDQUOT is a budget, -EAGAIN what may pass by itself, -EIO the rest.
int chat_failure_code(const struct chat_failure *failure);
