#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * What is changed in a reply on its way: nothing inside an event, ever. Pieces of what came are
 * handed on or left out, and something may be put behind them.
 *
 * `model` is not restamped to the name that the client asked for, as LiteLLM does where no fallback
 * happened: the answer names the model that really answered, which is what the upstream wrote.
 */
#define REPLY_DONE "data: [DONE]\n\n"    // the end of a stream that is made here
#define REPLY_KEEP_ALIVE ": waiting\n\n" // a comment for a client while the reply is held

/*
 * LiteLLM's error: {"error":{"message":"litellm.RateLimitError: ...","type":...,"param":...,
 * "code":"429"}}. The code is the HTTP status as a string, in a stream as well.
 */
struct error_body {      // borrowed
    const char *name;    // LiteLLM's exception class, put before the message; NULL: none
    struct span message; // any bytes; what is no UTF-8 becomes U+FFFD
    const char *type;    // "invalid_request_error", "None", ...; NULL: null
    const char *param;   // NULL: null
    int status;
};

enum { ERROR_BODY_MAX = 64 * 1024 }; // bytes of a message that are told; the rest is cut

// Appends the object; all or nothing, false when it does not fit.
bool error_body_write(struct buf *out, const struct error_body *error);

// The end of a stream that went wrong after it had begun: `data: {"error":{...}}`, and no [DONE]
// after it. `torn`: half an event was passed on before, which is ended first.
bool reply_edit_error(struct buf *out, const struct error_body *error, bool torn);
