#pragma once

#include <stdbool.h>

#include "base/span.h"

struct buf;
struct http_exchange;
struct metrics;
struct router;

// What the router's listener answers by itself: its health, its models, its errors. `path` is
// without "/v1".

// The two probes, which want no key. False: it is none of them, and was not answered.
bool router_pages_open(struct http_exchange *exchange, struct span path,
                       const struct router *router);

// All others; LiteLLM's 404 for what is not there.
void router_pages_answer(struct http_exchange *exchange, struct span path, struct router *router,
                         const struct metrics *metrics);

// LiteLLM's shape. `name` is the exception's class, or NULL; `type` may be NULL.
void router_pages_error(struct http_exchange *exchange, unsigned status, const char *name,
                        const char *message, const char *type);
// The same for what was refused before there was an exchange to speak of; the content type.
const char *router_pages_refusal(unsigned status, const char *message, struct buf *body);
void router_pages_no_key(struct http_exchange *exchange);
void router_pages_wrong_method(struct http_exchange *exchange, const char *allowed);
