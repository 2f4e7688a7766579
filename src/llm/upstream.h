#pragma once

#include "base/error.h"
#include "llm/wire_format.h"
#include "net/http_client.h"

/*
 * A server of models, asked with bytes in its own wire format: what is sent and what comes back
 * pass through as they are.
 */
struct upstream;

struct upstream_options {
    const struct wire_format *format; // that it speaks
    const char *base_url;             // without the operation's path
    const char *api_key;              // NULL or "": none is sent (a local server)
    const char *const *extra_headers; // "Name: value" lines, NULL-terminated, or NULL
    const char *provider;             // as an endpoint's; NULL: what the URL tells
};

extern const char openai_default_base_url[];
extern const char openrouter_default_base_url[];

// Copies the options. The sentence in `err` says what is wrong with the URL or the key.
int upstream_create(struct http_client *http, const struct upstream_options *options,
                    struct upstream **ret_upstream, struct error *err);
void upstream_destroy(struct upstream *upstream); // ends nothing that was started; accepts NULL

struct upstream_request {
    enum upstream_operation operation;
    const struct span *parts; // of the body; their bytes must stay until the end of the call
    size_t part_count;
    bool stream; // what is accepted
    struct http_timeouts timeouts;
};

// As http_client_start(), and for cancelling and pausing the http_id goes to the http_client.
int upstream_start(const struct upstream *upstream, const struct upstream_request *request,
                   const struct http_handler *handler, void *context, http_id *ret_id,
                   struct error *err);

// Can it be asked afterwards what an answer cost (generation.h)?
bool upstream_tells_cost(const struct upstream *upstream);

// Asks that, by the answer's id; as upstream_start(). -ENOTSUP: it cannot be asked.
int upstream_ask_cost(const struct upstream *upstream, struct span id,
                      const struct http_timeouts *timeouts, const struct http_handler *handler,
                      void *context, http_id *ret_id, struct error *err);

// Does such a server publish what its models cost (price_list.h)? Only options->base_url and
// options->provider matter. And asks for that list, as upstream_start(); -ENOTSUP: it does not.
bool upstream_lists_prices(const struct upstream_options *options);
int upstream_ask_prices(const struct upstream *upstream, const struct http_timeouts *timeouts,
                        const struct http_handler *handler, void *context, http_id *ret_id,
                        struct error *err);

/*
 * Failures, as a chat_failure with a sentence for a person in which the key is not quoted: of the
 * transport (`status` is 0 until the head has come; `begun`: a part of the answer was passed on),
 * and an answer that is not 200, of which `body` is what there is (a part will do).
 */
void upstream_read_cut(const struct upstream *upstream, enum http_failure how,
                       const struct error *err, int status, bool begun,
                       struct chat_failure *ret_failure);
void upstream_read_refusal(const struct upstream *upstream, int status, struct span body,
                           struct chat_failure *ret_failure);

// Blanks the key in a sentence that a server wrote.
void upstream_redact(const struct upstream *upstream, char *text);
