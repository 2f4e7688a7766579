/*
 * Every message is a call from its arrival to its end, also one that nobody answers, so there is
 * one way by which it is answered, refused or forgotten. Its text and the positions in it are kept
 * as long: an owner that answers later, or asks first, sees the params as they came.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "mcp/lines.h"
#include "mcp/server_internal.h"
#include "net/http_server.h"

void mcp_watch_finish(struct mcp_watch *watch)
{
    while (watch->count)
        free(watch->uris[--watch->count]);
}

struct mcp_peer *mcp_peer_create(struct mcp_server *server)
{
    struct mcp_peer *peer = mem_new(struct mcp_peer);
    peer->server = server;
    peer->log_level = -1;
    peer->watch.changes = server->offer->offers;
    peer->used_ms = loop_now(server->loop);
    list_append(&server->peers, &peer->link);
    return peer;
}

void mcp_peer_destroy(struct mcp_peer *peer)
{
    mcp_calls_drop(peer->server, peer, NULL);
    if (*peer->session)
        peer->server->session_count--;
    sse_stream_end(&peer->events);
    mcp_watch_finish(&peer->watch);
    list_remove(&peer->link);
    free(peer);
}

struct mcp_served *mcp_served_create(struct mcp_server *server)
{
    struct mcp_served *call = mem_new(struct mcp_served);
    call->server = server;
    call->id = ++server->last_call;
    call->doc.count_max = DOCUMENT_VALUES_MAX;
    call->log_level = -1;
    buf_init(&call->text, MCP_REQUEST_MAX);
    buf_init(&call->state, MCP_STATE_MAX);
    buf_init(&call->answers, MCP_ANSWER_MAX);
    list_append(&server->calls, &call->link);
    server->call_count++;
    return call;
}

void mcp_served_forget_asks(struct mcp_served *call)
{
    while (call->ask_count) {
        struct mcp_open_ask *ask = &call->asks[--call->ask_count];
        free(ask->key);
        buf_finish(&ask->answer);
    }
}

void mcp_served_destroy(struct mcp_served *call)
{
    struct mcp_server *server = call->server;
    struct http_exchange *exchange =
        call->exchange ? http_server_find(call->http, call->exchange) : NULL;
    if (call->stream.exchange)
        sse_stream_abort(&call->stream);
    else if (exchange)
        http_exchange_abort(exchange);
    mcp_served_forget_asks(call);
    mcp_watch_finish(&call->watch);
    json_finish(&call->answers_doc);
    buf_finish(&call->answers);
    buf_finish(&call->state);
    json_finish(&call->doc);
    buf_finish(&call->text);
    free(call->name);
    list_remove(&call->link);
    server->call_count--;
    free(call);
    if (server->on_call_over)
        server->on_call_over(server);
}

struct mcp_served *mcp_served_find(const struct mcp_server *server, mcp_call_id id)
{
    list_for_each(link, &server->calls) {
        struct mcp_served *call = list_entry(link, struct mcp_served, link);
        if (call->id == id)
            return call;
    }
    return NULL;
}

void mcp_served_drop(struct mcp_served *call)
{
    struct mcp_server *server = call->server;
    mcp_call_id id = call->id;
    bool asked = call->name && !call->ask_count; // the owner, and not the client
    mcp_served_destroy(call);
    if (asked)
        server->offer->on_cancel(server->context, id);
}

// The callback of one may end another, so each is looked for anew.
void mcp_calls_drop(struct mcp_server *server, const struct mcp_peer *peer,
                    const struct http_server *http)
{
    struct mcp_served *found;
    do {
        found = NULL;
        list_for_each(link, &server->calls) {
            struct mcp_served *call = list_entry(link, struct mcp_served, link);
            if ((peer && call->peer == peer) || (http && call->http == http))
                found = call;
        }
        if (found)
            mcp_served_drop(found);
    } while (found);
}

bool mcp_served_send(struct mcp_served *call, struct span text)
{
    if (!call->http)
        return mcp_lines_write(call->server->lines, text);
    struct http_exchange *exchange =
        call->exchange ? http_server_find(call->http, call->exchange) : NULL;
    if (exchange && !call->stream.exchange)
        sse_stream_begin(&call->stream, call->server->loop, call->http, exchange,
                         MCP_KEEP_ALIVE_MS);
    return sse_stream_send(&call->stream, SPAN_LITERAL("message"), text) >= 0;
}

void mcp_served_end(struct mcp_served *call, unsigned status, struct span text)
{
    struct http_exchange *exchange =
        call->exchange ? http_server_find(call->http, call->exchange) : NULL;
    if (call->stream.exchange) {
        if (!text.data || mcp_served_send(call, text))
            sse_stream_end(&call->stream);
    } else if (exchange) {
        http_exchange_reply(exchange, status, text.data ? "application/json" : NULL, text);
    } else if (text.data && !call->http) {
        mcp_served_send(call, text);
    }
    call->exchange = 0;
    mcp_served_destroy(call);
}

void mcp_served_error(struct mcp_served *call, unsigned status, int64_t code, const char *message,
                      struct span data)
{
    BUF_AUTO text = BUF_INIT(MCP_ANSWER_MAX);
    rpc_write_error(&text, json_raw(call->message.id), code, message, data);
    mcp_served_end(call, status, buf_span(&text));
}

void mcp_served_misused(struct mcp_served *call, int64_t code, const char *message,
                        struct span data)
{
    mcp_served_error(call, call->modern ? 400 : 200, code, message, data);
}

// What is added in the modern era: that this is the result, by whom, and how long it holds.
static void add_modern(const struct mcp_served *call, struct node result)
{
    enum { LIST_HOLDS_MS = 60 * 1000 };
    const struct mcp_offer *offer = call->server->offer;
    node_add_text(result, "resultType", "complete");
    struct node meta = node_add_object(result, "_meta");
    struct node info = node_add_object(meta, "io.modelcontextprotocol/serverInfo");
    node_add_text(info, "name", offer->name);
    node_add_text(info, "version", offer->version);
    if (!call->name || call->verb <= MCP_LIST_PROMPTS || call->verb == MCP_READ_RESOURCE) {
        node_add_int(result, "ttlMs", call->verb == MCP_READ_RESOURCE ? 0 : LIST_HOLDS_MS);
        node_add_text(result, "cacheScope", "private");
    }
}

void mcp_served_result(struct mcp_served *call, struct document *result)
{
    struct error err = ERROR_INIT;
    BUF_AUTO json = BUF_INIT(MCP_ANSWER_MAX);
    BUF_AUTO text = BUF_INIT(MCP_ANSWER_MAX);
    if (call->modern)
        add_modern(call, document_root(result));
    int r = document_print(result, &json, &err);
    if (r == 0 && rpc_write_result(&text, json_raw(call->message.id), buf_span(&json)))
        mcp_served_end(call, 200, buf_span(&text));
    else
        mcp_served_error(call, 200, RPC_INTERNAL_ERROR,
                         r < 0 ? err.text : "the result is larger than 4 MiB", SPAN_ABSENT);
}

void mcp_served_to_owner(struct mcp_served *call)
{
    struct json_value params = call->message.params;
    struct mcp_asked asked = {
        .call = call->id,
        .verb = call->verb,
        .name = call->name,
        .params = params,
        .arguments = json_get(params, "arguments"),
        .can = call->can,
        .responses =
            call->modern ? json_get(params, "inputResponses") : json_root(&call->answers_doc),
        .state = call->state.data ? buf_span(&call->state) : SPAN_ABSENT,
    };
    call->server->offer->on_request(call->server->context, &asked);
}
