#include "mcp/server.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "mcp/lines.h"
#include "mcp/server_internal.h"

struct mcp_server *mcp_server_create(struct loop *loop, const struct mcp_offer *offer,
                                     void *context)
{
    struct mcp_server *server = mem_new(struct mcp_server);
    server->loop = loop;
    server->offer = offer;
    server->context = context;
    list_init(&server->calls);
    list_init(&server->peers);
    random_bytes(server->key, sizeof server->key);
    return server;
}

void mcp_server_destroy(struct mcp_server *server)
{
    if (!server)
        return;
    server->on_call_over = NULL;
    loop_cancel(server->loop, server->ending);
    list_for_each(link, &server->calls)
        mcp_served_destroy(list_entry(link, struct mcp_served, link));
    list_for_each(link, &server->peers)
        mcp_peer_destroy(list_entry(link, struct mcp_peer, link));
    mcp_lines_close(server->lines);
    free(server);
}

void mcp_server_reply(struct mcp_server *server, mcp_call_id id, struct document *result)
{
    struct mcp_served *call = mcp_served_find(server, id);
    if (call)
        mcp_served_result(call, result);
}

void mcp_server_fail(struct mcp_server *server, mcp_call_id id, int64_t code, const char *message,
                     struct span data)
{
    struct mcp_served *call = mcp_served_find(server, id);
    if (call)
        mcp_served_error(call, 200, code, message, data);
}

void mcp_server_fail_unknown(struct mcp_server *server, mcp_call_id id)
{
    struct mcp_served *call = mcp_served_find(server, id);
    if (!call)
        return;
    bool resource = call->verb == MCP_READ_RESOURCE;
    BUF_AUTO data = BUF_INIT(MCP_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    node_add_text(document_object(&doc), resource ? "uri" : "name", call->name);
    document_print(&doc, &data, NULL);
    mcp_served_error(call, 200,
                     resource && !call->modern ? RPC_RESOURCE_NOT_FOUND : RPC_INVALID_PARAMS,
                     resource                       ? "there is no such resource"
                     : call->verb == MCP_GET_PROMPT ? "there is no such prompt"
                                                    : "there is no such tool",
                     buf_span(&data));
}
