/*
 * Streamable HTTP, both eras at one address. A modern request stands for itself, and its headers
 * repeat what its body says, so that others can route it; they must not say something else. Legacy
 * requests belong to a session, which initialize begins. An answer is plain JSON unless something
 * else goes out before it. Whoever leaves before his answer is there has cancelled it: answers are
 * not kept for a client that comes back.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/address.h"
#include "codec/base64.h"
#include "mcp/server_internal.h"
#include "net/http_server.h"

/* Who may ask */

// Of "host:port", "[::1]:port".
static struct span without_port(struct span authority)
{
    size_t len = authority.len;
    while (len && authority.data[len - 1] >= '0' && authority.data[len - 1] <= '9')
        len--;
    return len && authority.data[len - 1] == ':' ? span_make(authority.data, len - 1) : authority;
}

static bool is_name(struct span host, const char *name)
{
    return host.len == strlen(name) && strncasecmp(host.data, name, host.len) == 0;
}

static bool is_listed(const struct mcp_http_rules *rules, struct span host)
{
    bool listed = is_name(host, "localhost");
    for (size_t i = 0; i < rules->host_count; i++)
        listed |= is_name(host, rules->hosts[i]);
    return listed;
}

// An address as Host is what the client really connected to; as Origin it could be anybody's page.
static bool is_ours(const struct mcp_http_rules *rules, const struct http_exchange *exchange)
{
    struct address address;
    struct span authority = http_exchange_header(exchange, "Host");
    struct span host = without_port(authority);
    struct span origin = http_exchange_header(exchange, "Origin");
    if (!is_listed(rules, host) && !address_parse(host, &address))
        return false;
    if (!origin.data)
        return true;
    ptrdiff_t at = span_find(origin, SPAN_LITERAL("://"));
    struct span from = at < 0 ? SPAN_ABSENT : span_skip(origin, (size_t)at + 3);
    struct span name = without_port(from);
    return from.len &&
           (span_equal(from, authority) || is_listed(rules, name) ||
            (address_parse(name, &address) && address_classify(&address) == ADDRESS_LOOPBACK));
}

/* What the headers say */

// As it stands there, or "=?base64?...?=" of it.
static bool header_is(struct span header, struct span value)
{
    static const char before[] = "=?base64?", after[] = "?=";
    BUF_AUTO encoded = BUF_INIT(2 * MCP_URI_MAX);
    bool wrapped = header.len >= sizeof before + sizeof after - 2 &&
                   span_starts_with(header, before) && span_ends_with(header, after);
    if (!wrapped)
        return header.data && span_equal(header, value);
    struct span inner =
        span_make(header.data + sizeof before - 1, header.len - (sizeof before + sizeof after - 2));
    return base64_encode(value, &encoded) && span_equal(buf_span(&encoded), inner);
}

static const char *header_fault(const struct mcp_served *call, const struct http_exchange *exchange)
{
    BUF_AUTO value = BUF_INIT(MCP_URI_MAX);
    struct span version = http_exchange_header(exchange, "MCP-Protocol-Version");
    if (!json_string(mcp_served_version(call), &value))
        return NULL; // which is a fault of the body
    if (!span_equal(version, buf_span(&value)))
        return "the header MCP-Protocol-Version is not the version in _meta";
    buf_clear(&value);
    if (!json_string(call->message.method, &value) ||
        !header_is(http_exchange_header(exchange, "Mcp-Method"), buf_span(&value)))
        return "the header Mcp-Method is not the method of the body";
    const char *subject = mcp_served_subject(call);
    buf_clear(&value);
    if (subject && json_string(json_get(call->message.params, subject), &value) &&
        !header_is(http_exchange_header(exchange, "Mcp-Name"), buf_span(&value)))
        return "the header Mcp-Name is not what the body names";
    return NULL;
}

/* Sessions */

static struct mcp_peer *find_session(struct mcp_server *server, struct span session)
{
    list_for_each(link, &server->peers) {
        struct mcp_peer *peer = list_entry(link, struct mcp_peer, link);
        if (*peer->session && span_is(session, peer->session))
            return peer;
    }
    return NULL;
}

static bool is_busy(const struct mcp_peer *peer)
{
    bool busy = peer->events.exchange != 0;
    list_for_each(link, &peer->server->calls)
        busy |= list_entry(link, struct mcp_served, link)->peer == peer;
    return busy;
}

// NULL: all of them are in use.
static struct mcp_peer *begin_session(struct mcp_server *server)
{
    struct mcp_peer *idle = NULL;
    list_for_each(link, &server->peers) {
        struct mcp_peer *peer = list_entry(link, struct mcp_peer, link);
        if (*peer->session && !is_busy(peer) && (!idle || peer->used_ms < idle->used_ms))
            idle = peer;
    }
    if (server->session_count >= MCP_SESSIONS_MAX) {
        if (!idle)
            return NULL;
        mcp_peer_destroy(idle);
    }
    struct mcp_peer *peer = mcp_peer_create(server);
    random_hex(peer->session, sizeof peer->session);
    server->session_count++;
    return peer;
}

static const char session_header[] = "Mcp-Session-Id";

static void take_legacy(struct mcp_served *call, struct http_exchange *exchange)
{
    struct mcp_server *server = call->server;
    struct span session = http_exchange_header(exchange, session_header);
    if (call->message.kind == RPC_REQUEST && json_is(call->message.method, "initialize")) {
        call->peer = begin_session(server);
        if (!call->peer) {
            mcp_served_error(call, 503, RPC_INTERNAL_ERROR, "too many sessions are in use",
                             SPAN_ABSENT);
            return;
        }
        http_exchange_add_header(exchange, session_header, call->peer->session);
    } else if (!session.len) {
        mcp_served_error(call, 400, RPC_INVALID_REQUEST,
                         "the header Mcp-Session-Id is missing: say initialize first", SPAN_ABSENT);
        return;
    } else if (!(call->peer = find_session(server, session))) {
        mcp_served_error(call, 404, RPC_INVALID_REQUEST,
                         "there is no such session (any more): say initialize again", SPAN_ABSENT);
        return;
    }
    mcp_served_begin(call);
}

static void take_post(struct mcp_server *server, struct http_server *http,
                      struct http_exchange *exchange, const struct mcp_http_rules *rules)
{
    struct mcp_served *call = mcp_served_create(server);
    struct span version = http_exchange_header(exchange, "MCP-Protocol-Version");
    call->http = http;
    call->exchange = http_exchange_id(exchange);
    buf_finish(&call->text);
    call->text = (struct buf){0};
    http_exchange_take_body(exchange, &call->text);
    if (!mcp_served_read(call))
        return;
    bool request = call->message.kind == RPC_REQUEST;
    call->modern =
        json_type(mcp_served_version(call)) != JSON_ABSENT || mcp_version_is_known(version, true);
    const char *fault =
        call->modern && request && !rules->bridge ? header_fault(call, exchange) : NULL;
    if (fault)
        mcp_served_error(call, 400, RPC_HEADER_MISMATCH, fault, SPAN_ABSENT);
    else if (!call->modern && version.len && !mcp_version_is_known(version, false))
        mcp_served_refuse_version(call, version);
    else if (call->modern)
        mcp_served_begin(call);
    else
        take_legacy(call, exchange);
}

/* The other methods, which only sessions have */

static void take_get(struct mcp_server *server, struct http_server *http,
                     struct http_exchange *exchange, struct mcp_peer *peer)
{
    if (peer->events.exchange && http_server_find(peer->events.server, peer->events.exchange))
        http_exchange_reply_text(exchange, 409, "this session has such a stream already");
    else
        sse_stream_begin(&peer->events, server->loop, http, exchange, MCP_KEEP_ALIVE_MS);
}

void mcp_server_take(struct mcp_server *server, struct http_server *http,
                     struct http_exchange *exchange, const struct mcp_http_rules *rules)
{
    struct span method = http_exchange_method(exchange);
    struct span type = http_exchange_header(exchange, "Content-Type");
    struct span session = http_exchange_header(exchange, session_header);
    bool post = span_is(method, "POST"), get = span_is(method, "GET");
    struct mcp_peer *peer = session.len ? find_session(server, session) : NULL;
    if (!is_ours(rules, exchange)) {
        http_exchange_reply_text(exchange, 403,
                                 "this Host or Origin may not ask here; mcp.serve.hosts lists the "
                                 "names that may");
    } else if (post && !is_name(span_trim(span_cut(&type, ';')), "application/json")) {
        http_exchange_reply_text(exchange, 415, "the body must be application/json");
    } else if (post) {
        take_post(server, http, exchange, rules);
    } else if ((!get && !span_is(method, "DELETE")) || !session.len) {
        http_exchange_add_header(exchange, "Allow", "POST");
        http_exchange_reply_text(exchange, 405, "POST a message; sessions have GET and DELETE too");
    } else if (!peer) {
        http_exchange_reply_text(exchange, 404, "there is no such session (any more)");
    } else if (get) {
        take_get(server, http, exchange, peer);
    } else {
        mcp_peer_destroy(peer);
        http_exchange_reply(exchange, 204, NULL, SPAN_ABSENT);
    }
}

void mcp_server_gone(struct mcp_server *server, struct http_server *http, uint64_t exchange)
{
    list_for_each(link, &server->peers) {
        struct mcp_peer *peer = list_entry(link, struct mcp_peer, link);
        if (peer->events.server == http && peer->events.exchange == exchange)
            sse_stream_abort(&peer->events);
    }
    list_for_each(link, &server->calls) {
        struct mcp_served *call = list_entry(link, struct mcp_served, link);
        if (call->http != http || call->exchange != exchange)
            continue;
        mcp_served_drop(call);
        return;
    }
}

void mcp_server_forget(struct mcp_server *server, struct http_server *http)
{
    list_for_each(link, &server->peers) {
        struct mcp_peer *peer = list_entry(link, struct mcp_peer, link);
        if (peer->events.server == http)
            sse_stream_abort(&peer->events);
    }
    mcp_calls_drop(server, NULL, http);
}
