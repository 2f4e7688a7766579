#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/http_client.h"

// One HTTP request with a loop of its own, waited for.
struct fetch {
    struct loop *loop;
    struct buf *body;          // what the answer is appended to; too much of it is HTTP_STOPPED
    int status;                // 0: there was no answer
    int64_t skew_s;            // our clock minus theirs; 0 when they did not say
    enum http_failure failure; // HTTP_EXHAUSTED also when it could not be asked at all
    struct error err;          // of the failure; may quote the URL
};

// `ca_file` NULL: the built-in roots.
struct fetch fetch_run(const struct http_request *request, const char *ca_file, struct buf *body);
