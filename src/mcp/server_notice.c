// What is told without being asked for.
#include "base/mem.h"
#include "mcp/lines.h"
#include "mcp/server_internal.h"

void mcp_server_progress(struct mcp_server *server, mcp_call_id id, int64_t progress, int64_t total,
                         const char *message)
{
    struct mcp_served *call = mcp_served_find(server, id);
    struct span token = SPAN_ABSENT;
    if (call)
        token = json_raw(json_get(json_get(call->message.params, "_meta"), "progressToken"));
    if (!token.len || token.len > RPC_ID_MAX)
        return;
    BUF_AUTO params = BUF_INIT(DOCUMENT_SMALL), text = BUF_INIT(2 * (size_t)DOCUMENT_SMALL);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    node_add_raw(root, "progressToken", token);
    node_add_int(root, "progress", progress);
    if (total)
        node_add_int(root, "total", total);
    if (message)
        node_add_text(root, "message", message);
    if (document_print(&doc, &params, NULL) == 0 &&
        rpc_write_notification(&text, "notifications/progress", buf_span(&params)))
        mcp_served_send(call, buf_span(&text));
}

static const char *const log_levels[] = {"debug", "info",     "notice", "warning",
                                         "error", "critical", "alert",  "emergency"};

int mcp_log_level_of(struct json_value name)
{
    for (int i = 0; i < (int)ARRAY_LEN(log_levels); i++)
        if (json_is(name, log_levels[i]))
            return i;
    return -1;
}

void mcp_server_log(struct mcp_server *server, mcp_call_id id, enum mcp_log_level level,
                    const char *message)
{
    struct mcp_served *call = mcp_served_find(server, id);
    if (!call || call->log_level < 0 || (int)level < call->log_level)
        return;
    BUF_AUTO params = BUF_INIT(DOCUMENT_SMALL), text = BUF_INIT(2 * (size_t)DOCUMENT_SMALL);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    node_add_text(root, "level", log_levels[level]);
    node_add_text(root, "data", message);
    if (document_print(&doc, &params, NULL) == 0 &&
        rpc_write_notification(&text, "notifications/message", buf_span(&params)))
        mcp_served_send(call, buf_span(&text));
}

static bool wants(const struct mcp_watch *watch, unsigned change, const char *uri)
{
    if (!uri)
        return watch->changes & change;
    bool found = false;
    for (size_t i = 0; i < watch->count; i++)
        found |= span_is(span_of(uri), watch->uris[i]);
    return found;
}

// `id` is of the subscription, or absent.
static void write_notice(struct buf *text, const char *method, const char *uri, struct span id)
{
    BUF_AUTO params = BUF_INIT(DOCUMENT_SMALL);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    if (uri)
        node_add_text(root, "uri", uri);
    if (id.data)
        node_add_raw(node_add_object(root, "_meta"), "io.modelcontextprotocol/subscriptionId", id);
    if (document_print(&doc, &params, NULL) == 0)
        rpc_write_notification(text, method, buf_span(&params));
}

static void tell(struct mcp_server *server, unsigned change, const char *method, const char *uri)
{
    BUF_AUTO plain = BUF_INIT(2 * (size_t)DOCUMENT_SMALL);
    write_notice(&plain, method, uri, SPAN_ABSENT);
    list_for_each(link, &server->peers) {
        struct mcp_peer *peer = list_entry(link, struct mcp_peer, link);
        if (!peer->ready || !wants(&peer->watch, change, uri))
            continue;
        if (*peer->session)
            sse_stream_send(&peer->events, SPAN_LITERAL("message"), buf_span(&plain));
        else
            mcp_lines_write(server->lines, buf_span(&plain));
    }
    list_for_each(link, &server->calls) {
        struct mcp_served *call = list_entry(link, struct mcp_served, link);
        BUF_AUTO text = BUF_INIT(2 * (size_t)DOCUMENT_SMALL);
        if (!call->listens || !wants(&call->watch, change, uri))
            continue;
        write_notice(&text, method, uri, json_raw(call->message.id));
        mcp_served_send(call, buf_span(&text));
    }
}

void mcp_server_changed(struct mcp_server *server, unsigned changes)
{
    if (changes & MCP_TOOLS_CHANGE)
        tell(server, MCP_TOOLS_CHANGE, "notifications/tools/list_changed", NULL);
    if (changes & MCP_RESOURCES_CHANGE)
        tell(server, MCP_RESOURCES_CHANGE, "notifications/resources/list_changed", NULL);
    if (changes & MCP_PROMPTS_CHANGE)
        tell(server, MCP_PROMPTS_CHANGE, "notifications/prompts/list_changed", NULL);
}

void mcp_server_updated(struct mcp_server *server, const char *uri)
{
    tell(server, 0, "notifications/resources/updated", uri);
}
