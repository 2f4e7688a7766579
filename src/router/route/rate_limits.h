#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/*
 * What a provider's headers say of its own limits: x-ratelimit-{remaining,reset}-{requests,tokens}
 * (OpenAI, Groq, DeepSeek), x-ratelimit-{remaining,reset} (OpenRouter), anthropic-ratelimit-...;
 * retry-after, retry-after-ms. Instants are monotonic milliseconds of this process, -1: not said.
 */
enum { ROUTER_RATE_RESET_MAX_MS = 3600000 }; // a reset farther away is not believed

struct router_rate_limits {
    int64_t remaining_requests, remaining_tokens;
    int64_t requests_reset_ms, tokens_reset_ms; // instants
    int64_t retry_after_ms;                     // a duration
};

#define ROUTER_RATE_LIMITS_INIT ((struct router_rate_limits){-1, -1, -1, -1, -1})

// Takes one header in, names in any case; false when it is none of these or says nothing readable.
// When a limit resets may be said as "6m0s", "1.5s", "120ms" (OpenAI), seconds, an instant in
// seconds or in milliseconds since 1970, "2026-01-31T10:00:00Z" (Anthropic), "Sat, 31 Jan 2026
// 10:00:00 GMT" (RFC 9110 §10.2.3).
bool router_rate_limits_read(struct router_rate_limits *limits, struct span name, struct span value,
                             int64_t now_ms, int64_t wall_now_ms);

// When it asks to be left alone until, because of a 429 or of nothing remaining: the latest of
// Retry-After and the resets of what is used up, as a duration; -1: it does not.
int64_t router_rate_limits_retry_after(const struct router_rate_limits *limits, int64_t now_ms);
