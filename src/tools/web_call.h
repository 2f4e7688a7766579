#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct address_guard;
struct http_client;
struct loop;

// A request to a server for a tool, and all of its answer. The guard must stay until its end, and
// so must the headers where redirects are followed.
struct web_call;

enum {
    WEB_TIME_MAX_MS = 30 * 1000, // with all redirects
    WEB_TYPE_MAX = 256,          // bytes of a Content-Type
};

struct web_call_spec {
    struct http_client *http;
    struct loop *loop;
    const char *method;
    const char *url;
    const char *const *headers;        // "Name: value", up to NULL; or NULL
    struct span body;                  // copied
    const struct address_guard *guard; // of every hop; NULL: none
    unsigned redirects;                // that are followed
    size_t body_max;                   // bytes; what comes then is not read
    bool (*wants)(struct span type);   // of a Content-Type; NULL: any
};

struct web_answer {
    int status;
    char *url;      // that gave it, behind all redirects
    char *type;     // "" when it was not said
    char *location; // of a redirect that was not followed; NULL: none
    int64_t length; // bytes that were announced; -1: none were
    struct buf body;
    bool cut;      // there is more of it
    bool unwanted; // of a type that was not wanted, so not read
};

// From the loop, once: an answer, or err->code is negative. The call is gone when it returns.
typedef void web_call_fn(void *context, const struct web_answer *answer, const struct error *err);

int web_call_start(const struct web_call_spec *spec, web_call_fn *fn, void *context,
                   struct web_call **ret_call, struct error *err);
void web_call_cancel(struct web_call *call); // accepts NULL; no callback comes after this
