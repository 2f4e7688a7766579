#include "llm/upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/url.h"

enum {
    URL_MAX = 2048,   // bytes
    KEY_PART_MIN = 4, // bytes of a key's beginning that are worth hiding
};

const char openai_default_base_url[] = "https://api.openai.com/v1";
const char openrouter_default_base_url[] = "https://openrouter.ai/api/v1";

struct upstream {
    struct http_client *http;
    const struct wire_format *format;
    char *urls[UPSTREAM_OPERATIONS]; // NULL: its format has no such operation
    char *api_key;                   // NULL: none
    char *cost_url; // that tells what an answer cost, but for its id; NULL: it cannot be asked
    char *list_url; // of the models with their prices; NULL: there is none
    // NULL-terminated. The first says what is accepted, and so there are two of these.
    char **headers;
    const char *stream_headers[HTTP_REQUEST_HEADERS_MAX + 1];
};

static char accept_json[] = "Accept: application/json";
static char accept_stream[] = "Accept: text/event-stream, application/json";

static void add_header(struct upstream *upstream, size_t *count, char *line)
{
    upstream->headers[(*count)++] = line;
    upstream->headers[*count] = NULL;
}

// By its host; or, where a server in between stands for it, by the name that the owner gave it.
static bool is_openrouter(const struct upstream_options *options, bool by_host)
{
    if (span_find(span_of(options->base_url), SPAN_LITERAL("openrouter.ai/")) >= 0)
        return true;
    return !by_host && options->provider && strcmp(options->provider, "openrouter") == 0;
}

static void set_headers(struct upstream *upstream, const struct upstream_options *options)
{
    size_t count = 0;
    upstream->headers = mem_zalloc((HTTP_REQUEST_HEADERS_MAX + 1) * sizeof *upstream->headers);
    add_header(upstream, &count, mem_strdup(accept_json));
    add_header(upstream, &count, mem_strdup("Content-Type: application/json"));
    add_header(upstream, &count, mem_strdup("User-Agent: hermes/" HERMES_VERSION));
    if (upstream->api_key)
        add_header(upstream, &count,
                   mem_printf("%s%s", upstream->format->key_header, upstream->api_key));
    for (const char *const *line = upstream->format->headers; line && *line; line++)
        add_header(upstream, &count, mem_strdup(*line));
    // OpenRouter shows this name in its owner's activity list; others ignore it.
    if (is_openrouter(options, true))
        add_header(upstream, &count, mem_strdup("X-OpenRouter-Title: Hermes"));
    for (const char *const *line = options->extra_headers;
         line && *line && count < HTTP_REQUEST_HEADERS_MAX - 1; line++)
        add_header(upstream, &count, mem_strdup(*line));
    memcpy(upstream->stream_headers, upstream->headers, (count + 1) * sizeof *upstream->headers);
    upstream->stream_headers[0] = accept_stream;
}

static int set_urls(struct upstream *upstream, const char *base_url, struct error *err)
{
    for (size_t i = 0; i < UPSTREAM_OPERATIONS; i++) {
        const char *path = upstream->format->paths[i];
        BUF_AUTO url = BUF_INIT(URL_MAX);
        if (!path)
            continue;
        if (!url_join_path(span_of(base_url), span_of(path), &url))
            return error_set(err, -ENAMETOOLONG, "the base URL is longer than %d bytes", URL_MAX);
        upstream->urls[i] = buf_take_text(&url);
    }
    return 0;
}

bool upstream_lists_prices(const struct upstream_options *options)
{
    bool plain = span_find(span_of(options->base_url), SPAN_LITERAL("?")) < 0;
    return plain && is_openrouter(options, false);
}

// A server that publishes prices also reports the cost of a call afterwards.
static void set_price_urls(struct upstream *upstream, const struct upstream_options *options)
{
    BUF_AUTO cost = BUF_INIT(URL_MAX);
    BUF_AUTO list = BUF_INIT(URL_MAX);
    struct span base = span_of(options->base_url);
    if (!upstream_lists_prices(options))
        return;
    if (url_join_path(base, SPAN_LITERAL("generation?id="), &cost))
        upstream->cost_url = buf_take_text(&cost);
    if (url_join_path(base, SPAN_LITERAL("models"), &list))
        upstream->list_url = buf_take_text(&list);
}

int upstream_create(struct http_client *http, const struct upstream_options *options,
                    struct upstream **ret_upstream, struct error *err)
{
    struct url url;
    int r = url_parse(span_of(options->base_url), &url, err);
    if (r < 0)
        return error_wrap(err, "the base URL");
    if (options->api_key && strpbrk(options->api_key, "\r\n"))
        return error_set(err, -EINVAL, "the API key holds a line break");
    struct upstream *upstream = mem_new(struct upstream);
    upstream->http = http;
    upstream->format = options->format;
    if (options->api_key && *options->api_key)
        upstream->api_key = mem_strdup(options->api_key);
    r = set_urls(upstream, options->base_url, err);
    if (r < 0) {
        upstream_destroy(upstream);
        return r;
    }
    set_price_urls(upstream, options);
    set_headers(upstream, options);
    *ret_upstream = upstream;
    return 0;
}

void upstream_destroy(struct upstream *upstream)
{
    if (!upstream)
        return;
    for (char **header = upstream->headers; header && *header; header++)
        free(*header);
    free(upstream->headers);
    for (size_t i = 0; i < UPSTREAM_OPERATIONS; i++)
        free(upstream->urls[i]);
    free(upstream->api_key);
    free(upstream->cost_url);
    free(upstream->list_url);
    free(upstream);
}

bool upstream_tells_cost(const struct upstream *upstream)
{
    return upstream->cost_url != NULL;
}

static int get(const struct upstream *upstream, const char *url,
               const struct http_timeouts *timeouts, const struct http_handler *handler,
               void *context, http_id *ret_id, struct error *err)
{
    struct http_request http = {
        .method = "GET",
        .url = url,
        .headers = (const char *const *)upstream->headers,
        .timeouts = *timeouts,
    };
    return http_client_start(upstream->http, &http, handler, context, ret_id, err);
}

int upstream_ask_cost(const struct upstream *upstream, struct span id,
                      const struct http_timeouts *timeouts, const struct http_handler *handler,
                      void *context, http_id *ret_id, struct error *err)
{
    BUF_AUTO url = BUF_INIT(URL_MAX);
    if (!upstream->cost_url)
        return error_set(err, -ENOTSUP, "this provider does not report the cost of a past call");
    buf_append_text(&url, upstream->cost_url);
    if (!url_encode(id, &url))
        return error_set(err, -ENAMETOOLONG, "the answer's id is too long to be asked for");
    return get(upstream, buf_text(&url), timeouts, handler, context, ret_id, err);
}

int upstream_ask_prices(const struct upstream *upstream, const struct http_timeouts *timeouts,
                        const struct http_handler *handler, void *context, http_id *ret_id,
                        struct error *err)
{
    if (!upstream->list_url)
        return error_set(err, -ENOTSUP, "this provider does not publish its prices");
    return get(upstream, upstream->list_url, timeouts, handler, context, ret_id, err);
}

int upstream_start(const struct upstream *upstream, const struct upstream_request *request,
                   const struct http_handler *handler, void *context, http_id *ret_id,
                   struct error *err)
{
    if (!upstream->urls[request->operation])
        return error_set(err, -ENOTSUP, "a server of %s has no such operation",
                         upstream->format->name);
    struct http_request http = {
        .method = "POST",
        .url = upstream->urls[request->operation],
        .headers = request->stream ? (const char *const *)upstream->stream_headers
                                   : (const char *const *)upstream->headers,
        .body_parts = request->parts,
        .body_part_count = request->part_count,
        .timeouts = request->timeouts,
    };
    return http_client_start(upstream->http, &http, handler, context, ret_id, err);
}

// Some servers quote the key that they do not accept, and sentences are shown, logged and stored.
void upstream_redact(const struct upstream *upstream, char *text)
{
    const char *key = upstream->api_key;
    size_t key_len = key ? strlen(key) : 0;
    if (key_len < KEY_PART_MIN)
        return;
    for (char *at = text; (at = strstr(at, key));)
        memset(at, '*', key_len);
    size_t len = strlen(text); // a sentence that was cut may end in a part of it
    for (size_t part = key_len - 1; part >= KEY_PART_MIN; part--)
        if (len >= part && memcmp(text + len - part, key, part) == 0)
            memset(text + len - part, '*', part);
}

static enum chat_failure_kind kind_of(enum http_failure failure, bool answered)
{
    switch (failure) {
    case HTTP_TIMED_OUT:
        return CHAT_TIMED_OUT;
    case HTTP_CUT:
    case HTTP_STOPPED:
        return answered ? CHAT_INTERRUPTED : CHAT_UNREACHABLE;
    case HTTP_MISUSED:
        return CHAT_REJECTED;
    case HTTP_EXHAUSTED:
        return CHAT_EXHAUSTED;
    default:
        return CHAT_UNREACHABLE;
    }
}

void upstream_read_cut(const struct upstream *upstream, enum http_failure how,
                       const struct error *err, int status, bool begun,
                       struct chat_failure *ret_failure)
{
    struct chat_failure told = {.kind = kind_of(how, status != 0), .retry_after_ms = -1};
    bool cut = told.kind == CHAT_INTERRUPTED && begun;
    snprintf(told.text, sizeof told.text, "%s%s", cut ? "the answer was cut off: " : "", err->text);
    upstream_redact(upstream, told.text);
    *ret_failure = told;
}

void upstream_read_refusal(const struct upstream *upstream, int status, struct span body,
                           struct chat_failure *ret_failure)
{
    struct chat_failure told = {.retry_after_ms = -1};
    if (status >= 300 && status < 400) {
        told.kind = CHAT_REJECTED;
        told.status = status;
        snprintf(told.text, sizeof told.text,
                 "the server redirects (HTTP %d); following it would send the key elsewhere; set "
                 "the base URL to the new address",
                 status);
    } else {
        upstream->format->read_error(body, status, &told);
    }
    upstream_redact(upstream, told.text);
    *ret_failure = told;
}
