#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum { PROBE_LIMIT_MS = 15 * 1000, PROBE_BODY_MAX = 64 * 1024 /* bytes that are kept */ };

struct probe_answer {
    int status;         // 0: there was none, and `error` says why
    int64_t skew_s;     // our clock minus theirs; 0 when they did not say
    struct buf body;    // of it the first PROBE_BODY_MAX
    struct error error; // may quote the URL
};

// One GET with a loop of its own, waited for. `headers` as in struct http_request; `ca_file` NULL:
// the built-in roots. The body is the caller's to buf_finish().
void probe_get(const char *url, const char *const *headers, const char *ca_file, int64_t connect_ms,
               struct probe_answer *ret_answer);
