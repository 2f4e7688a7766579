#include "mcp/client_meta.h"

#include <errno.h>

#include "mcp/rpc.h"

static void add_capabilities(const struct mcp_client *client, struct node parent, const char *key)
{
    struct node capabilities = node_add_object(parent, key);
    if (!client->endpoint->asks)
        return;
    struct node elicitation = node_add_object(capabilities, "elicitation");
    node_add_object(elicitation, "form");
    node_add_object(elicitation, "url");
}

static void add_info(struct node parent, const char *key)
{
    struct node info = node_add_object(parent, key);
    node_add_text(info, "name", "hermes");
    node_add_text(info, "version", HERMES_VERSION);
}

static void add_meta(const struct mcp_client *client, const struct mcp_call *call, uint64_t wire,
                     struct node params)
{
    if (!client->modern && !call->on_progress)
        return;
    struct node meta = node_add_object(params, "_meta");
    if (client->modern) {
        node_add_text(meta, "io.modelcontextprotocol/protocolVersion", client->version);
        add_info(meta, "io.modelcontextprotocol/clientInfo");
        add_capabilities(client, meta, "io.modelcontextprotocol/clientCapabilities");
    }
    if (call->on_progress)
        node_add_int(meta, "progressToken", (int64_t)wire);
}

// Members keep their bytes, but for line breaks, which are white space in JSON: strings have none.
static bool add_members(struct node params, struct span object)
{
    BUF_AUTO text = BUF_INIT(object.len);
    BUF_AUTO name = BUF_INIT(MCP_KEY_MAX);
    JSON_AUTO doc = JSON_INIT;
    struct json_value key, value;
    buf_append_span(&text, object);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\n' || text.data[i] == '\r')
            text.data[i] = ' ';
    if (json_parse(&doc, buf_span(&text), NULL) < 0 || json_type(json_root(&doc)) != JSON_OBJECT)
        return false;
    struct json_iter it = json_iter_init(json_root(&doc));
    while (json_iter_next(&it, &key, &value)) {
        buf_clear(&name);
        if (!json_string(key, &name))
            return false;
        node_add_raw(params, buf_text(&name), json_raw(value));
    }
    return true;
}

bool mcp_params_print(const struct mcp_client *client, const struct mcp_call *call, uint64_t wire,
                      struct buf *out)
{
    BUF_AUTO extra = BUF_INIT(MCP_STATE_MAX);
    if (call->extra.root && document_print(&call->extra, &extra, NULL) < 0)
        return false;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(call->params.len + extra.len + DOCUMENT_SMALL);
    struct node params = document_object(&doc);
    if ((call->params.len && !add_members(params, buf_span(&call->params))) ||
        (extra.len && !add_members(params, buf_span(&extra))))
        return false;
    add_meta(client, call, wire, params);
    return document_print(&doc, out, NULL) == 0;
}

void mcp_params_initialize(const struct mcp_client *client, struct buf *out)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node params = document_object(&doc);
    node_add_text(params, "protocolVersion", MCP_LEGACY);
    add_capabilities(client, params, "capabilities");
    add_info(params, "clientInfo");
    document_print(&doc, out, NULL);
}

bool mcp_versions_have(struct json_value versions, const char *version)
{
    struct json_value each;
    struct json_iter it = json_iter_init(versions);
    while (json_iter_next(&it, NULL, &each))
        if (json_is(each, version))
            return true;
    return false;
}

char **mcp_lines_copy(const char *const *lines)
{
    size_t count = 0;
    if (!lines)
        return NULL;
    while (lines[count])
        count++;
    char **copy = mem_zalloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(lines[i]);
    return copy;
}

struct span mcp_shown(struct json_value value)
{
    struct span raw = json_raw(value);
    return span_make(raw.data, raw.len < MCP_KEY_MAX ? raw.len : MCP_KEY_MAX);
}

int mcp_client_post(struct mcp_client *client, const char *method, struct span text,
                    struct error *err)
{
    struct mcp_outgoing message = {.text = text, .method = method};
    if (!client->transport)
        return error_set(err, -ENOTCONN, "there is no connection");
    return mcp_transport_send(client->transport, &message, err);
}

void mcp_client_notify(struct mcp_client *client, const char *method, struct span params)
{
    BUF_AUTO text = BUF_INIT(params.len + DOCUMENT_SMALL);
    if (rpc_write_notification(&text, method, params))
        mcp_client_post(client, method, buf_span(&text), NULL);
}
