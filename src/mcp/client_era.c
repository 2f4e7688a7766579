/*
 * From an endpoint to a server that is ready. A URL is a list of places: "/mcp" and "/sse" are what
 * people leave out or mix up, so those are tried besides what they wrote. At each place, and of a
 * program, server/discover is asked first, and what is no modern answer leads to "initialize". But
 * 401, 403, 5xx and silence over HTTP say nothing of the era, and looking elsewhere would only hide
 * them. A program that died or fell silent over the question is begun anew, as one that answered
 * with legacy versions alone is: it may take "initialize" for a repetition.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/wait.h"
#include "codec/url.h"
#include "codec/utf8.h"
#include "mcp/client_call.h"
#include "mcp/client_meta.h"

enum {
    TRIED_MAX = 1024,   // bytes of what is said of the places that were tried
    TAKEN_MS = 2 * 1000 // after which "initialized" counts as taken
};

static const char *const legacy_versions[] = {MCP_LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"};

static bool knows_legacy(struct json_value versions)
{
    for (size_t i = 0; i < ARRAY_LEN(legacy_versions); i++)
        if (mcp_versions_have(versions, legacy_versions[i]))
            return true;
    return false;
}

static void begin(struct mcp_client *client);
static void on_initialized(void *context, const struct mcp_reply *reply);
static void on_discovered(void *context, const struct mcp_reply *reply);

static enum mcp_way way_now(const struct mcp_client *client)
{
    return client->endpoint->program ? MCP_WAY_AUTO : client->era.places[client->era.next - 1].way;
}

static void elsewhere(struct mcp_client *client, const struct mcp_reply *reply)
{
    struct span url = span_of(client->era.places[client->era.next - 1].url);
    struct span place = span_cut(&url, '?'); // a query may hold a secret
    struct buf *tried = &client->era.tried;
    buf_printf(tried, "%s%.*s%s: ", tried->len ? "; " : "", (int)place.len, place.data,
               way_now(client) == MCP_WAY_SSE ? " (HTTP+SSE)" : "");
    if (client->failure && client->failure->status)
        buf_printf(tried, "status %d", client->failure->status);
    else
        buf_append_text(tried, reply->err->text);
    if (client->era.next < client->era.count)
        begin(client);
    else
        mcp_client_close_text(client, MCP_INVALID, "is not to be found (%s); is its `url` right?",
                              buf_text(tried));
}

static void ask(struct mcp_client *client, const char *method, struct span params, int64_t ms,
                mcp_reply_fn *fn)
{
    struct error err = ERROR_INIT;
    const struct mcp_request request = {.method = method, .params = params, .timeout_ms = ms};
    if (!mcp_call_start(client, &request, true, fn, client, &err))
        mcp_client_close_text(client, MCP_GONE, "cannot be asked: %s", err.text);
}

static int64_t probe_ms(const struct mcp_client *client)
{
    int64_t half_ms = client->endpoint->connect_ms / 2;
    return half_ms < MCP_PROBE_MS ? half_ms : MCP_PROBE_MS;
}

static void initialize(struct mcp_client *client)
{
    BUF_AUTO params = BUF_INIT(DOCUMENT_SMALL);
    bool tries = way_now(client) == MCP_WAY_SSE && client->era.next < client->era.count;
    client->modern = false;
    client->version = MCP_LEGACY;
    mcp_transport_set_version(client->transport, "", false);
    mcp_params_initialize(client, &params);
    ask(client, "initialize", buf_span(&params),
        tries && client->state == MCP_CONNECTING ? probe_ms(client) : client->endpoint->connect_ms,
        on_initialized);
}

static void discover(struct mcp_client *client)
{
    bool program = client->endpoint->program;
    client->modern = true;
    client->version = MCP_MODERN;
    client->era.probed = true;
    mcp_transport_set_version(client->transport, MCP_MODERN, true);
    ask(client, "server/discover", SPAN_ABSENT,
        program ? probe_ms(client) : client->endpoint->connect_ms, on_discovered);
}

static int open_transport(struct mcp_client *client, struct error *err)
{
    const struct mcp_endpoint *endpoint = client->endpoint;
    struct loop *loop = client->env.loop;
    if (endpoint->program)
        return mcp_stdio_create(loop, client->env.processes, endpoint->program, client->wiring,
                                client, &client->transport, err);
    const struct mcp_place *place = &client->era.places[client->era.next++];
    const struct mcp_address address = {
        .url = place->url,
        .headers = client->headers ? (const char *const *)client->headers : endpoint->headers,
        .connect_ms = endpoint->connect_ms,
    };
    return (place->way == MCP_WAY_SSE ? mcp_sse_create : mcp_http_create)(
        loop, client->env.http, &address, client->wiring, client, &client->transport, err);
}

static void begin(struct mcp_client *client)
{
    struct error err = ERROR_INIT;
    mcp_transport_destroy(STEAL(client->transport));
    client->era.probed = false;
    if (open_transport(client, &err) < 0)
        mcp_client_close_text(client, MCP_GONE, "cannot be begun: %s", err.text);
    else if (client->era.legacy || way_now(client) == MCP_WAY_SSE)
        initialize(client);
    else
        discover(client);
}

static const char *keep(struct buf *text, struct json_value value, size_t max)
{
    BUF_AUTO whole = BUF_INIT(RPC_MESSAGE_MAX);
    json_string(value, &whole);
    struct span part = span_make(buf_text(&whole), whole.len < max ? whole.len : max);
    buf_finish(text);
    buf_init(text, max);
    buf_append(text, part.data, utf8_valid_prefix(part));
    return buf_text(text);
}

static void keep_info(struct mcp_client *client, struct json_value result)
{
    struct json_value capabilities = json_get(result, "capabilities");
    struct json_value tools = json_get(capabilities, "tools");
    struct json_value server = json_get(result, "serverInfo");
    struct mcp_info *info = &client->info;
    if (json_type(server) == JSON_ABSENT)
        server = json_get(json_get(result, "_meta"), "io.modelcontextprotocol/serverInfo");
    *info = (struct mcp_info){
        .modern = client->modern,
        .version = client->version,
        .way = way_now(client),
        .name = keep(&client->name, json_get(server, "name"), MCP_NAME_MAX),
        .software = keep(&client->software, json_get(server, "version"), MCP_NAME_MAX),
        .instructions =
            keep(&client->instructions, json_get(result, "instructions"), MCP_INSTRUCTIONS_MAX),
        .tried = buf_text(&client->era.tried),
        .tools = json_type(tools) == JSON_OBJECT,
        .resources = json_type(json_get(capabilities, "resources")) == JSON_OBJECT,
        .prompts = json_type(json_get(capabilities, "prompts")) == JSON_OBJECT,
    };
    json_bool(json_get(tools, "listChanged"), &info->tools_change);
}

static void send_waiting(struct mcp_client *client)
{
    list_for_each(link, &client->calls) {
        struct mcp_call *call = list_entry(link, struct mcp_call, link);
        if (!call->wire && !call->own && !call->again && !call->asked)
            mcp_call_send(call);
    }
}

static void be_ready(struct mcp_client *client)
{
    bool anew = client->state == MCP_RENEWING;
    client->state = MCP_READY;
    loop_cancel(client->env.loop, client->patience);
    if (client->info.tools_change && client->modern)
        mcp_listen_start(client);
    else if (!client->modern && (client->info.tools_change || client->endpoint->asks))
        mcp_transport_listen(client->transport); // some servers put their questions there
    if (!anew) {
        client->events->on_ready(client->context, &client->info);
        return;
    }
    send_waiting(client);
    client->events->on_notification(client->context, "notifications/tools/list_changed",
                                    JSON_VALUE_ABSENT); // the new one may offer others
}

void mcp_era_taken(struct mcp_client *client)
{
    if (!client->era.awaits)
        return;
    client->era.awaits = false;
    loop_cancel(client->env.loop, client->era.timer);
    be_ready(client);
}

static void on_patient_enough(void *context)
{
    mcp_era_taken(context);
}

static void be_legacy(struct mcp_client *client, struct json_value result, const char *version)
{
    client->version = version;
    client->session = client->last_number;
    mcp_transport_set_version(client->transport, version, false);
    if (client->state == MCP_CONNECTING) // later it may be known to others
        keep_info(client, result);
    mcp_client_notify(client, "notifications/initialized", SPAN_ABSENT);
    if (client->endpoint->program) {
        be_ready(client);
        return;
    }
    client->era.awaits = true;
    client->era.timer = loop_timer_after(client->env.loop, TAKEN_MS, on_patient_enough, client);
}

static void begin_anew(struct mcp_client *client)
{
    client->era.legacy = true;
    begin(client);
}

// Is it more than "this is not the place"?
static bool is_final(const struct mcp_client *client, const struct mcp_reply *reply)
{
    int status = client->failure ? client->failure->status : 0;
    return reply->trouble == MCP_DENIED || reply->trouble == MCP_TIMED_OUT ||
           reply->trouble == MCP_GONE || status >= 500;
}

static void on_initialized(void *context, const struct mcp_reply *reply)
{
    struct mcp_client *client = context;
    struct json_value version = json_get(reply->result, "protocolVersion");
    bool sse = way_now(client) == MCP_WAY_SSE;
    for (size_t i = 0; reply->trouble == MCP_OK && i < ARRAY_LEN(legacy_versions); i++)
        if (json_is(version, legacy_versions[i])) {
            be_legacy(client, reply->result, legacy_versions[i]);
            return;
        }
    if (client->endpoint->program && client->era.probed && !client->era.asked_anew) {
        client->era.asked_anew = true;
        begin_anew(client);
    } else if (reply->trouble == MCP_OK) {
        struct span raw = mcp_shown(version);
        mcp_client_close_text(client, MCP_INVALID,
                              "speaks a version of the protocol that is not known here (%.*s)",
                              (int)raw.len, raw.data);
    } else if (client->endpoint->program || client->state == MCP_RENEWING ||
               (sse ? reply->trouble == MCP_DENIED : is_final(client, reply)) ||
               (reply->trouble == MCP_ERROR && !client->failure)) {
        mcp_client_close(client, reply);
    } else {
        elsewhere(client, reply);
    }
}

static void fall_back(struct mcp_client *client, const struct mcp_reply *reply, bool anew)
{
    if (client->endpoint->era != MCP_ERA_MODERN && anew)
        begin_anew(client);
    else if (client->endpoint->era != MCP_ERA_MODERN)
        initialize(client);
    else if (client->endpoint->program)
        mcp_client_close_text(client, MCP_INVALID, "does not speak " MCP_MODERN);
    else
        elsewhere(client, reply);
}

static void on_versions(struct mcp_client *client, const struct mcp_reply *reply,
                        struct json_value versions, bool anew)
{
    struct span raw = mcp_shown(versions);
    if (json_type(versions) != JSON_ARRAY || knows_legacy(versions))
        fall_back(client, reply, anew);
    else
        mcp_client_close_text(client, MCP_INVALID,
                              "speaks versions of the protocol that are not known here (%.*s)",
                              (int)raw.len, raw.data);
}

static void on_discovered(void *context, const struct mcp_reply *reply)
{
    struct mcp_client *client = context;
    bool program = client->endpoint->program;
    struct json_value versions = json_get(reply->result, "supportedVersions");
    int64_t code = reply->trouble == MCP_ERROR ? reply->code : 0;
    if (reply->trouble == MCP_OK && mcp_versions_have(versions, MCP_MODERN)) {
        keep_info(client, reply->result);
        be_ready(client);
    } else if (reply->trouble == MCP_OK) {
        on_versions(client, reply, versions, program);
    } else if (!program && is_final(client, reply)) {
        mcp_client_close(client, reply);
    } else if (code == RPC_UNSUPPORTED_VERSION) {
        on_versions(client, reply, json_get(reply->data, "supported"), false);
    } else if (!program && (code == RPC_HEADER_MISMATCH || code == RPC_MISSING_CAPABILITY)) {
        mcp_client_close(client, reply);
    } else if (client->failure && client->failure->status >= 300 && client->failure->status < 400) {
        elsewhere(client, reply); // it redirects, which is not followed
    } else {
        fall_back(client, reply, program && reply->trouble != MCP_ERROR);
    }
}

void mcp_era_renew(struct mcp_client *client)
{
    if (client->state != MCP_READY)
        return;
    client->state = MCP_RENEWING;
    initialize(client);
}

static void add_place(struct mcp_client *client, enum mcp_way way, const struct url *url,
                      size_t path, const char *more)
{
    size_t head = (size_t)(url->authority.data + url->authority.len - url->text.data);
    client->era.places[client->era.count++] = (struct mcp_place){
        .url = mem_printf("%.*s%.*s%s%s%.*s", (int)head, url->text.data, (int)path, url->path.data,
                          more, url->query.data ? "?" : "", (int)url->query.len,
                          url->query.data ? url->query.data : ""),
        .way = way,
    };
}

static void list_places(struct mcp_client *client, const struct url *url)
{
    size_t whole = url->path.len;
    bool root = whole <= 1, sse = span_ends_with(url->path, "/sse");
    bool old = client->endpoint->era != MCP_ERA_MODERN;
    enum mcp_way way = client->endpoint->way;
    if (old && (way == MCP_WAY_SSE || (way == MCP_WAY_AUTO && sse))) {
        add_place(client, MCP_WAY_SSE, url, whole, "");
        if (root)
            add_place(client, MCP_WAY_SSE, url, 0, "/sse");
    }
    if (root)
        add_place(client, MCP_WAY_HTTP, url, 0, "/mcp");
    add_place(client, MCP_WAY_HTTP, url, whole, "");
    if (sse)
        add_place(client, MCP_WAY_HTTP, url, whole - strlen("/sse"), "/mcp");
    else if (old && way == MCP_WAY_AUTO)
        add_place(client, MCP_WAY_SSE, url, root ? 0 : whole, root ? "/sse" : "");
}

static void on_impatient(void *context)
{
    struct mcp_client *client = context;
    client->patience = 0;
    mcp_client_close_text(client, MCP_TIMED_OUT, "is not ready after %" PRId64 " s%s%s",
                          client->endpoint->connect_ms / 1000, client->era.tried.len ? "; " : "",
                          buf_text(&client->era.tried));
}

static void on_begin(void *context)
{
    struct mcp_client *client = context;
    client->era.timer = 0;
    begin(client);
}

int mcp_era_begin(struct mcp_client *client, struct error *err)
{
    const struct mcp_endpoint *endpoint = client->endpoint;
    struct url url;
    buf_init(&client->era.tried, TRIED_MAX);
    client->era.legacy = endpoint->era == MCP_ERA_LEGACY;
    if (endpoint->program ? !client->env.processes : !client->env.http)
        return error_set(err, -EINVAL, "nothing can reach the MCP server %s", endpoint->name);
    if (!endpoint->program) {
        int r = url_parse(span_of(endpoint->url), &url, err);
        if (r < 0)
            return error_wrap(err, "the `url` of the MCP server %s", endpoint->name);
        list_places(client, &url);
    }
    client->era.timer = loop_defer(client->env.loop, on_begin, client);
    client->patience =
        loop_timer_after(client->env.loop, endpoint->connect_ms, on_impatient, client);
    return 0;
}
