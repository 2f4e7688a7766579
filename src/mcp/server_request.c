/*
 * What a message means. Each says of which era it is: a modern request names its protocol's version
 * in _meta, and all that has no version is legacy, where a peer must have said initialize.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mcp/server_internal.h"

static const char *const versions[] = {"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26",
                                       "2024-11-05"};
enum { MODERN_VERSIONS = 1, LATEST_LEGACY = 1 };

bool mcp_version_is_known(struct span version, bool modern)
{
    bool known = false;
    for (size_t i = modern ? 0 : MODERN_VERSIONS;
         i < (modern ? MODERN_VERSIONS : ARRAY_LEN(versions)); i++)
        known |= span_is(version, versions[i]);
    return known;
}

static struct json_value meta_of(const struct mcp_served *call, const char *key)
{
    return json_get(json_get(call->message.params, "_meta"), key);
}

struct json_value mcp_served_version(const struct mcp_served *call)
{
    return meta_of(call, "io.modelcontextprotocol/protocolVersion");
}

static void add_versions(struct node parent, const char *key)
{
    struct node list = node_add_array(parent, key);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        node_add_text(list, NULL, versions[i]);
}

void mcp_served_refuse_version(struct mcp_served *call, struct span requested)
{
    BUF_AUTO data = BUF_INIT(DOCUMENT_SMALL);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    add_versions(root, "supported");
    node_add_string(root, "requested", requested);
    document_print(&doc, &data, NULL);
    mcp_served_error(call, 400, RPC_UNSUPPORTED_VERSION,
                     "that version of the protocol is not supported", buf_span(&data));
}

bool mcp_served_read(struct mcp_served *call)
{
    struct error err = ERROR_INIT;
    if (json_parse(&call->doc, buf_span(&call->text), &err) < 0)
        mcp_served_error(call, 400, RPC_PARSE_ERROR, err.text, SPAN_ABSENT);
    else if (rpc_read(&call->doc, &call->message, &err) < 0)
        mcp_served_error(call, 400, RPC_INVALID_REQUEST, err.text, SPAN_ABSENT);
    else
        return true;
    return false;
}

static unsigned read_can(struct json_value capabilities)
{
    static const char *const names[] = {"elicitation", "sampling", "roots"};
    unsigned can = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_type(json_get(capabilities, names[i])) == JSON_OBJECT)
            can |= 1U << i; // in the order of enum mcp_can
    return can;
}

/* What the server itself answers */

static void add_capability(struct node all, const char *name, unsigned offers, unsigned has,
                           unsigned changes, unsigned watching)
{
    if (!(offers & has))
        return;
    struct node capability = node_add_object(all, name);
    if (offers & changes)
        node_add_bool(capability, "listChanged", true);
    if (offers & watching)
        node_add_bool(capability, "subscribe", true);
}

static void add_self(const struct mcp_served *call, struct node result)
{
    const struct mcp_offer *offer = call->server->offer;
    struct node all = node_add_object(result, "capabilities");
    add_capability(all, "tools", offer->offers, MCP_TOOLS, MCP_TOOLS_CHANGE, 0);
    add_capability(all, "resources", offer->offers, MCP_RESOURCES, MCP_RESOURCES_CHANGE,
                   MCP_WATCHING);
    add_capability(all, "prompts", offer->offers, MCP_PROMPTS, MCP_PROMPTS_CHANGE, 0);
    add_capability(all, "completions", offer->offers, MCP_COMPLETIONS, 0, 0);
    add_capability(all, "logging", offer->offers, MCP_LOGGING, 0, 0);
    if (offer->instructions)
        node_add_text(result, "instructions", offer->instructions);
}

static void initialize(struct mcp_served *call)
{
    struct mcp_peer *peer = call->peer;
    const struct mcp_offer *offer = call->server->offer;
    struct json_value wanted = json_get(call->message.params, "protocolVersion");
    const char *version = versions[LATEST_LEGACY];
    for (size_t i = MODERN_VERSIONS; i < ARRAY_LEN(versions); i++)
        if (json_is(wanted, versions[i]))
            version = versions[i];
    peer->can = read_can(json_get(call->message.params, "capabilities"));
    peer->ready = true;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node result = document_object(&doc);
    node_add_text(result, "protocolVersion", version);
    add_self(call, result);
    struct node info = node_add_object(result, "serverInfo");
    node_add_text(info, "name", offer->name);
    node_add_text(info, "version", offer->version);
    mcp_served_result(call, &doc);
}

static void discover(struct mcp_served *call)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node result = document_object(&doc);
    add_versions(result, "supportedVersions");
    add_self(call, result);
    mcp_served_result(call, &doc);
}

static void done(struct mcp_served *call)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    document_object(&doc);
    mcp_served_result(call, &doc);
}

static void set_level(struct mcp_served *call)
{
    int level = mcp_log_level_of(json_get(call->message.params, "level"));
    if (level < 0) {
        mcp_served_misused(call, RPC_INVALID_PARAMS, "\"level\" is not one of debug, info, ...",
                           SPAN_ABSENT);
        return;
    }
    call->peer->log_level = level;
    done(call);
}

static int find_uri(const struct mcp_watch *watch, struct json_value uri)
{
    for (size_t i = 0; i < watch->count; i++)
        if (json_is(uri, watch->uris[i]))
            return (int)i;
    return -1;
}

static bool add_uri(struct mcp_watch *watch, struct json_value uri)
{
    char *text = watch->count < MCP_WATCHED_MAX ? json_strdup(uri, MCP_URI_MAX) : NULL;
    if (text)
        watch->uris[watch->count++] = text;
    return text != NULL;
}

static void subscribe(struct mcp_served *call)
{
    struct mcp_watch *watch = &call->peer->watch;
    struct json_value uri = json_get(call->message.params, "uri");
    if (find_uri(watch, uri) >= 0 || add_uri(watch, uri))
        done(call);
    else
        mcp_served_misused(call, RPC_INVALID_PARAMS,
                           "\"uri\" is missing or too long, or 64 resources are watched already",
                           SPAN_ABSENT);
}

static void unsubscribe(struct mcp_served *call)
{
    struct mcp_watch *watch = &call->peer->watch;
    int i = find_uri(watch, json_get(call->message.params, "uri"));
    if (i >= 0) {
        free(watch->uris[i]);
        watch->uris[i] = watch->uris[--watch->count];
    }
    done(call);
}

// The first message of the stream says what of it will be told.
static void listen_to(struct mcp_served *call)
{
    static const struct {
        const char *key;
        unsigned change;
    } changes[] = {{"toolsListChanged", MCP_TOOLS_CHANGE},
                   {"promptsListChanged", MCP_PROMPTS_CHANGE},
                   {"resourcesListChanged", MCP_RESOURCES_CHANGE}};
    unsigned offers = call->server->offer->offers;
    struct json_value wanted = json_get(call->message.params, "notifications"), uri;
    BUF_AUTO params = BUF_INIT(MCP_ANSWER_MAX), text = BUF_INIT(MCP_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    struct node root = document_object(&doc), told = node_add_object(root, "notifications");
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        bool wants = false;
        if (!(offers & changes[i].change) || !json_bool(json_get(wanted, changes[i].key), &wants) ||
            !wants)
            continue;
        call->watch.changes |= changes[i].change;
        node_add_bool(told, changes[i].key, true);
    }
    struct json_value uris = json_get(wanted, "resourceSubscriptions");
    struct node list = offers & MCP_WATCHING && json_count(uris)
                           ? node_add_array(told, "resourceSubscriptions")
                           : NODE_ABSENT;
    struct json_iter it = json_iter_init(uris);
    while (list.doc && json_iter_next(&it, NULL, &uri))
        if (add_uri(&call->watch, uri))
            node_add_raw(list, NULL, json_raw(uri));
    node_add_raw(node_add_object(root, "_meta"), "io.modelcontextprotocol/subscriptionId",
                 json_raw(call->message.id));
    call->listens = true;
    if (document_print(&doc, &params, NULL) < 0 ||
        !rpc_write_notification(&text, "notifications/subscriptions/acknowledged",
                                buf_span(&params)) ||
        !mcp_served_send(call, buf_span(&text)))
        mcp_served_destroy(call);
}

/* The methods */

enum era { LEGACY = 1, MODERN = 2 };

static const struct {
    const char *name;
    unsigned eras, offers; // it is there with any of these offers; 0: always
    void (*run)(struct mcp_served *call);
} own_methods[] = {
    {"initialize", LEGACY, 0, initialize},
    {"ping", LEGACY, 0, done},
    {"logging/setLevel", LEGACY, MCP_LOGGING, set_level},
    {"resources/subscribe", LEGACY, MCP_WATCHING, subscribe},
    {"resources/unsubscribe", LEGACY, MCP_WATCHING, unsubscribe},
    {"server/discover", MODERN, 0, discover},
    {"subscriptions/listen", MODERN,
     MCP_TOOLS_CHANGE | MCP_RESOURCES_CHANGE | MCP_PROMPTS_CHANGE | MCP_WATCHING, listen_to},
};

static const struct {
    const char *name;
    enum mcp_verb verb;
    unsigned offers;
    const char *subject; // the parameter that names it
} owners_methods[] = {
    {"tools/list", MCP_LIST_TOOLS, MCP_TOOLS, NULL},
    {"resources/list", MCP_LIST_RESOURCES, MCP_RESOURCES, NULL},
    {"resources/templates/list", MCP_LIST_TEMPLATES, MCP_RESOURCES, NULL},
    {"prompts/list", MCP_LIST_PROMPTS, MCP_PROMPTS, NULL},
    {"tools/call", MCP_CALL_TOOL, MCP_TOOLS, "name"},
    {"resources/read", MCP_READ_RESOURCE, MCP_RESOURCES, "uri"},
    {"prompts/get", MCP_GET_PROMPT, MCP_PROMPTS, "name"},
    {"completion/complete", MCP_COMPLETE, MCP_COMPLETIONS, NULL},
};

const char *mcp_served_subject(const struct mcp_served *call)
{
    for (size_t i = 0; i < ARRAY_LEN(owners_methods); i++)
        if (json_is(call->message.method, owners_methods[i].name))
            return owners_methods[i].subject;
    return NULL;
}

static const char *params_fault(struct mcp_served *call)
{
    struct json_value params = call->message.params, state = json_get(params, "requestState");
    struct json_value responses = json_get(params, "inputResponses");
    enum json_type arguments = json_type(json_get(params, "arguments"));
    enum json_type cursor = json_type(json_get(params, "cursor"));
    if (arguments != JSON_ABSENT && arguments != JSON_OBJECT)
        return "\"arguments\" is no object";
    if (call->verb <= MCP_LIST_PROMPTS && cursor != JSON_ABSENT && cursor != JSON_NULL)
        return "the cursor is not known; the whole list comes without one";
    if (call->modern && json_type(responses) != JSON_ABSENT && json_type(responses) != JSON_OBJECT)
        return "\"inputResponses\" is no object";
    BUF_AUTO sealed = BUF_INIT(2 * (size_t)MCP_STATE_MAX);
    if (call->modern && json_type(state) != JSON_ABSENT &&
        !(json_string(state, &sealed) && mcp_state_open(call, buf_span(&sealed), &call->state)))
        return "\"requestState\" is not one of this server for this request, or too old";
    return NULL;
}

static void ask_owner(struct mcp_served *call, size_t method)
{
    const char *subject = owners_methods[method].subject;
    struct json_value name = subject ? json_get(call->message.params, subject) : JSON_VALUE_ABSENT;
    call->verb = owners_methods[method].verb;
    call->name = subject ? json_strdup(name, MCP_URI_MAX) : mem_strdup("");
    const char *fault = call->name ? params_fault(call) : "what is asked for has no name";
    if (fault)
        mcp_served_misused(call, RPC_INVALID_PARAMS, fault, SPAN_ABSENT);
    else
        mcp_served_to_owner(call);
}

static void begin_request(struct mcp_served *call)
{
    struct json_value method = call->message.method;
    unsigned offers = call->server->offer->offers;
    for (size_t i = 0; i < ARRAY_LEN(own_methods); i++)
        if (json_is(method, own_methods[i].name) &&
            own_methods[i].eras & (call->modern ? MODERN : LEGACY) &&
            (!own_methods[i].offers || own_methods[i].offers & offers)) {
            own_methods[i].run(call);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(owners_methods); i++)
        if (json_is(method, owners_methods[i].name) && owners_methods[i].offers & offers) {
            ask_owner(call, i);
            return;
        }
    mcp_served_error(call, call->modern ? 404 : 200, RPC_METHOD_NOT_FOUND,
                     "there is no such method here", SPAN_ABSENT);
}

static bool modern_fault(struct mcp_served *call)
{
    struct json_value version = mcp_served_version(call);
    struct json_value can = meta_of(call, "io.modelcontextprotocol/clientCapabilities");
    BUF_AUTO text = BUF_INIT(RPC_ID_MAX);
    if (!json_string(version, &text) || json_type(can) != JSON_OBJECT)
        mcp_served_error(
            call, 400, RPC_INVALID_PARAMS,
            "params._meta must have io.modelcontextprotocol/protocolVersion, a string, "
            "and io.modelcontextprotocol/clientCapabilities, an object",
            SPAN_ABSENT);
    else if (!mcp_version_is_known(buf_span(&text), true))
        mcp_served_refuse_version(call, buf_span(&text));
    else
        return false;
    return true;
}

// The end of a call is the end of its stream; whoever cancels it expects no answer.
static void cancel(struct mcp_served *notice)
{
    struct span id = json_raw(json_get(notice->message.params, "requestId"));
    list_for_each(link, &notice->server->calls) {
        struct mcp_served *call = list_entry(link, struct mcp_served, link);
        if (call == notice || call->peer != notice->peer || !notice->peer || !id.len ||
            !span_equal(json_raw(call->message.id), id))
            continue;
        mcp_served_drop(call);
        return;
    }
}

// Only requests are counted: what frees a place, an answer to one of ours or a cancellation, gets
// through.
static bool too_many(const struct mcp_server *server)
{
    size_t bytes = 0;
    list_for_each(link, &server->calls)
        bytes += list_entry(link, struct mcp_served, link)->text.len;
    return server->call_count > MCP_CALLS_MAX || bytes > MCP_REQUESTS_MAX;
}

void mcp_served_begin(struct mcp_served *call)
{
    struct mcp_peer *peer = call->peer;
    if (peer)
        peer->used_ms = loop_now(call->server->loop);
    if (call->message.kind != RPC_REQUEST) {
        if (call->message.kind != RPC_NOTIFICATION)
            mcp_served_answered(call);
        else if (json_is(call->message.method, "notifications/cancelled"))
            cancel(call);
        mcp_served_end(call, 202, SPAN_ABSENT);
        return;
    }
    if (too_many(call->server)) {
        mcp_served_error(call, 503, RPC_INTERNAL_ERROR,
                         "too many requests are being answered; wait for one of them", SPAN_ABSENT);
        return;
    }
    if (call->modern) {
        if (modern_fault(call))
            return;
        call->can = read_can(meta_of(call, "io.modelcontextprotocol/clientCapabilities"));
        call->log_level = mcp_log_level_of(meta_of(call, "io.modelcontextprotocol/logLevel"));
    } else if (peer->ready || json_is(call->message.method, "initialize") ||
               json_is(call->message.method, "ping")) {
        call->can = peer->can;
        call->log_level = peer->log_level;
    } else {
        mcp_served_error(call, 400, RPC_INVALID_REQUEST, "say initialize first", SPAN_ABSENT);
        return;
    }
    begin_request(call);
}
