/*
 * libcurl tells us which sockets it waits for and when it wants to be woken (its "multi socket"
 * interface); this file maps the one onto loop watches and the other onto one loop timer.
 *
 * A transfer may be cancelled from inside its own callback, where libcurl forbids removing it. So
 * cancelling only marks it; the callback's return value makes libcurl end it, and the memory goes
 * in a deferred call. Timeouts between bytes are kept as a time stamp and one timer that looks at
 * it, rather than a timer re-armed for each of a million chunks.
 *
 * libcurl's threaded resolver runs getaddrinfo() on a thread of its own; CURLOPT_QUICK_EXIT lets
 * a transfer go without joining that thread, which a dead name server can hold for many seconds.
 */
#include "net/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/ca_roots.h"
#include "net/unix_socket.h"

enum {
    IDLE_CONNECTIONS_MAX = 8,
    IDLE_CONNECTION_S = 25, // its TLS buffers are 30 KiB; libcurl looks when the next one begins
    RECEIVE_BUFFER = 16 * 1024, // bytes a transfer; the most that on_body gets at once
};

// A watch's id travels as libcurl's per-socket pointer.
_Static_assert(sizeof(void *) >= sizeof(loop_id), "a loop_id must fit into a pointer");

struct http_client {
    struct loop *loop;
    struct trust *trust; // borrowed
    CURLM *multi;
    loop_id timer;
    loop_id reaper; // deferred destruction of the cancelled
    struct list transfers;
    http_id last_id;
};

struct transfer {
    struct list link; // http_client::transfers
    struct http_client *client;
    http_id id;
    CURL *easy;
    struct curl_slist *headers;
    struct unix_socket_address socket; // while the transfer lasts
    struct http_handler handler;
    void *context;
    struct http_timeouts timeouts;
    struct buf head;
    bool head_told, body_seen;
    bool cancelled;
    bool stopped; // by on_body
    bool once, sent;
    int64_t active_ms; // loop time of the start, then of the last piece
    loop_id watchdog;
    const char *timed_out; // which limit, for the sentence
    char detail[CURL_ERROR_SIZE];
};

struct span http_head_get(const struct http_head *head, const char *name)
{
    size_t name_len = strlen(name);
    struct span rest = head->lines;
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > name_len && line.data[name_len] == ':' &&
            strncasecmp(line.data, name, name_len) == 0)
            return span_trim(span_skip(line, name_len + 1));
    }
    return SPAN_ABSENT;
}

static void transfer_destroy(struct transfer *transfer)
{
    loop_cancel(transfer->client->loop, transfer->watchdog);
    list_remove(&transfer->link);
    if (transfer->easy) {
        curl_multi_remove_handle(transfer->client->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    unix_socket_address_finish(&transfer->socket);
    buf_finish(&transfer->head);
    free(transfer);
}

static struct transfer *transfer_find(struct http_client *client, http_id id)
{
    list_for_each(link, &client->transfers) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (transfer->id == id)
            return transfer;
    }
    return NULL;
}

static bool request_was_sent(const struct transfer *transfer)
{
    long bytes = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

static enum http_failure failure_of(const struct transfer *transfer, CURLcode code)
{
    if (transfer->timed_out)
        return HTTP_TIMED_OUT;
    if (transfer->stopped)
        return HTTP_STOPPED;
    switch (code) {
    case CURLE_OK: // for libcurl even when the connection ended within the header
        return transfer->head_told ? HTTP_OK : HTTP_CUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_UNRESOLVED;
    case CURLE_COULDNT_CONNECT:
        return HTTP_UNREACHABLE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return HTTP_UNTRUSTED;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMED_OUT;
    case CURLE_UNSUPPORTED_PROTOCOL: // that of the URL, or of what came back
        return request_was_sent(transfer) ? HTTP_CUT : HTTP_MISUSED;
    case CURLE_URL_MALFORMAT:
        return HTTP_MISUSED;
    default:
        return HTTP_CUT;
    }
}

static const char *host_of(struct transfer *transfer, char *text, size_t size)
{
    char *url = NULL;
    curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    struct span rest = span_of(url ? url : "");
    ptrdiff_t at = span_find(rest, SPAN_LITERAL("://"));
    rest = at < 0 ? rest : span_skip(rest, (size_t)at + 3);
    struct span host = span_cut(&rest, '/');
    at = span_find(host, SPAN_LITERAL("@")); // a password may stand before it
    host = span_skip(host, (size_t)(at + 1));
    size_t len = host.len < size - 1 ? host.len : size - 1;
    memcpy(text, host.data, len);
    text[len] = '\0';
    return text;
}

// What failed, in words for a person. libcurl's own detail follows where it says more.
static void describe(struct transfer *transfer, enum http_failure failure, struct error *err)
{
    char host[128];
    host_of(transfer, host, sizeof host);
    const char *detail = transfer->detail;
    if (buf_is_full(&transfer->head)) // libcurl only knows that we refused it
        snprintf(transfer->detail, sizeof transfer->detail, "its header is larger than %d KiB",
                 HTTP_HEAD_MAX / 1024);
    transfer->detail[strcspn(transfer->detail, "\r\n")] = '\0';
    switch (failure) {
    case HTTP_OK:
        break;
    case HTTP_UNRESOLVED:
        error_set(err, -EHOSTUNREACH, "cannot resolve the name of %s", host);
        break;
    case HTTP_UNREACHABLE:
        error_set(err, -ECONNREFUSED, "cannot connect to %s%s%s", host, *detail ? ": " : "",
                  detail);
        break;
    case HTTP_UNTRUSTED:
        error_set(err, -EPROTO,
                  "no trusted TLS connection to %s%s%s; check this machine's clock, and if the "
                  "server is your own, name its CA with SSL_CERT_FILE",
                  host, *detail ? ": " : "", detail);
        break;
    case HTTP_TIMED_OUT:
        error_set(err, -ETIMEDOUT, "%s: %s", host,
                  transfer->timed_out ? transfer->timed_out : detail);
        break;
    case HTTP_STOPPED:
        error_set(err, -ECANCELED, "the answer of %s was not read to its end", host);
        break;
    case HTTP_CUT:
        error_set(err, -ECONNRESET, "the connection to %s broke%s%s", host, *detail ? ": " : "",
                  detail);
        break;
    case HTTP_MISUSED:
        error_set(err, -EINVAL, "cannot ask %s%s%s", host, *detail ? ": " : "", detail);
        break;
    }
}

static void transfer_complete(struct transfer *transfer, CURLcode code)
{
    struct error err = ERROR_INIT;
    enum http_failure failure = failure_of(transfer, code);
    describe(transfer, failure, &err);
    struct http_handler handler = transfer->handler;
    void *context = transfer->context;
    bool cancelled = transfer->cancelled;
    transfer_destroy(transfer);
    if (!cancelled)
        handler.on_done(context, failure, &err);
}

static void reap_completed(struct http_client *client)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct transfer *transfer;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer_complete(transfer, message->data.result);
    }
}

static void on_socket_event(void *context, int fd, unsigned events)
{
    struct http_client *client = context;
    int running;
    int mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
               (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & LOOP_FAILED ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(client->multi, fd, mask, &running);
    reap_completed(client);
}

static void on_timer(void *context)
{
    struct http_client *client = context;
    int running;
    client->timer = 0;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap_completed(client);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct http_client *client = context;
    loop_cancel(client->loop, client->timer);
    client->timer =
        timeout_ms < 0 ? 0 : loop_timer_after(client->loop, timeout_ms, on_timer, client);
    return 0;
}

// `watch` is the loop_id of this socket's watch, carried as libcurl's per-socket pointer.
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *watch)
{
    (void)easy;
    struct http_client *client = context;
    loop_id id = (loop_id)(uintptr_t)watch;
    unsigned events =
        (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
    if (what == CURL_POLL_REMOVE) {
        loop_unwatch(client->loop, id);
        curl_multi_assign(client->multi, fd, NULL);
    } else if (id) {
        loop_watch_change(client->loop, id, events);
    } else {
        id = loop_watch(client->loop, fd, events, on_socket_event, client);
        curl_multi_assign(client->multi, fd, (void *)(uintptr_t)id);
    }
    return 0;
}

static bool is_final_head(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200;
}

static void tell_head(struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->head_told = true;
    struct http_head head = {(int)status, buf_span(&transfer->head)};
    if (transfer->handler.on_head && !transfer->cancelled)
        transfer->handler.on_head(transfer->context, &head);
}

static size_t on_curl_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct span line = {data, size * count};
    if (transfer->cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (span_starts_with(line, "HTTP/")) // a 1xx head, or a proxy's, is followed by the real one
        buf_clear(&transfer->head);
    if (!buf_append_span(&transfer->head, line))
        return CURL_WRITEFUNC_ERROR;
    if (span_trim(line).len == 0 && is_final_head(transfer) && !transfer->head_told)
        tell_head(transfer);
    return line.len;
}

static void arm_watchdog(struct transfer *transfer);

static size_t on_curl_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct span chunk = {data, size * count};
    if (transfer->cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (!transfer->head_told)
        tell_head(transfer);
    transfer->active_ms = loop_now(transfer->client->loop);
    if (!transfer->body_seen) {
        transfer->body_seen = true;
        arm_watchdog(transfer);
    }
    if (!transfer->cancelled && transfer->handler.on_body(transfer->context, chunk) < 0)
        transfer->stopped = true;
    return transfer->cancelled || transfer->stopped ? CURL_WRITEFUNC_ERROR : chunk.len;
}

static CURLcode on_curl_tls(CURL *easy, void *config, void *context)
{
    (void)easy;
    struct transfer *transfer = context;
    trust_apply(transfer->client->trust, config);
    return CURLE_OK;
}

static void on_watchdog(void *context);

// One timer for the limit that counts now: first_byte until the body begins, then idle.
static void arm_watchdog(struct transfer *transfer)
{
    struct loop *loop = transfer->client->loop;
    int64_t limit = transfer->body_seen ? transfer->timeouts.idle : transfer->timeouts.first_byte;
    loop_cancel(loop, transfer->watchdog);
    transfer->watchdog =
        limit > 0 ? loop_timer_at(loop, transfer->active_ms + limit, on_watchdog, transfer) : 0;
}

// Looks whether something came meanwhile; then it waits for the moment when that would be long ago.
static void on_watchdog(void *context)
{
    struct transfer *transfer = context;
    int64_t limit = transfer->body_seen ? transfer->timeouts.idle : transfer->timeouts.first_byte;
    transfer->watchdog = 0;
    if (transfer->active_ms + limit > loop_now(transfer->client->loop)) {
        arm_watchdog(transfer);
        return;
    }
    transfer->timed_out = transfer->body_seen ? "the answer stopped coming (idle timeout)"
                                              : "no answer began in time (first-byte timeout)";
    transfer_complete(transfer, CURLE_OPERATION_TIMEDOUT);
}

// Before each time that the request is sent. libcurl sends it again, without a word, where a kept
// connection broke before an answer, and the server may have obeyed the first one.
static int on_curl_request(void *context, char *ip, char *local_ip, int port, int local_port)
{
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    struct transfer *transfer = context;
    bool again = transfer->sent;
    transfer->sent = true;
    return again && transfer->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int set_headers(struct transfer *transfer, const char *const *headers, struct error *err)
{
    // Without "Expect:" libcurl would wait a second for "100 Continue" before a large body.
    transfer->headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; headers && headers[i]; i++) {
        if (i >= HTTP_REQUEST_HEADERS_MAX)
            return error_set(err, -E2BIG, "more than %d request headers", HTTP_REQUEST_HEADERS_MAX);
        if (strpbrk(headers[i], "\r\n"))
            return error_set(err, -EINVAL, "a request header holds a line break");
        struct curl_slist *longer = curl_slist_append(transfer->headers, headers[i]);
        if (!longer)
            return error_set(err, -ENOMEM, "out of memory");
        transfer->headers = longer;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    return 0;
}

static void set_options(struct transfer *transfer, const struct http_request *request)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeouts.connect);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeouts.total);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_curl_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_curl_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    if (request->body.data) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body.data);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

// Such a connection is made anew each time: it costs next to nothing, and libcurl tells them apart
// by an address that may stand for another directory the next time.
static int set_unix_socket(struct transfer *transfer, const char *path, struct error *err)
{
    int r = unix_socket_address(path, &transfer->socket, err);
    if (r < 0)
        return r;
    curl_easy_setopt(transfer->easy, CURLOPT_UNIX_SOCKET_PATH, transfer->socket.path);
    curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_PROXY, "");
    return 0;
}

int http_client_start(struct http_client *client, const struct http_request *request,
                      const struct http_handler *handler, void *context, http_id *ret_id,
                      struct error *err)
{
    struct transfer *transfer = mem_new(struct transfer);
    transfer->client = client;
    transfer->id = ++client->last_id;
    transfer->handler = *handler;
    transfer->context = context;
    transfer->timeouts = request->timeouts;
    transfer->once = request->once;
    transfer->socket = (struct unix_socket_address)UNIX_SOCKET_ADDRESS_INIT;
    buf_init(&transfer->head, HTTP_HEAD_MAX);
    list_append(&client->transfers, &transfer->link);

    int r = 0;
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        r = error_set(err, -ENOMEM, "cannot create an HTTP transfer");
    if (r == 0)
        r = set_headers(transfer, request->headers, err);
    if (r == 0 && request->unix_socket)
        r = set_unix_socket(transfer, request->unix_socket, err);
    if (r == 0) {
        set_options(transfer, request);
        transfer->active_ms = loop_now(client->loop);
        arm_watchdog(transfer);
        if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
            r = error_set(err, -EINVAL, "cannot start an HTTP transfer");
    }
    if (r < 0) {
        transfer_destroy(transfer);
        return r;
    }
    *ret_id = transfer->id;
    return 0;
}

static void destroy_cancelled(void *context)
{
    struct http_client *client = context;
    client->reaper = 0;
    list_for_each(link, &client->transfers) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (transfer->cancelled)
            transfer_destroy(transfer);
    }
}

void http_client_cancel(struct http_client *client, http_id id)
{
    struct transfer *transfer = transfer_find(client, id);
    if (!transfer || transfer->cancelled)
        return;
    transfer->cancelled = true;
    loop_cancel(client->loop, transfer->watchdog);
    if (!client->reaper)
        client->reaper = loop_defer(client->loop, destroy_cancelled, client);
}

int http_client_create(struct loop *loop, struct trust *trust, struct http_client **ret_client,
                       struct error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, -ENOMEM, "cannot initialise the HTTP library");
    CURLM *multi = curl_multi_init();
    if (!multi)
        return error_set(err, -ENOMEM, "cannot initialise the HTTP library");
    struct http_client *client = mem_new(struct http_client);
    client->loop = loop;
    client->trust = trust;
    client->multi = multi;
    list_init(&client->transfers);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    *ret_client = client;
    return 0;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    list_for_each(link, &client->transfers)
        transfer_destroy(list_entry(link, struct transfer, link));
    curl_multi_cleanup(client->multi);
    loop_cancel(client->loop, client->timer);
    loop_cancel(client->loop, client->reaper);
    curl_global_cleanup();
    free(client);
}
