/*
 * The lines of a client become requests of HTTP, which run side by side. Two things have to be
 * known about them here: the session that initialize begins, for which what follows it must wait;
 * and which request a cancellation is of, since over HTTP a modern client cancels by leaving. An
 * owner that was started anew knows no session; then its client's initialize is said once more.
 */
#include "daemon/mcp_bridge.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "codec/document.h"
#include "codec/sse.h"
#include "daemon/control_client.h"
#include "loop/loop.h"
#include "mcp/lines.h"
#include "mcp/rpc.h"
#include "mcp/server.h"
#include "net/http_client.h"

enum {
    CONNECT_LIMIT_MS = 5 * 1000,
    SESSION_MAX = 128,        // bytes
    HELD_MAX = 8 << 20,       // bytes of lines that wait for the session
    SILENCE_MS = 3600 * 1000, // a turn may take long, and says little
};

struct bridge {
    struct loop *loop;
    struct http_client *http;
    struct mcp_lines *lines;
    char *socket;
    struct list transfers;
    struct buf session;    // a header line; empty: there is none
    struct buf initialize; // the line that began it
    struct buf held;
    bool waits; // for the session
};

enum kind {
    ALONE,      // it stands for itself
    LISTENS,    // likewise, and ends only with its client
    HEARS,      // what the owner says to a session of its own accord; ends as LISTENS
    IN_SESSION, // of a legacy client
    FIRST,      // initialize
    AGAIN,      // initialize, which the client has said long ago
};

struct transfer {
    struct list link; // bridge::transfers
    struct bridge *bridge;
    http_id http;
    struct buf line, id; // id: JSON; empty: of a notification or an answer
    enum kind kind;
    bool streams;
    int status;
    struct sse_parser stream;
    struct buf body;
};

static void transfer_destroy(struct transfer *transfer)
{
    list_remove(&transfer->link);
    buf_finish(&transfer->line);
    buf_finish(&transfer->id);
    sse_finish(&transfer->stream);
    buf_finish(&transfer->body);
    free(transfer);
}

static void look(void *context)
{
    struct bridge *bridge = context;
    bool answers = false; // are still to come
    list_for_each(link, &bridge->transfers) {
        enum kind kind = list_entry(link, struct transfer, link)->kind;
        answers |= kind != LISTENS && kind != HEARS;
    }
    if (mcp_lines_dead(bridge->lines) || (mcp_lines_over(bridge->lines) && !answers))
        loop_stop(bridge->loop);
}

static void on_head(void *context, const struct http_head *head)
{
    struct transfer *transfer = context;
    struct bridge *bridge = transfer->bridge;
    struct span session = http_head_get(head, "Mcp-Session-Id");
    transfer->status = head->status;
    transfer->streams = span_starts_with(http_head_get(head, "Content-Type"), "text/event-stream");
    if (transfer->kind < FIRST || !session.len || session.len > SESSION_MAX)
        return;
    buf_clear(&bridge->session);
    buf_append_text(&bridge->session, "Mcp-Session-Id: ");
    buf_append_span(&bridge->session, session);
}

static int on_event(void *context, const struct sse_event *event)
{
    struct transfer *transfer = context;
    if (event->data.len)
        mcp_lines_write(transfer->bridge->lines, event->data);
    return 0;
}

static int on_body(void *context, struct span chunk)
{
    struct transfer *transfer = context;
    if (transfer->streams)
        return sse_feed(&transfer->stream, chunk, on_event, transfer, NULL);
    return buf_append_span(&transfer->body, chunk) ? 0 : -1;
}

static void fail(struct bridge *bridge, struct span id, const char *why)
{
    BUF_AUTO text = BUF_INIT(DOCUMENT_SMALL);
    if (id.len && rpc_write_error(&text, id, RPC_INTERNAL_ERROR, why, SPAN_ABSENT))
        mcp_lines_write(bridge->lines, buf_span(&text));
}

static void take_line(struct bridge *bridge, struct span line);

// What was held goes out in its order, up to another initialize.
static void release(struct bridge *bridge)
{
    BUF_AUTO held = bridge->held;
    buf_init(&bridge->held, HELD_MAX);
    bridge->waits = false;
    for (struct span rest = buf_span(&held), line; rest.len;) {
        line = span_cut(&rest, '\n');
        take_line(bridge, line);
    }
}

static void hold(struct bridge *bridge, struct span line)
{
    if (!buf_append_span(&bridge->held, line) || !buf_append_char(&bridge->held, '\n'))
        loop_stop(bridge->loop);
}

static void send(struct bridge *bridge, struct span line, struct span id, enum kind kind);

static void tell(const struct transfer *transfer, enum http_failure failure)
{
    struct bridge *bridge = transfer->bridge;
    struct span body = span_trim(buf_span(&transfer->body)), id = buf_span(&transfer->id);
    if (failure != HTTP_OK)
        fail(bridge, id,
             failure == HTTP_UNREACHABLE ? "the hermes that was running has ended; start this anew"
                                         : "the running hermes did not answer");
    else if (span_starts_with(body, "{"))
        mcp_lines_write(bridge->lines, body);
    else if (!transfer->streams)
        fail(bridge, id,
             body.len ? buf_text(&transfer->body) : "the running hermes gave no answer");
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct transfer *transfer = context;
    struct bridge *bridge = transfer->bridge;
    enum kind kind = transfer->kind;
    bool forgotten = failure == HTTP_OK && transfer->status == 404 && kind == IN_SESSION;
    if (forgotten)
        hold(bridge, buf_span(&transfer->line));
    else if (kind != AGAIN)
        tell(transfer, failure);
    transfer_destroy(transfer);
    if (forgotten && !bridge->waits) {
        buf_clear(&bridge->session);
        send(bridge, buf_span(&bridge->initialize), SPAN_ABSENT, AGAIN);
    } else if (kind >= FIRST) {
        if (bridge->session.len)
            send(bridge, SPAN_ABSENT, SPAN_ABSENT, HEARS);
        release(bridge);
    }
    look(bridge);
}

static void cancel(struct bridge *bridge, struct span id)
{
    list_for_each(link, &bridge->transfers) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (!id.len || transfer->kind >= FIRST || !span_equal(buf_span(&transfer->id), id))
            continue;
        http_client_cancel(bridge->http, transfer->http);
        transfer_destroy(transfer);
        return;
    }
}

static void send(struct bridge *bridge, struct span line, struct span id, enum kind kind)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const char *headers[] = {"Content-Type: application/json",
                             "Accept: application/json, text/event-stream", NULL, NULL};
    if (kind == IN_SESSION || kind == HEARS)
        headers[2] = buf_text(&bridge->session);
    struct error err = ERROR_INIT;
    struct transfer *transfer = mem_new(struct transfer);
    transfer->bridge = bridge;
    transfer->kind = kind;
    sse_init(&transfer->stream, MCP_ANSWER_MAX);
    buf_init(&transfer->body, MCP_ANSWER_MAX);
    buf_init(&transfer->id, RPC_ID_MAX);
    buf_append_span(&transfer->id, id);
    buf_init(&transfer->line, MCP_REQUEST_MAX);
    if (kind == IN_SESSION)
        buf_append_span(&transfer->line, line);
    list_append(&bridge->transfers, &transfer->link);
    struct http_request request = {
        .method = kind == HEARS ? "GET" : "POST",
        .url = "http://localhost/mcp",
        .headers = headers,
        .body = line,
        .timeouts = {.connect = CONNECT_LIMIT_MS, .first_byte = SILENCE_MS, .idle = SILENCE_MS},
        .unix_socket = bridge->socket,
    };
    if (http_client_start(bridge->http, &request, &handler, transfer, &transfer->http, &err) < 0) {
        fail(bridge, id, err.text);
        transfer_destroy(transfer);
    } else {
        bridge->waits |= kind >= FIRST;
    }
}

static enum kind kind_of(const struct bridge *bridge, const struct rpc_message *message)
{
    struct json_value version =
        json_get(json_get(message->params, "_meta"), "io.modelcontextprotocol/protocolVersion");
    if (json_type(version) != JSON_ABSENT)
        return json_is(message->method, "subscriptions/listen") ? LISTENS : ALONE;
    if (message->kind == RPC_REQUEST && json_is(message->method, "initialize"))
        return FIRST;
    return bridge->session.len ? IN_SESSION : ALONE;
}

static void take_line(struct bridge *bridge, struct span line)
{
    JSON_AUTO doc = JSON_INIT;
    struct rpc_message message;
    if (bridge->waits) {
        hold(bridge, line);
        return;
    }
    bool read = json_parse(&doc, line, NULL) == 0 && rpc_read(&doc, &message, NULL) == 0;
    bool request = read && message.kind == RPC_REQUEST;
    enum kind kind = read ? kind_of(bridge, &message) : ALONE;
    if (kind == FIRST) {
        buf_clear(&bridge->initialize);
        buf_append_span(&bridge->initialize, line);
    }
    if (read && message.kind == RPC_NOTIFICATION &&
        json_is(message.method, "notifications/cancelled"))
        cancel(bridge, json_raw(json_get(message.params, "requestId")));
    else // what is no message the owner says better
        send(bridge, line, request ? json_raw(message.id) : SPAN_ABSENT, kind);
}

static void on_line(void *context, struct span line)
{
    BUF_AUTO text = BUF_INIT(DOCUMENT_SMALL);
    struct bridge *bridge = context;
    if (line.data) {
        take_line(bridge, line);
        return;
    }
    rpc_write_error(&text, SPAN_ABSENT, RPC_PARSE_ERROR, "the message is longer than 4 MiB",
                    SPAN_ABSENT);
    mcp_lines_write(bridge->lines, buf_span(&text));
}

int mcp_bridge_run(struct loop *loop, const char *home, struct error *err)
{
    static const struct mcp_lines_events events = {on_line, look};
    struct bridge bridge = {.loop = loop, .socket = control_client_socket(home)};
    list_init(&bridge.transfers);
    buf_init(&bridge.session, 2 * SESSION_MAX);
    buf_init(&bridge.held, HELD_MAX);
    buf_init(&bridge.initialize, MCP_REQUEST_MAX);
    int r = http_client_create(loop, NULL, &bridge.http, err);
    if (r == 0)
        r = mcp_lines_open(loop, STDIN_FILENO, STDOUT_FILENO, MCP_REQUEST_MAX, &events, &bridge,
                           &bridge.lines, err);
    if (r == 0)
        loop_run(loop);
    http_client_destroy(bridge.http);
    mcp_lines_close(bridge.lines);
    list_for_each(link, &bridge.transfers)
        transfer_destroy(list_entry(link, struct transfer, link));
    buf_finish(&bridge.session);
    buf_finish(&bridge.held);
    buf_finish(&bridge.initialize);
    free(bridge.socket);
    return r;
}
