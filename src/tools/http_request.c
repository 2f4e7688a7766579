#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/redact.h"
#include "codec/url.h"
#include "net/http_field.h"
#include "tools/excerpt.h"
#include "tools/table.h"
#include "tools/web_call.h"
#include "tools/web_endpoint.h"
#include "tools/web_options.h"
#include "tools/web_page.h"

/*
 * What is sent is the model's choice, where it goes is the owner's: the URL begins as the
 * endpoint's does, the headers are the endpoint's alone, and no redirect is followed, since it
 * would take the credential along. Servers quote what they were sent, so what comes back is looked
 * through for it.
 */
enum {
    NAME_MAX_BYTES = 128,
    METHOD_MAX = 16,                       // bytes
    BODY_MAX = 1 << 20,                    // bytes, sent or read
    SHOWN_MAX = 40 * 1024,                 // bytes of an answer; the rest of TOOL_TEXT_MAX is ours
    HEAD_MAX = 16 * 1024,                  // bytes of what is told before an answer's body
    SECRETS_MAX = 128,                     // parts of an endpoint's headers and query
    LIST_MAX = 300,                        // bytes of the names in a sentence
    HEADERS = WEB_ENDPOINT_HEADERS_MAX + 3 // with ours, and NULL
};

struct http_request_call {
    struct tool_run *run;
    struct web_call *call;
    struct redactor *redactor;
    char *headers[HEADERS];
    size_t header_count, endpoint_headers;
    struct buf url, body;
};

static void destroy(struct http_request_call *request)
{
    for (size_t i = 0; i < request->header_count; i++)
        free(request->headers[i]);
    redactor_destroy(request->redactor);
    buf_finish(&request->url);
    buf_finish(&request->body);
    free(request);
}

struct kept { // of secrets
    char *texts[SECRETS_MAX];
    size_t count;
};

static void keep(struct kept *kept, struct span text)
{
    if (kept->count < SECRETS_MAX)
        kept->texts[kept->count++] = mem_strndup(text.data, text.len);
}

// As it stands in the URL, and as a server reads it.
static void keep_value(struct kept *kept, struct span value)
{
    BUF_AUTO read = BUF_INIT(URL_BYTES_MAX);
    keep(kept, value);
    for (; value.len; value = span_skip(value, *value.data == '%' ? 3 : 1))
        buf_append_char(&read, *value.data == '%' ? (char)(http_hex_digit(value.data[1]) << 4 |
                                                           http_hex_digit(value.data[2]))
                                                  : *value.data);
    keep(kept, buf_span(&read));
}

// Each header's value, what stands behind its first word ("Bearer ..."), and its parts as a
// cookie's; and the values of the query that the endpoint's URL has.
static void keep_secret(struct http_request_call *request, const struct web_endpoint *endpoint)
{
    struct kept kept = {.count = 0};
    struct url url = {.query = SPAN_ABSENT};
    for (size_t i = 0; i < request->endpoint_headers; i++) {
        struct span value = span_of(strchr(request->headers[i], ':') + 2), rest = value;
        keep(&kept, value);
        span_cut(&rest, ' ');
        keep(&kept, rest);
    }
    url_parse(span_of(endpoint->url), &url, NULL);
    while (url.query.len) {
        struct span value = span_cut(&url.query, '&');
        span_cut(&value, '=');
        keep_value(&kept, value);
    }
    for (size_t i = 0; i < request->endpoint_headers; i++)
        for (struct span rest = span_of(request->headers[i]); rest.len;) {
            struct span value = span_cut(&rest, ';');
            span_cut(&value, '=');
            keep(&kept, span_trim(value));
        }
    request->redactor = redactor_create((const char *const *)kept.texts, kept.count);
    while (kept.count)
        free(kept.texts[--kept.count]);
}

static void append_clean(const struct http_request_call *request, struct span text, struct buf *out)
{
    if (!redact(request->redactor, text, out))
        buf_append_text(out, "[the answer cannot be shown]");
}

// What an excerpt leaves of a secret that stands at its edge would not be recognised, so the
// secrets go first.
static void append_body(const struct http_request_call *request, const struct web_answer *answer,
                        struct buf *out)
{
    BUF_AUTO clean = BUF_INIT(4 * BODY_MAX);
    struct span body = buf_span(&answer->body);
    bool binary = body.len && memchr(body.data, '\0', body.len);
    if (answer->unwanted || binary) {
        buf_append_text(out, "\n[its body is no text, and not shown]");
    } else {
        append_clean(request, body, &clean);
        excerpt_append(buf_span(&clean), SHOWN_MAX, SHOWN_MAX, out);
    }
    if (answer->cut)
        buf_printf(out, "\n[only the first %d KiB of the body were read]", BODY_MAX >> 10);
}

static void on_answer(void *context, const struct web_answer *answer, const struct error *failed)
{
    struct http_request_call *request = context;
    BUF_AUTO head = BUF_INIT(HEAD_MAX);
    BUF_AUTO text = BUF_INIT(2 * TOOL_TEXT_MAX);
    if (failed->code == 0) {
        buf_printf(&head, "HTTP %d\nContent-Type: %s\n", answer->status, answer->type);
        if (answer->location)
            buf_printf(&head, "Location (not followed): %s\n", answer->location);
        buf_append_char(&head, '\n');
    } else {
        buf_append_text(&head, failed->text);
    }
    append_clean(request, buf_span(&head), &text);
    if (failed->code == 0)
        append_body(request, answer, &text);
    tool_run_end(request->run,
                 &(struct tool_result){.text = buf_span(&text),
                                       .failed = failed->code < 0 || answer->status >= 400,
                                       .tainted = true,
                                       .ms = -1});
    destroy(request);
}

/* Arguments */

static int refuse_name(const struct option_map *endpoints, const char *name, struct error *err)
{
    BUF_AUTO list = BUF_INIT(LIST_MAX);
    struct web_endpoint endpoint;
    for (size_t i = 0; web_endpoint_at(endpoints, i, &endpoint); i++) {
        if (!endpoint.name)
            continue;
        buf_printf(&list, "%s%.64s (", list.len ? "; " : "", endpoint.name);
        web_endpoint_list_methods(&endpoint, &list);
        buf_printf(&list, "%s%.100s)", endpoint.help ? ": " : "",
                   endpoint.help ? endpoint.help : "");
    }
    return error_set(
        err, -ENOENT, "%s%.64s%s; there are: %s", *name ? "there is no endpoint \"" : "",
        *name ? name : "the parameter \"endpoint\" is missing", *name ? "\"" : "", buf_text(&list));
}

static int read_method(const struct web_endpoint *endpoint, struct json_value arguments,
                       char method[METHOD_MAX], struct error *err)
{
    BUF_AUTO text = BUF_INIT(METHOD_MAX - 1);
    BUF_AUTO allowed = BUF_INIT(LIST_MAX);
    snprintf(method, METHOD_MAX, "GET");
    int r = tool_has(arguments, "method")
                ? tool_need_text(arguments, "method", METHOD_MAX - 1, &text, err)
                : 0;
    for (size_t i = 0; i < text.len; i++)
        method[i] =
            text.data[i] >= 'a' && text.data[i] <= 'z' ? (char)(text.data[i] & ~32) : text.data[i];
    if (text.len)
        method[text.len] = '\0';
    if (r < 0 || web_endpoint_allows(endpoint, method))
        return r;
    web_endpoint_list_methods(endpoint, &allowed);
    return error_set(err, -EPERM, "the endpoint \"%.64s\" allows %s, not %s", endpoint->name,
                     buf_text(&allowed), method);
}

static bool append_scalar(struct json_value value, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(WEB_ENDPOINT_QUERY_MAX);
    if (json_type(value) == JSON_STRING)
        return json_string(value, &text) && url_encode(buf_span(&text), out);
    if (json_type(value) == JSON_OBJECT || json_type(value) == JSON_ARRAY)
        return false;
    return url_encode(json_raw(value), out);
}

static bool append_parameter(struct json_value key, struct json_value value, struct buf *out)
{
    if (out->len)
        buf_append_char(out, '&');
    return append_scalar(key, out) && buf_append_char(out, '=') && append_scalar(value, out);
}

// {"a": 1, "b": ["x", "y"]} or "a=1&b=x&b=y".
static int read_query(struct json_value arguments, struct buf *out, struct error *err)
{
    struct json_value query = json_get(arguments, "query"), key, value, each;
    struct json_iter it = json_iter_init(query);
    bool fits = true;
    if (!tool_has(arguments, "query"))
        return 0;
    if (json_type(query) == JSON_STRING)
        return tool_need_text(arguments, "query", WEB_ENDPOINT_QUERY_MAX, out, err);
    if (json_type(query) != JSON_OBJECT)
        return error_set(err, -EINVAL, "the parameter \"query\" must be an object or a string");
    while (fits && json_iter_next(&it, &key, &value)) {
        struct json_iter list = json_iter_init(value);
        if (json_type(value) != JSON_ARRAY)
            fits = append_parameter(key, value, out);
        else
            while (fits && json_iter_next(&list, NULL, &each))
                fits = append_parameter(key, each, out);
    }
    return fits ? 0
                : error_set(err, -EINVAL,
                            "the parameter \"query\" must hold texts and numbers, %d bytes in all",
                            WEB_ENDPOINT_QUERY_MAX);
}

static int read_body(struct http_request_call *request, struct json_value arguments,
                     struct error *err)
{
    struct json_value body = json_get(arguments, "body");
    const char *type = "application/json";
    if (!tool_has(arguments, "body"))
        return 0;
    if (json_type(body) != JSON_STRING) {
        buf_append_span(&request->body, json_raw(body));
    } else {
        JSON_AUTO doc = JSON_INIT;
        int r = tool_need_text(arguments, "body", BODY_MAX, &request->body, err);
        if (r < 0)
            return r;
        if (json_parse(&doc, buf_span(&request->body), NULL) < 0)
            type = "text/plain; charset=utf-8";
    }
    if (buf_is_full(&request->body))
        return error_set(err, -E2BIG, "the parameter \"body\" is longer than %d bytes", BODY_MAX);
    for (size_t i = 0; i < request->endpoint_headers; i++)
        if (strncasecmp(request->headers[i], "Content-Type:", 13) == 0)
            return 0;
    request->headers[request->header_count++] = mem_printf("Content-Type: %s", type);
    return 0;
}

static int prepare(struct http_request_call *request, const struct web_endpoint *endpoint,
                   struct json_value arguments, struct error *err)
{
    BUF_AUTO path = BUF_INIT(TOOL_PATH_MAX);
    BUF_AUTO query = BUF_INIT(WEB_ENDPOINT_QUERY_MAX);
    int r = web_endpoint_headers(endpoint, request->headers, &request->header_count, err);
    if (r < 0)
        return error_wrap(err, "the endpoint \"%.64s\" cannot be asked", endpoint->name);
    request->endpoint_headers = request->header_count;
    keep_secret(request, endpoint);
    request->headers[request->header_count++] = mem_strdup("Accept-Encoding: identity");
    if (tool_has(arguments, "path"))
        r = tool_need_text(arguments, "path", TOOL_PATH_MAX, &path, err);
    if (r == 0)
        r = read_query(arguments, &query, err);
    if (r == 0)
        r = web_endpoint_url(endpoint, buf_span(&path), buf_span(&query), &request->url, err);
    if (r == 0)
        r = read_body(request, arguments, err);
    return r;
}

static int begin(struct http_request_call *request, const struct tool_env *env,
                 struct json_value arguments, struct error *err)
{
    BUF_AUTO name = BUF_INIT(NAME_MAX_BYTES);
    struct web_endpoint endpoint;
    char method[METHOD_MAX];
    struct http_client *http;
    const struct option_map *endpoints = &env->settings.web->endpoints;
    int r = tool_has(arguments, "endpoint")
                ? tool_need_text(arguments, "endpoint", NAME_MAX_BYTES, &name, err)
                : 0;
    if (r == 0 && !web_endpoint_find(endpoints, buf_text(&name), &endpoint))
        r = refuse_name(endpoints, buf_text(&name), err);
    if (r == 0)
        r = read_method(&endpoint, arguments, method, err);
    if (r == 0)
        r = prepare(request, &endpoint, arguments, err);
    if (r == 0)
        r = tool_need_http(env, &http, err);
    if (r < 0)
        return r;
    struct web_call_spec spec = {
        .http = http,
        .loop = env->loop,
        .method = method,
        .url = buf_text(&request->url),
        .headers = (const char *const *)request->headers,
        .body = buf_span(&request->body),
        .body_max = BODY_MAX,
        .wants = web_page_is_text,
    };
    return web_call_start(&spec, on_answer, request, &request->call, err);
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    if (!env->settings.web)
        return error_set(err, -ENOENT, "there are no endpoints");
    struct http_request_call *request = mem_new(struct http_request_call);
    request->run = run;
    buf_init(&request->url, URL_BYTES_MAX);
    buf_init(&request->body, BODY_MAX);
    int r = begin(request, env, call->arguments, err);
    if (r < 0)
        destroy(request);
    else
        tool_run_set_handle(run, (union tool_handle){.pointer = request});
    return r;
}

static void forget(const struct tool_env *env, int64_t handle)
{
    struct http_request_call *request = (union tool_handle){.number = handle}.pointer;
    web_call_cancel(request->call);
    destroy(request);
}

static bool is_configured(const struct tool_env *env)
{
    return env->settings.web && env->settings.web->endpoints.count > 0;
}

const struct tool tool_http_request = {
    .name = "http_request",
    .description = "Ask a server that is configured, by its name; without one it lists them.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"endpoint\":{\"type\":\"string\",\"description\":\"The server's name\"},"
        "\"method\":{\"type\":\"string\",\"description\":\"GET, or another that it allows\"},"
        "\"path\":{\"type\":\"string\",\"description\":\"Beneath the server's URL\"},"
        "\"query\":{\"type\":\"object\",\"description\":\"Names and values\"},"
        "\"body\":{\"description\":\"A text, or JSON\"}}}",
    .flags = TOOL_NETWORK | TOOL_UNATTENDED | TOOL_FOUND,
    .available = is_configured,
    .start = start,
    .forget = forget,
};
