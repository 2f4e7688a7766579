/*
 * The opening handshake (RFC 6455 §4.1). libcurl asks, and takes any 101 for an answer: whether the
 * server has understood is judged here, by a key of our own in the place of libcurl's.
 */
#include <curl/curl.h>
#include <errno.h>
#include <mbedtls/base64.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/sha1.h"
#include "codec/url.h"
#include "net/http_field.h"
#include "net/websocket_internal.h"

enum { NONCE = 16, ACCEPT_SIZE = 29 }; // bytes; base64 of a SHA-1, with the NUL

static void encode(const unsigned char *data, size_t len, char *text, size_t size)
{
    size_t written = 0;
    mbedtls_base64_encode((unsigned char *)text, size, &written, data, len); // it fits
}

/* The request */

static bool is_ours(struct span name)
{
    static const char *const names[] = {"Host", "Connection", "Upgrade", "Content-Length",
                                        "Transfer-Encoding"};
    static const char prefix[] = "Sec-WebSocket-";
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (http_same(name, names[i]))
            return true;
    return name.len >= sizeof prefix - 1 && strncasecmp(name.data, prefix, sizeof prefix - 1) == 0;
}

static void add_header(struct websocket *ws, const char *line)
{
    ws->headers = curl_slist_append(ws->headers, line);
}

static int take_headers(struct websocket *ws, const struct websocket_request *request,
                        struct error *err)
{
    struct span name, value, offered = span_of(request->protocols), protocol;
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        if (i >= HTTP_REQUEST_HEADERS_MAX)
            return error_set(err, -E2BIG, "more than %d request headers", HTTP_REQUEST_HEADERS_MAX);
        if (!http_field_split(span_of(request->headers[i]), &name, &value) || !value.len)
            return error_set(err, -EINVAL, "a request header is no \"Name: value\"");
        if (is_ours(name))
            return error_set(err, -EINVAL, "%.*s is not for the caller to say", (int)name.len,
                             name.data);
        add_header(ws, request->headers[i]);
    }
    while (http_list_next(&offered, &protocol))
        if (!http_is_token(protocol))
            return error_set(err, -EINVAL, "a subprotocol is no token");
    if (!request->protocols)
        return 0;
    CLEANUP(mem_cleanup)
    char *line = mem_printf("Sec-WebSocket-Protocol: %s", request->protocols);
    add_header(ws, line);
    ws->protocols = mem_strdup(request->protocols);
    return 0;
}

// The parser knows http and https: "ws" and "wss" are those in everything else (RFC 6455 §3).
static int take_url(struct websocket *ws, const char *text, struct url *ret_url, struct error *err)
{
    if (strncasecmp(text, "ws:", 3) != 0 && strncasecmp(text, "wss:", 4) != 0)
        return error_set(err, -EINVAL, "cannot ask this URL: it is neither ws nor wss");
    ws->url = mem_printf("http%s", text + 2);
    int r = url_parse(span_of(ws->url), ret_url, err);
    if (r < 0)
        return error_wrap(err, "cannot ask this URL");
    if (ret_url->fragment.data)
        return error_set(err, -EINVAL,
                         "cannot ask this URL: a fragment means nothing to a WebSocket");
    ws->host = mem_strndup(ret_url->host.data, ret_url->host.len);
    ws->authority = mem_printf("%s%s%s:%u", ret_url->ipv6 ? "[" : "", ws->host,
                               ret_url->ipv6 ? "]" : "", ret_url->port);
    return 0;
}

/* What libcurl does with it */

static int on_asking(void *context, char *ip, char *local_ip, int port, int local_port)
{
    struct websocket *ws = context;
    ws->asked = true;
    return CURL_PREREQFUNC_OK;
}

// A line at a time, the status line first; so come interim answers (RFC 9110 §15.2), too.
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct websocket *ws = context;
    struct span line = span_make(data, size * count);
    ws->head_bytes += line.len;
    if (ws->head_bytes > HTTP_HEAD_MAX)
        return 0;
    if (span_starts_with(line, "HTTP/"))
        buf_clear(&ws->head);
    else
        buf_append_span(&ws->head, line);
    return line.len;
}

static void ask(void *context, void *easy)
{
    struct websocket *ws = context;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 2L); // until the server has answered
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "ws,wss");
    curl_easy_setopt(easy, CURLOPT_URL, ws->url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, ws->headers);
    curl_easy_setopt(easy, CURLOPT_WS_OPTIONS, (long)CURLWS_NOAUTOPONG);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_asking);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, ws);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, ws);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, ws->problem);
}

int websocket_prepare(struct websocket *ws, const struct websocket_request *request,
                      struct dial_target *ret_target, struct error *err)
{
    struct url url;
    int r = take_url(ws, request->url, &url, err);
    if (r == 0)
        r = take_headers(ws, request, err);
    if (r < 0)
        return r;
    unsigned char nonce[NONCE];
    char line[sizeof "Sec-WebSocket-Key: " + WEBSOCKET_KEY_SIZE];
    random_bytes(nonce, sizeof nonce);
    encode(nonce, sizeof nonce, ws->key, sizeof ws->key);
    snprintf(line, sizeof line, "Sec-WebSocket-Key: %s", ws->key);
    add_header(ws, line);
    *ret_target = (struct dial_target){.host = ws->host,
                                       .authority = ws->authority,
                                       .port = url.port,
                                       .secure = url.secure,
                                       .prepare = ask};
    memmove(ws->url, "ws", 2); // "http..." into "ws...": what libcurl is told
    memmove(ws->url + 2, ws->url + 4, strlen(ws->url + 4) + 1);
    return 0;
}

/* The answer */

struct http_head websocket_head(const struct websocket *ws)
{
    return (struct http_head){.status = 101, .lines = span_trim(buf_span(&ws->head))};
}

static bool is_accepted(const struct websocket *ws, struct span value)
{
    unsigned char digest[SHA1_SIZE];
    char text[WEBSOCKET_KEY_SIZE + sizeof "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"];
    char accept[ACCEPT_SIZE];
    snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", ws->key);
    sha1(span_of(text), digest);
    encode(digest, sizeof digest, accept, sizeof accept);
    return span_is(value, accept);
}

static bool was_offered(const struct websocket *ws, struct span protocol)
{
    struct span rest = span_of(ws->protocols), offered;
    while (http_list_next(&rest, &offered))
        if (span_equal(offered, protocol))
            return true;
    return false;
}

struct answer {
    bool upgrade, connection, accept, protocol; // was seen, and is right
};

// What is wrong with a line, or NULL.
static const char *judge_line(const struct websocket *ws, struct span line, struct answer *answer)
{
    struct span name, value;
    bool had_protocol = answer->protocol;
    if (!http_field_split(line, &name, &value))
        return "sent a header line that is none";
    if (http_same(name, "Upgrade")) {
        answer->upgrade = answer->upgrade || http_same(value, "websocket");
    } else if (http_same(name, "Connection")) {
        answer->connection = answer->connection || http_list_has(value, "upgrade");
    } else if (http_same(name, "Sec-WebSocket-Accept")) {
        answer->accept = is_accepted(ws, value);
        return answer->accept ? NULL : "did not answer our key (Sec-WebSocket-Accept)";
    } else if (http_same(name, "Sec-WebSocket-Extensions")) {
        return "uses an extension, and none was offered";
    } else if (http_same(name, "Sec-WebSocket-Protocol")) {
        answer->protocol = !had_protocol && was_offered(ws, value);
        return answer->protocol ? NULL : "chose a subprotocol that was not offered";
    }
    return NULL;
}

bool websocket_judge(struct websocket *ws)
{
    struct answer answer = {0};
    struct span rest = websocket_head(ws).lines;
    const char *fault = NULL;
    while (rest.len && !fault) {
        struct span line = span_cut(&rest, '\n');
        line.len -= line.len && line.data[line.len - 1] == '\r';
        fault = judge_line(ws, line, &answer);
    }
    if (!fault && !answer.upgrade)
        fault = "did not say that it upgrades to WebSocket (Upgrade)";
    else if (!fault && !answer.connection)
        fault = "did not say that it upgrades (Connection)";
    else if (!fault && !answer.accept)
        fault = "did not answer our key (Sec-WebSocket-Accept)";
    if (fault)
        websocket_lose(ws, HTTP_CUT, -EPROTO, "no WebSocket to %s: it %s", ws->authority, fault);
    return !fault;
}

void websocket_refused(struct websocket *ws)
{
    long status = 0;
    curl_easy_getinfo(ws->dial->easy, CURLINFO_RESPONSE_CODE, &status);
    if (ws->head_bytes > HTTP_HEAD_MAX) {
        websocket_lose(ws, HTTP_CUT, -EPROTO,
                       "no WebSocket to %s: its answer has a head of more than %d bytes",
                       ws->authority, HTTP_HEAD_MAX);
    } else if (status >= 200) {
        ws->end.status = (int)status;
        websocket_lose(ws, HTTP_CUT, -ECONNREFUSED, "no WebSocket to %s: it answers HTTP %ld%s",
                       ws->authority, status,
                       status / 100 == 3 ? ", and redirects are not followed" : "");
    } else {
        websocket_lose(ws, HTTP_CUT, -EPROTO, "no WebSocket to %s: it did not answer in HTTP",
                       ws->authority);
    }
}
