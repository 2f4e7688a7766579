#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

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
