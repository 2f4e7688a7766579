#include "llm/openai.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "codec/url.h"
#include "llm/openai_error.h"
#include "llm/openai_reply.h"
#include "llm/openai_request.h"
#include "loop/loop.h"

enum {
    ERROR_BODY_MAX = 4 << 20, // bytes of an error response that are looked at
    URL_MAX = 2048,           // bytes
    AFTER_DONE_MS = 250,      // how long a server may keep a stream open behind "[DONE]"
};

const char openai_default_base_url[] = "https://api.openai.com/v1";
const char openrouter_default_base_url[] = "https://openrouter.ai/api/v1";

struct openai {
    struct chat_provider provider;
    struct loop *loop;
    struct http_client *http;
    struct buf url;
    char *api_key;  // owned; NULL: none
    char **headers; // owned, NULL-terminated
    struct http_timeouts timeouts;
    struct list calls;
    chat_call_id last_id;
};

struct call {
    struct list link; // openai::calls
    struct openai *owner;
    chat_call_id id;
    http_id http;
    loop_id after_done;
    const struct chat_sink *sink;
    void *context;
    struct openai_reply reply;
    int status; // HTTP; 0 until the head has come
    int64_t retry_after_ms;
    struct buf error_body;
};

static void call_destroy(struct call *call)
{
    http_client_cancel(call->owner->http, call->http);
    loop_cancel(call->owner->loop, call->after_done);
    list_remove(&call->link);
    openai_reply_finish(&call->reply);
    buf_finish(&call->error_body);
    free(call);
}

enum { KEY_PART_MIN = 4 }; // bytes of a key's beginning that are worth hiding

// Some servers quote the key that they do not accept, and sentences are shown, logged and stored.
static void redact(char *text, const char *key)
{
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

// The call is gone before its owner hears of it, so the owner may do anything.
static void call_fail(struct call *call, struct chat_failure failure)
{
    const struct chat_sink *sink = call->sink;
    void *context = call->context;
    if (failure.status == 0 && call->status >= 400)
        failure.status = call->status;
    failure.retry_after_ms = call->retry_after_ms;
    redact(failure.text, call->owner->api_key);
    if (failure.kind == CHAT_RATE_LIMITED && failure.retry_after_ms >= 0) {
        size_t used = strlen(failure.text);
        snprintf(failure.text + used, sizeof failure.text - used, " (try again in %lld s)",
                 (long long)(failure.retry_after_ms + 999) / 1000);
    }
    call_destroy(call);
    sink->on_failure(context, &failure);
}

static void call_complete(struct call *call)
{
    struct chat_reply reply;
    if (openai_reply_end(&call->reply, &reply) < 0) {
        call_fail(call, call->reply.failure);
        return;
    }
    const struct chat_sink *sink = call->sink;
    void *context = call->context;
    call_destroy(call);
    sink->on_reply(context, &reply);
    chat_reply_finish(&reply);
}

static void on_done_linger(void *context)
{
    call_complete(context);
}

static void on_head(void *context, const struct http_head *head)
{
    struct call *call = context;
    call->status = head->status;
    call->retry_after_ms = openai_retry_after_ms(http_head_get(head, "Retry-After"));
    openai_reply_set_type(&call->reply, http_head_get(head, "Content-Type"));
}

static int on_body(void *context, struct span chunk)
{
    struct call *call = context;
    if (call->status != 200) {
        size_t left = call->error_body.max - call->error_body.len;
        buf_append(&call->error_body, chunk.data, chunk.len < left ? chunk.len : left);
        return left ? 0 : -EFBIG;
    }
    int r = openai_reply_feed(&call->reply, chunk);
    if (r == 0 && call->reply.done && !call->after_done)
        call->after_done = loop_timer_after(call->owner->loop, AFTER_DONE_MS, on_done_linger, call);
    return r;
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
    default:
        return CHAT_UNREACHABLE;
    }
}

static void fail_transport(struct call *call, enum http_failure failure, const struct error *err)
{
    bool answered = call->status != 0;
    struct chat_failure told = {.kind = kind_of(failure, answered), .retry_after_ms = -1};
    bool cut = told.kind == CHAT_INTERRUPTED && call->reply.text.len;
    snprintf(told.text, sizeof told.text, "%s%s", cut ? "the answer was cut off: " : "", err->text);
    call_fail(call, told);
}

static void fail_status(struct call *call)
{
    struct chat_failure told = {.retry_after_ms = -1};
    if (call->status >= 300 && call->status < 400) {
        told.kind = CHAT_REJECTED;
        told.status = call->status;
        snprintf(told.text, sizeof told.text,
                 "the server redirects elsewhere (HTTP %d), which is not followed because the key "
                 "would go along; set the base URL to the new address",
                 call->status);
    } else {
        openai_read_error_body(buf_span(&call->error_body), call->status, &told);
    }
    call_fail(call, told);
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct call *call = context;
    call->http = 0;
    if (call->reply.failed)
        call_fail(call, call->reply.failure);
    else if (call->status != 0 && call->status != 200)
        fail_status(call);
    else if (failure != HTTP_OK && !call->reply.done && !call->reply.finished)
        fail_transport(call, failure, err);
    else
        call_complete(call);
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct openai *openai = CONTAINER_OF(provider, struct openai, provider);
    BUF_AUTO body = BUF_INIT(OPENAI_REQUEST_MAX);
    int r = openai_write_request(request, &body, err);
    if (r < 0)
        return r;

    struct call *call = mem_new(struct call);
    call->owner = openai;
    call->id = ++openai->last_id;
    call->sink = sink;
    call->context = context;
    call->retry_after_ms = -1;
    buf_init(&call->error_body, ERROR_BODY_MAX);
    openai_reply_init(&call->reply, sink, context);
    list_append(&openai->calls, &call->link);

    struct http_request http = {
        .method = "POST",
        .url = buf_text(&openai->url),
        .headers = (const char *const *)openai->headers,
        .body = buf_span(&body),
        .timeouts = openai->timeouts,
    };
    r = http_client_start(openai->http, &http, &handler, call, &call->http, err);
    if (r < 0) {
        call_destroy(call);
        return r;
    }
    *ret_id = call->id;
    return 0;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct openai *openai = CONTAINER_OF(provider, struct openai, provider);
    list_for_each(link, &openai->calls) {
        struct call *call = list_entry(link, struct call, link);
        if (call->id == id) {
            call_destroy(call);
            return;
        }
    }
}

static void destroy(struct chat_provider *provider)
{
    struct openai *openai = CONTAINER_OF(provider, struct openai, provider);
    list_for_each(link, &openai->calls)
        call_destroy(list_entry(link, struct call, link));
    for (char **header = openai->headers; header && *header; header++)
        free(*header);
    free(openai->headers);
    free(openai->api_key);
    buf_finish(&openai->url);
    free(openai);
}

static void add_header(struct openai *openai, size_t *count, char *line)
{
    openai->headers[(*count)++] = line;
    openai->headers[*count] = NULL;
}

static void set_headers(struct openai *openai, const struct openai_options *options)
{
    size_t count = 0;
    openai->headers = mem_zalloc((HTTP_REQUEST_HEADERS_MAX + 1) * sizeof *openai->headers);
    add_header(openai, &count, mem_strdup("Content-Type: application/json"));
    add_header(openai, &count, mem_strdup("Accept: text/event-stream, application/json"));
    add_header(openai, &count, mem_strdup("User-Agent: hermes/" HERMES_VERSION));
    if (options->api_key && *options->api_key)
        add_header(openai, &count, mem_printf("Authorization: Bearer %s", options->api_key));
    // OpenRouter shows this name in its owner's activity list; others ignore it.
    if (span_find(buf_span(&openai->url), SPAN_LITERAL("openrouter.ai/")) >= 0)
        add_header(openai, &count, mem_strdup("X-OpenRouter-Title: Hermes"));
    for (size_t i = 0; options->extra_headers && options->extra_headers[i] &&
                       count < HTTP_REQUEST_HEADERS_MAX - 1;
         i++)
        add_header(openai, &count, mem_strdup(options->extra_headers[i]));
}

int openai_provider_create(struct loop *loop, struct http_client *http,
                           const struct openai_options *options,
                           struct chat_provider **ret_provider, struct error *err)
{
    static const struct chat_provider_ops ops = {"openai", start, cancel, destroy};
    struct url url;
    int r = url_parse(span_of(options->base_url), &url, err);
    if (r < 0)
        return error_wrap(err, "the base URL");
    if (options->api_key && strpbrk(options->api_key, "\r\n"))
        return error_set(err, -EINVAL, "the API key holds a line break");

    struct openai *openai = mem_new(struct openai);
    openai->provider.ops = &ops;
    openai->loop = loop;
    openai->http = http;
    openai->timeouts = options->timeouts;
    list_init(&openai->calls);
    buf_init(&openai->url, URL_MAX);
    if (!url_join_path(span_of(options->base_url), span_of("chat/completions"), &openai->url)) {
        destroy(&openai->provider);
        return error_set(err, -ENAMETOOLONG, "the base URL is longer than %d bytes", URL_MAX);
    }
    openai->api_key = options->api_key ? mem_strdup(options->api_key) : NULL;
    set_headers(openai, options);
    *ret_provider = &openai->provider;
    return 0;
}
