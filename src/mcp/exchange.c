#include "mcp/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/url.h"
#include "codec/utf8.h"
#include "mcp/rpc.h"
#include "net/http_field.h"

enum {
    NOTICE_MAX_MS = 60 * 1000, // for the answer to what nobody waits for
    SHOWN_MAX = 200,           // bytes of what a server says that are repeated in a sentence
};

/* The site */

static void free_headers(char **headers)
{
    for (size_t i = 0; headers && headers[i]; i++)
        free(headers[i]);
    free(headers);
}

// One more than there may be, so that exchange_send() can refuse them.
void exchange_site_set_headers(struct exchange_site *site, const char *const *headers)
{
    char **copies = mem_zalloc((MCP_HEADERS_MAX + 2) * sizeof *copies);
    for (size_t i = 0; headers && headers[i] && i <= MCP_HEADERS_MAX; i++)
        copies[i] = mem_strdup(headers[i]);
    free_headers(site->headers);
    site->headers = copies;
}

void exchange_site_set_version(struct exchange_site *site, const char *version, bool modern)
{
    free(site->version);
    site->version = mem_strdup(version);
    site->modern = modern;
}

int exchange_site_init(struct exchange_site *site, struct http_client *http,
                       const struct mcp_address *address, struct error *err)
{
    struct url url;
    int r = url_parse(span_of(address->url), &url, err);
    if (r < 0)
        return error_wrap(err, "the server's URL");
    *site = (struct exchange_site){
        .http = http,
        .url = mem_strdup(address->url),
        .authority = mem_strndup(url.authority.data, url.authority.len),
        .connect_ms = address->connect_ms,
        .version = mem_strdup(""),
    };
    exchange_site_set_headers(site, address->headers);
    return 0;
}

void exchange_site_finish(struct exchange_site *site)
{
    free_headers(site->headers);
    free(site->url);
    free(site->authority);
    free(site->version);
    free(site->session);
}

/* Begin and end */

struct exchange *exchange_create(struct exchange_site *site, uint64_t request,
                                 const struct exchange_events *events, void *context)
{
    struct exchange *exchange = mem_new(struct exchange);
    exchange->site = site;
    exchange->request = request;
    exchange->events = events;
    exchange->context = context;
    list_init(&exchange->link);
    sse_init(&exchange->stream, RPC_MESSAGE_MAX);
    buf_init(&exchange->challenge, MCP_CHALLENGE_MAX);
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    sse_finish(&exchange->stream);
    buf_finish(&exchange->body);
    buf_finish(&exchange->challenge);
    free(exchange);
}

void exchange_drop(struct exchange *exchange)
{
    list_remove(&exchange->link);
    http_client_cancel(exchange->site->http, exchange->id);
    exchange->dropped = true;
    if (!exchange->telling)
        exchange_free(exchange);
}

// Whether it is still there when an event has been told.
static bool told(struct exchange *exchange)
{
    bool dropped = exchange->dropped;
    exchange->telling = false;
    if (dropped)
        exchange_free(exchange);
    return !dropped;
}

/* What comes back */

static int hand_on(void *context, const struct sse_event *event)
{
    struct exchange *exchange = context;
    uint64_t answered;
    if (!event->unfinished || rpc_peek(event->data, &answered)) // many forget the last blank line
        exchange->events->on_event(exchange, event->type, event->data);
    return exchange->dropped ? -ECANCELED : 0;
}

// A server may offer several in as many lines.
static void keep_challenges(struct buf *out, struct span lines)
{
    while (lines.len) {
        struct span line = span_cut(&lines, '\n'), name, value;
        line.len -= span_ends_with(line, "\r");
        if (!http_field_split(line, &name, &value) || !http_same(name, "WWW-Authenticate"))
            continue;
        size_t before = out->len;
        if ((before && !buf_append_text(out, ", ")) || !buf_append_span(out, value))
            buf_truncate(out, before);
    }
}

// Without its query, which may hold a secret.
static void explain_redirect(struct exchange *exchange, struct span location)
{
    BUF_AUTO target = BUF_INIT(URL_BYTES_MAX);
    struct url url;
    char shown[SHOWN_MAX] = "another address";
    if (location.len && url_resolve(span_of(exchange->site->url), location, &target) &&
        url_parse(buf_span(&target), &url, NULL) == 0)
        snprintf(shown, sizeof shown, "http%s://%.*s%.*s", url.secure ? "s" : "",
                 (int)url.authority.len, url.authority.data, (int)url.path.len, url.path.data);
    error_set(
        &exchange->trouble, -EREMCHG,
        "%s answered with status %d, a redirect to %s, which is not followed: headers may hold "
        "a key for one server alone. If that is where it is, make it the server's URL",
        exchange->site->authority, exchange->status, shown);
}

static void on_head(void *context, const struct http_head *head)
{
    struct exchange *exchange = context;
    struct span type = http_head_get(head, "Content-Type");
    struct span media = span_trim(span_cut(&type, ';'));
    exchange->status = head->status;
    exchange->kind = EXCHANGE_REFUSAL;
    if (head->status >= 200 && head->status < 300) {
        if (exchange->acknowledged)
            exchange->kind = EXCHANGE_IGNORED;
        else if (http_same(media, "text/event-stream"))
            exchange->kind = EXCHANGE_STREAM;
        else if (http_same(media, "application/json") || (!media.len && head->status == 200))
            exchange->kind = EXCHANGE_DOCUMENT;
        else if (!exchange->request || head->status != 200)
            exchange->kind = EXCHANGE_IGNORED;
    }
    buf_init(&exchange->body,
             exchange->kind == EXCHANGE_DOCUMENT ? RPC_MESSAGE_MAX : MCP_REFUSAL_MAX);
    if (head->status == 401 || head->status == 403)
        keep_challenges(&exchange->challenge, head->lines);
    if (head->status >= 300 && head->status < 400)
        explain_redirect(exchange, http_head_get(head, "Location"));
    else if (exchange->kind == EXCHANGE_REFUSAL && head->status < 300)
        error_set(&exchange->trouble, -EPROTO,
                  "%s answered with neither JSON nor a stream of events; is the URL that of a "
                  "server of the Model Context Protocol?",
                  exchange->site->authority);
    if (exchange->kind == EXCHANGE_REFUSAL || !exchange->events->on_accepted)
        return;
    exchange->telling = true;
    exchange->events->on_accepted(exchange, head);
    told(exchange);
}

static int on_body(void *context, struct span chunk)
{
    struct exchange *exchange = context;
    struct buf *body = &exchange->body;
    size_t room = body->max - body->len;
    if (exchange->kind == EXCHANGE_STREAM) {
        exchange->telling = true;
        int r = sse_feed(&exchange->stream, chunk, hand_on, exchange, &exchange->trouble);
        return told(exchange) ? r : 0;
    }
    if (exchange->kind == EXCHANGE_IGNORED)
        return 0;
    buf_append(body, chunk.data, chunk.len < room ? chunk.len : room);
    if (chunk.len <= room)
        return 0;
    if (exchange->kind == EXCHANGE_DOCUMENT)
        error_set(&exchange->trouble, -EMSGSIZE, "%s answered with more than %d MiB",
                  exchange->site->authority, RPC_MESSAGE_MAX >> 20);
    return -EMSGSIZE;
}

static const struct error *explain_refusal(struct exchange *exchange)
{
    char shown[SHOWN_MAX] = "";
    struct span body = span_trim(buf_span(&exchange->body));
    if (exchange->trouble.code)
        return &exchange->trouble;
    if (!span_starts_with(body, "<")) // a page is for browsers
        utf8_one_line(body, shown, sizeof shown);
    error_set(&exchange->trouble, -EPROTO, "%s answered with status %d%s%s",
              exchange->site->authority, exchange->status, *shown ? ": " : "", shown);
    return &exchange->trouble;
}

// Positive: it ended in order.
static int judge(struct exchange *exchange, enum http_failure failure, const struct error *err,
                 bool sent, struct mcp_failure *ret_failure)
{
    int status = exchange->status;
    *ret_failure = (struct mcp_failure){
        .loss = MCP_CUT,
        .status = status,
        .challenge = exchange->challenge.len ? buf_span(&exchange->challenge) : SPAN_ABSENT,
        .err = err,
    };
    if (!status) {
        ret_failure->loss = sent && err->code != -ESTALE ? MCP_CUT : MCP_NOT_SENT;
    } else if (exchange->kind == EXCHANGE_REFUSAL) {
        bool denied = status == 401 || (status == 403 && exchange->challenge.len);
        ret_failure->loss = denied ? MCP_UNAUTHORIZED : MCP_REFUSED;
        ret_failure->body = buf_span(&exchange->body);
        ret_failure->err = explain_refusal(exchange);
    } else if (exchange->kind == EXCHANGE_IGNORED || failure == HTTP_OK) {
        return 1;
    } else if (exchange->trouble.code) {
        ret_failure->err = &exchange->trouble;
    }
    return 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct exchange *exchange = context;
    struct mcp_failure over;
    bool sent = http_client_was_sent(exchange->site->http, exchange->id);
    exchange->id = 0;
    exchange->telling = true;
    if (failure == HTTP_OK && exchange->kind == EXCHANGE_STREAM)
        sse_end(&exchange->stream, hand_on, exchange, &exchange->trouble);
    else if (failure == HTTP_OK && exchange->kind == EXCHANGE_DOCUMENT && exchange->body.len)
        exchange->events->on_event(exchange, SPAN_LITERAL("message"), buf_span(&exchange->body));
    if (!exchange->dropped) {
        bool in_order = judge(exchange, failure, err, sent, &over) > 0;
        exchange->events->on_over(exchange, in_order ? NULL : &over);
    }
    told(exchange);
}

/* What is sent */

struct lines {
    char *at[HTTP_REQUEST_HEADERS_MAX + 2]; // one more than is taken, up to NULL
    size_t count;
};

static void add(struct lines *lines, const char *name, const char *value)
{
    if (lines->count <= HTTP_REQUEST_HEADERS_MAX && value && *value)
        lines->at[lines->count++] = mem_printf("%s%s", name, value);
}

static void add_all(struct lines *lines, const char *const *headers)
{
    for (size_t i = 0; headers && headers[i]; i++)
        add(lines, "", headers[i]);
}

static void write_headers(struct lines *lines, const struct exchange_site *site,
                          const struct exchange_order *order)
{
    const struct mcp_outgoing *message = order->message;
    if (message)
        add(lines, "Accept: ", "application/json, text/event-stream");
    else if (strcmp(order->method, "GET") == 0)
        add(lines, "Accept: ", "text/event-stream");
    add(lines, "MCP-Protocol-Version: ", site->version);
    add(lines, "Last-Event-ID: ", order->last_event);
    if (!site->modern)
        add(lines, "Mcp-Session-Id: ", site->session);
    if (message) {
        add(lines, "Content-Type: ", "application/json");
        add(lines, "Mcp-Method: ", site->modern ? message->method : NULL);
        add(lines, "Mcp-Name: ", site->modern ? message->name : NULL);
        add_all(lines, message->headers);
    }
    add_all(lines, (const char *const *)site->headers);
}

static int start(struct exchange_site *site, const struct exchange_order *order, int64_t total_ms,
                 const struct http_handler *handler, void *context, http_id *ret_id,
                 struct error *err)
{
    struct lines lines = {0};
    if (site->headers[MCP_HEADERS_MAX])
        return error_set(err, -E2BIG, "more than %d headers are set for %s", MCP_HEADERS_MAX,
                         site->authority);
    write_headers(&lines, site, order);
    const struct http_request request = {
        .method = order->method,
        .url = order->url ? order->url : site->url,
        .headers = (const char *const *)lines.at,
        .body = order->message ? order->message->text : SPAN_ABSENT,
        .timeouts = {.connect = site->connect_ms, .total = total_ms},
    };
    int r = http_client_start(site->http, &request, handler, context, ret_id, err);
    for (size_t i = 0; i < lines.count; i++)
        free(lines.at[i]);
    return r;
}

int exchange_send(struct exchange *exchange, const struct exchange_order *order, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const struct exchange_site *site = exchange->site;
    bool awaited = !order->message || (exchange->request && !exchange->acknowledged);
    exchange->status = 0;
    exchange->session = site->session && !site->modern ? site->session_count : 0;
    exchange->trouble = (struct error)ERROR_INIT;
    buf_finish(&exchange->body);
    buf_clear(&exchange->challenge);
    sse_reset(&exchange->stream);
    return start(exchange->site, order, awaited ? 0 : NOTICE_MAX_MS, &handler, exchange,
                 &exchange->id, err);
}

static int pass_over(void *context, struct span chunk)
{
    return 0;
}

static void nobody_waits(void *context, enum http_failure failure, const struct error *err) {}

void exchange_site_leave(struct exchange_site *site)
{
    static const struct http_handler handler = {NULL, pass_over, nobody_waits};
    const struct exchange_order order = {.method = "DELETE"};
    http_id id;
    if (site->session && !site->modern)
        start(site, &order, NOTICE_MAX_MS, &handler, NULL, &id, NULL);
}
