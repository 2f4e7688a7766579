// The standard streams of this process as a way into the server.
#include "mcp/lines.h"
#include "mcp/server_internal.h"

static void end(void *context)
{
    struct mcp_server *server = context;
    server->ending = 0;
    server->on_end(server->end_context);
}

static void look(struct mcp_server *server)
{
    if (server->ending || !mcp_lines_over(server->lines))
        return;
    bool busy = false;
    list_for_each(link, &server->calls) {
        const struct mcp_served *call = list_entry(link, struct mcp_served, link);
        busy |= !call->http && !call->listens;
    }
    if (!busy || mcp_lines_dead(server->lines))
        server->ending = loop_defer(server->loop, end, server);
}

static void on_line(void *context, struct span line)
{
    struct mcp_server *server = context;
    struct mcp_served *call = mcp_served_create(server);
    call->peer = server->stdio;
    if (!line.data) {
        mcp_served_error(call, 0, RPC_PARSE_ERROR, "the message is longer than 4 MiB", SPAN_ABSENT);
        return;
    }
    buf_append_span(&call->text, line);
    if (!mcp_served_read(call))
        return;
    call->modern = json_type(mcp_served_version(call)) != JSON_ABSENT;
    mcp_served_begin(call);
}

static void on_change(void *context)
{
    look(context);
}

int mcp_server_open_stdio(struct mcp_server *server, int in, int out, void (*on_end)(void *context),
                          void *context, struct error *err)
{
    static const struct mcp_lines_events events = {on_line, on_change};
    int r = mcp_lines_open(server->loop, in, out, MCP_REQUEST_MAX, &events, server, &server->lines,
                           err);
    if (r < 0)
        return r;
    server->stdio = mcp_peer_create(server);
    server->on_end = on_end;
    server->end_context = context;
    server->on_call_over = look;
    return 0;
}
