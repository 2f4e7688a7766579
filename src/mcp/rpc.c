#include "mcp/rpc.h"

#include <errno.h>

#include "codec/document.h"

static int refuse(struct error *err, const char *why)
{
    return error_set(err, -EBADMSG, "it is no message of JSON-RPC 2.0: %s", why);
}

static bool is_id(struct json_value id)
{
    int64_t number;
    return json_raw(id).len <= RPC_ID_MAX &&
           (json_type(id) == JSON_STRING || json_int64(id, &number));
}

static int read_error(struct json_value error, struct rpc_message *message, struct error *err)
{
    struct json_value text = json_get(error, "message");
    if (!json_int64(json_get(error, "code"), &message->code))
        return refuse(err, "its \"error\" has no whole number as \"code\"");
    message->kind = RPC_ERROR;
    message->message = json_type(text) == JSON_STRING ? text : JSON_VALUE_ABSENT;
    message->data = json_get(error, "data");
    return 0;
}

int rpc_read(const struct json *doc, struct rpc_message *ret_message, struct error *err)
{
    struct json_value root = json_root(doc), id = json_get(root, "id");
    struct json_value error = json_get(root, "error");
    struct rpc_message message = {
        .method = json_get(root, "method"),
        .params = json_get(root, "params"),
        .result = json_get(root, "result"),
    };
    if (json_type(root) != JSON_OBJECT || !json_is(json_get(root, "jsonrpc"), "2.0"))
        return refuse(err, "no object with \"jsonrpc\": \"2.0\"");
    bool has_id = json_type(id) != JSON_ABSENT && json_type(id) != JSON_NULL;
    if (has_id && !is_id(id))
        return refuse(err, "its \"id\" is neither a string nor a whole number, or too long");
    if (has_id)
        message.id = id;
    if (json_type(message.method) != JSON_ABSENT) {
        if (json_type(message.method) != JSON_STRING ||
            json_raw(message.method).len > RPC_METHOD_MAX)
            return refuse(err, "its \"method\" is no name");
        message.kind = has_id ? RPC_REQUEST : RPC_NOTIFICATION;
    } else if (json_type(error) == JSON_OBJECT) {
        int r = read_error(error, &message, err);
        if (r < 0)
            return r;
    } else if (has_id && json_type(message.result) != JSON_ABSENT) {
        message.kind = RPC_RESULT;
    } else {
        return refuse(err, "it has no \"method\", no \"error\", and no \"result\" with an \"id\"");
    }
    *ret_message = message;
    return 0;
}

bool rpc_is_ours(const struct rpc_message *message, uint64_t *ret_id)
{
    int64_t id;
    if (message->kind == RPC_REQUEST || message->kind == RPC_NOTIFICATION ||
        !json_int64(message->id, &id) || id <= 0)
        return false;
    *ret_id = (uint64_t)id;
    return true;
}

bool rpc_peek(struct span text, uint64_t *ret_answered)
{
    JSON_AUTO doc = JSON_INIT;
    struct rpc_message message;
    *ret_answered = 0;
    if (json_parse(&doc, text, NULL) < 0)
        return false;
    enum json_type type = json_type(json_root(&doc));
    if (type == JSON_OBJECT && rpc_read(&doc, &message, NULL) == 0)
        rpc_is_ours(&message, ret_answered);
    return type == JSON_OBJECT || type == JSON_ARRAY;
}

static struct node begin(struct document *doc)
{
    struct node root = document_object(doc);
    node_add_text(root, "jsonrpc", "2.0");
    return root;
}

static void add_given(struct node parent, const char *key, struct span json)
{
    if (json.len)
        node_add_raw(parent, key, json);
}

bool rpc_write_request(struct buf *out, uint64_t id, const char *method, struct span params)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(params.len + DOCUMENT_SMALL);
    struct node root = begin(&doc);
    node_add_int(root, "id", (int64_t)id);
    node_add_text(root, "method", method);
    add_given(root, "params", params);
    return document_print(&doc, out, NULL) == 0;
}

bool rpc_write_notification(struct buf *out, const char *method, struct span params)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(params.len + DOCUMENT_SMALL);
    struct node root = begin(&doc);
    node_add_text(root, "method", method);
    add_given(root, "params", params);
    return document_print(&doc, out, NULL) == 0;
}

bool rpc_write_result(struct buf *out, struct span id, struct span result)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(result.len + DOCUMENT_SMALL);
    struct node root = begin(&doc);
    node_add_raw(root, "id", id);
    node_add_raw(root, "result", result);
    return document_print(&doc, out, NULL) == 0;
}

bool rpc_write_error(struct buf *out, struct span id, int64_t code, const char *message,
                     struct span data)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(data.len + DOCUMENT_SMALL);
    struct node root = begin(&doc);
    node_add_raw(root, "id", id);
    struct node error = node_add_object(root, "error");
    node_add_int(error, "code", code);
    node_add_text(error, "message", message);
    add_given(error, "data", data);
    return document_print(&doc, out, NULL) == 0;
}
