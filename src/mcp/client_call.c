/*
 * A request has one id for its owner and a new one each time it goes out: after a lost session, a
 * lost connection, another version, a round of questions. An answer is looked up by the latter, so
 * one that is late, comes twice or was never asked for finds nobody.
 */
#include "mcp/client_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mcp/client_meta.h"
#include "mcp/client_question.h"
#include "mcp/param_headers.h"
#include "mcp/rpc.h"

static void on_time(void *context);

static void arm(struct mcp_call *call, int64_t ms)
{
    struct loop *loop = call->client->env.loop;
    int64_t at = loop_now(loop) + ms;
    loop_cancel(loop, call->timer);
    call->timer = loop_timer_at(loop, at < call->hard_ms ? at : call->hard_ms, on_time, call);
}

void mcp_call_restart(struct mcp_call *call)
{
    if (call->timeout_ms == MCP_NO_TIMEOUT)
        return;
    call->hard_ms = loop_now(call->client->env.loop) + MCP_HARD_TIMEOUTS * call->timeout_ms;
    arm(call, call->timeout_ms);
}

void mcp_call_soon(struct mcp_call *call)
{
    call->hard_ms = INT64_MAX;
    arm(call, 0);
}

static int send_out(struct mcp_call *call, struct error *err)
{
    struct mcp_client *client = call->client;
    uint64_t wire = ++client->last_number;
    BUF_AUTO params = BUF_INIT(call->params.len + MCP_STATE_MAX + DOCUMENT_SMALL);
    BUF_AUTO text = BUF_INIT(call->params.len + MCP_STATE_MAX + 2 * DOCUMENT_SMALL);
    if (!mcp_params_print(client, call, wire, &params) ||
        !rpc_write_request(&text, wire, call->method, buf_span(&params)))
        return error_set(err, -EINVAL, "the parameters of %s are no object of JSON, or too large",
                         call->method);
    struct mcp_outgoing message = {
        .text = buf_span(&text),
        .request = wire,
        .method = call->method,
        .name = call->name,
        .headers = (const char *const *)call->headers,
    };
    int r = mcp_transport_send(client->transport, &message, err);
    if (r < 0)
        return r;
    call->wire = wire;
    call->sent = true;
    return 0;
}

void mcp_call_send(struct mcp_call *call)
{
    mcp_call_withdraw(call);
    loop_cancel(call->client->env.loop, call->again);
    call->again = 0;
    if (send_out(call, NULL) == 0)
        return;
    call->lost = true;
    mcp_call_soon(call);
}

static void on_again(void *context)
{
    struct mcp_call *call = context;
    call->again = 0;
    if (call->client->state == MCP_READY) // else it goes out, or ends, with all that wait
        mcp_call_send(call);
}

void mcp_call_again(struct mcp_call *call, int64_t ms)
{
    call->wire = 0;
    loop_cancel(call->client->env.loop, call->again);
    call->again = loop_timer_after(call->client->env.loop, ms, on_again, call);
}

struct mcp_call *mcp_call_start(struct mcp_client *client, const struct mcp_request *request,
                                bool own, mcp_reply_fn *fn, void *context, struct error *err)
{
    struct mcp_call *call = mem_new(struct mcp_call);
    *call = (struct mcp_call){
        .client = client,
        .method = mem_strdup(request->method),
        .headers = mcp_lines_copy(request->headers),
        .params = BUF_INIT(request->params.len),
        .timeout_ms = request->timeout_ms ? request->timeout_ms : client->endpoint->timeout_ms,
        .own = own,
        .repeatable = request->repeatable,
        .on_progress = request->on_progress,
        .fn = fn,
        .context = context,
    };
    buf_append_span(&call->params, request->params);
    BUF_AUTO name = BUF_INIT(MCP_PARAM_VALUE_MAX);
    if (request->name && mcp_header_value(span_of(request->name), &name))
        call->name = buf_take_text(&name);
    list_append(&client->calls, &call->link);
    if (!own && client->state == MCP_RENEWING) {
        call->id = ++client->last_number; // it waits for the new session
    } else if (send_out(call, err) < 0) {
        mcp_call_forget(call);
        return NULL;
    } else {
        call->id = call->wire;
    }
    mcp_call_restart(call);
    return call;
}

void mcp_call_withdraw(struct mcp_call *call)
{
    struct mcp_client *client = call->client;
    uint64_t wire = call->wire;
    call->wire = 0;
    if (!wire || !client->transport)
        return;
    mcp_transport_abandon(client->transport, wire);
    if ((client->modern && !client->endpoint->program) || call->own)
        return; // there the end of its stream says it, and "initialize" may not be cancelled
    char params[64];
    snprintf(params, sizeof params, "{\"requestId\":%" PRIu64 "}", wire);
    mcp_client_notify(client, "notifications/cancelled", span_of(params));
}

void mcp_call_forget(struct mcp_call *call)
{
    struct mcp_client *client = call->client;
    loop_cancel(client->env.loop, call->timer);
    loop_cancel(client->env.loop, call->again);
    list_remove(&call->link);
    if (call->id)
        mcp_questions_over(client, call->id);
    mcp_lines_free(call->headers);
    free(call->listing);
    document_finish(&call->extra);
    buf_finish(&call->params);
    free(call->method);
    free(call->name);
    free(call);
}

void mcp_call_end(struct mcp_call *call, const struct mcp_reply *reply)
{
    mcp_reply_fn *fn = call->fn;
    void *context = call->context;
    call->listing = NULL; // which is the context, and fn's to free
    mcp_call_withdraw(call);
    mcp_call_forget(call);
    fn(context, reply);
}

void mcp_client_say(const struct mcp_client *client, struct error *err, const char *what,
                    va_list arguments)
{
    char text[ERROR_TEXT_MAX];
    vsnprintf(text, sizeof text, what, arguments);
    error_set(err, -EIO, "the MCP server %s %s", client->endpoint->name, text);
}

void mcp_call_fail(struct mcp_call *call, enum mcp_trouble trouble, bool maybe_done,
                   const char *what, ...)
{
    const struct mcp_client *client = call->client;
    struct error err;
    va_list arguments;
    va_start(arguments, what);
    mcp_client_say(client, &err, what, arguments);
    va_end(arguments);
    if (trouble == MCP_GONE && !call->own) // else the end says it
        mcp_transport_explain(client->transport, &err);
    mcp_call_end(call, &(struct mcp_reply){
                           .trouble = trouble,
                           .maybe_done = maybe_done,
                           .challenge = client->failure ? client->failure->challenge : SPAN_ABSENT,
                           .err = &err,
                       });
}

static void on_time(void *context)
{
    struct mcp_call *call = context;
    call->timer = 0;
    if (call->lost) {
        mcp_call_fail(call, MCP_GONE, false, "could not be asked again");
    } else if (call->declined) {
        mcp_call_fail(call, MCP_ERROR, false,
                      "needs a page to be opened first, which was declined");
    } else if (mcp_questions_wait(call->client, call->id)) {
        mcp_call_restart(call); // people take their time
    } else {
        mcp_call_fail(call, MCP_TIMED_OUT, call->sent,
                      "has not answered %s within %" PRId64 " s; its `timeout` can be raised",
                      call->method, call->timeout_ms / 1000);
    }
}

struct mcp_call *mcp_call_of(struct mcp_client *client, uint64_t wire)
{
    list_for_each(link, &client->calls) {
        struct mcp_call *call = list_entry(link, struct mcp_call, link);
        if (wire && call->wire == wire)
            return call;
    }
    return NULL;
}

struct mcp_call *mcp_call_find(struct mcp_client *client, mcp_request_id id)
{
    list_for_each(link, &client->calls) {
        struct mcp_call *call = list_entry(link, struct mcp_call, link);
        if (id && call->id == id && !call->own)
            return call;
    }
    return NULL;
}

void mcp_call_progress(struct mcp_client *client, struct json_value params)
{
    int64_t token;
    struct mcp_call *call = NULL;
    if (json_int64(json_get(params, "progressToken"), &token) && token > 0)
        call = mcp_call_of(client, (uint64_t)token);
    if (!call || !call->on_progress)
        return;
    arm(call, call->timeout_ms);
    call->on_progress(call->context, params);
}

mcp_request_id mcp_client_request(struct mcp_client *client, const struct mcp_request *request,
                                  mcp_reply_fn *fn, void *context, struct error *err)
{
    if (client->state != MCP_READY && client->state != MCP_RENEWING) {
        error_set(err, -ENOTCONN, "the MCP server %s is not ready", client->endpoint->name);
        return 0;
    }
    struct mcp_call *call = mcp_call_start(client, request, false, fn, context, err);
    return call ? call->id : 0;
}

bool mcp_client_cancel(struct mcp_client *client, mcp_request_id id)
{
    struct mcp_call *call = mcp_call_find(client, id);
    bool sent = call && call->sent;
    if (call) {
        mcp_call_withdraw(call);
        mcp_call_forget(call);
    }
    return sent;
}
