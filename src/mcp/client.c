#include "mcp/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/wait.h"
#include "mcp/client_call.h"
#include "mcp/client_meta.h"
#include "mcp/client_question.h"
#include "mcp/rpc.h"

static void on_result(struct mcp_call *call, struct json_value result)
{
    struct json_value type = json_get(result, "resultType");
    bool modern = call->client->modern;
    if (json_type(result) != JSON_OBJECT)
        mcp_call_fail(call, MCP_INVALID, true, "answered %s with what is no object", call->method);
    else if (modern && json_is(type, "input_required"))
        mcp_round_begin(call, result);
    else if (modern && json_type(type) != JSON_ABSENT && !json_is(type, "complete"))
        mcp_call_fail(call, MCP_INVALID, true,
                      "answered %s with a result that is unknown here (%.*s)", call->method,
                      (int)mcp_shown(type).len, mcp_shown(type).data);
    else if (call->listing)
        mcp_list_page(call, result);
    else
        mcp_call_end(call, &(struct mcp_reply){.trouble = MCP_OK, .result = result});
}

// Codes that say that nothing was done.
static bool is_refusal(int64_t code)
{
    return (code >= RPC_INVALID_PARAMS && code <= RPC_INVALID_REQUEST) || code == RPC_PARSE_ERROR ||
           (code >= RPC_UNSUPPORTED_VERSION && code <= RPC_HEADER_MISMATCH) ||
           code == RPC_URL_ELICITATION || code == RPC_RESOURCE_NOT_FOUND;
}

static void on_error(struct mcp_call *call, const struct rpc_message *message)
{
    struct mcp_client *client = call->client;
    if (message->code == RPC_UNSUPPORTED_VERSION && client->modern && !call->reversed &&
        mcp_versions_have(json_get(message->data, "supported"), client->version)) {
        call->reversed = true;
        mcp_call_send(call);
        return;
    }
    if (message->code == RPC_URL_ELICITATION && mcp_round_of_urls(call, message->data))
        return;
    BUF_AUTO text = BUF_INIT(RPC_MESSAGE_MAX);
    struct error err = ERROR_INIT;
    json_string(message->message, &text);
    error_set(&err, -EREMOTEIO, "the MCP server %s refused %s: %s (%" PRId64 ")",
              client->endpoint->name, call->method, buf_text(&text), message->code);
    mcp_call_end(call, &(struct mcp_reply){
                           .trouble = MCP_ERROR,
                           .code = message->code,
                           .data = message->data,
                           .maybe_done = !is_refusal(message->code),
                           .err = &err,
                       });
}

static void answer_error(struct mcp_client *client, struct span id, int64_t code, const char *why)
{
    BUF_AUTO text = BUF_INIT(DOCUMENT_SMALL);
    if (rpc_write_error(&text, id, code, why, SPAN_ABSENT))
        mcp_client_post(client, NULL, buf_span(&text), NULL);
}

static bool is_flood(struct mcp_client *client)
{
    int64_t now = loop_now(client->env.loop);
    if (now - client->asked.since_ms >= 1000) {
        client->asked.since_ms = now;
        client->asked.count = 0;
    }
    return client->asked.count++ >= MCP_ASKED_MAX;
}

static void on_request(struct mcp_client *client, const struct rpc_message *message,
                       uint64_t request)
{
    struct span id = json_raw(message->id);
    struct mcp_call *call = mcp_call_of(client, request);
    if (client->modern || is_flood(client))
        return; // a modern client writes no answers
    if (json_is(message->method, "ping")) {
        BUF_AUTO text = BUF_INIT(DOCUMENT_SMALL);
        if (rpc_write_result(&text, id, SPAN_LITERAL("{}")))
            mcp_client_post(client, NULL, buf_span(&text), NULL);
    } else if (!client->endpoint->asks || !json_is(message->method, "elicitation/create")) {
        answer_error(client, id, RPC_METHOD_NOT_FOUND, "this client does not offer it");
    } else if (!mcp_question_add(client, call ? call->id : 0, message->id, NULL, message->params)) {
        answer_error(client, id, RPC_INVALID_PARAMS, "too many questions, too long, or none");
    }
}

static void on_notification(struct mcp_client *client, const struct rpc_message *message)
{
    struct json_value params = message->params;
    if (json_is(message->method, "notifications/progress")) {
        mcp_call_progress(client, params);
    } else if (json_is(message->method, "notifications/cancelled")) {
        mcp_question_cancelled(client, json_raw(json_get(params, "requestId")));
        mcp_listen_cancelled(client, json_get(params, "requestId"));
    } else if (json_is(message->method, "notifications/subscriptions/acknowledged")) {
        mcp_listen_acknowledged(client);
    } else if (client->state == MCP_READY && !json_is(message->method, "notifications/message")) {
        CLEANUP(mem_cleanup) char *method = json_strdup(message->method, RPC_METHOD_MAX);
        if (method)
            client->events->on_notification(client->context, method, params);
    }
}

// What is no message, or an error that does not say of what, ends the request that it came for.
static void on_message(void *context, struct span text, uint64_t request)
{
    struct mcp_client *client = context;
    struct mcp_call *call = mcp_call_of(client, request);
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    struct rpc_message message;
    uint64_t id;
    if (json_parse(&doc, text, &err) < 0 || rpc_read(&doc, &message, &err) < 0) {
        if (call) {
            call->wire = 0;
            mcp_call_fail(call, MCP_INVALID, true, "answered %s with what is none: %s",
                          call->method, err.text);
        }
        return;
    }
    if (message.kind == RPC_REQUEST) {
        on_request(client, &message, request);
        return;
    }
    if (message.kind == RPC_NOTIFICATION) {
        on_notification(client, &message);
        return;
    }
    if (rpc_is_ours(&message, &id))
        call = mcp_call_of(client, id);
    else if (message.kind == RPC_RESULT)
        call = NULL;
    if (!call)
        return; // late, twice, or never asked for
    call->wire = 0;
    if (message.kind == RPC_RESULT)
        on_result(call, message.result);
    else
        on_error(call, &message);
}

static bool has_error(const struct mcp_failure *failure, struct json *doc,
                      struct rpc_message *ret_message)
{
    return json_parse(doc, failure->body, NULL) == 0 && rpc_read(doc, ret_message, NULL) == 0 &&
           ret_message->kind == RPC_ERROR;
}

static void on_refused(struct mcp_call *call, const struct mcp_failure *failure)
{
    JSON_AUTO doc = JSON_INIT;
    struct rpc_message message;
    if (failure->status == 403)
        mcp_call_fail(call, MCP_DENIED, false, "does not let us in: %s", failure->err->text);
    else if (has_error(failure, &doc, &message))
        on_error(call, &message);
    else
        mcp_call_fail(call, failure->status >= 500 ? MCP_GONE : MCP_INVALID, failure->status >= 500,
                      "refused %s: %s", call->method, failure->err->text);
}

// May a request that got lost go out once more? Only over Streamable HTTP is there still a way.
static bool may_resend(const struct mcp_call *call, enum mcp_loss loss)
{
    const struct mcp_client *client = call->client;
    return !call->own && !call->resent && client->info.way == MCP_WAY_HTTP &&
           (loss != MCP_CUT || call->repeatable);
}

static void on_lost(struct mcp_call *call, const struct mcp_failure *failure)
{
    struct mcp_client *client = call->client;
    bool resend = may_resend(call, failure->loss);
    uint64_t wire = call->wire;
    call->wire = 0;
    call->cut = call->cut || failure->loss == MCP_CUT;
    switch (failure->loss) {
    case MCP_REFUSED:
        on_refused(call, failure);
        return;
    case MCP_UNAUTHORIZED:
        mcp_call_fail(call, MCP_DENIED, false, "wants to know who asks: %s", failure->err->text);
        return;
    case MCP_SESSION_GONE: // which nobody has acted on, also when it went out twice before
        resend = !call->own && !call->renewed;
        call->renewed = true;
        if (resend && wire > client->session) {
            mcp_era_renew(client); // and then it goes out again
            return;
        }
        if (resend) {
            mcp_call_again(call, 0); // that was the session before
            return;
        }
        break;
    case MCP_NOT_SENT:
    case MCP_CUT:
        call->resent = true;
        if (resend) {
            mcp_call_again(call, wait_scaled(MCP_AGAIN_MS));
            return;
        }
        break;
    }
    mcp_call_fail(call, MCP_GONE, call->cut, "%s: %s",
                  failure->loss == MCP_CUT ? "is gone" : "cannot be asked", failure->err->text);
}

static void on_failure(void *context, uint64_t request, const struct mcp_failure *failure)
{
    struct mcp_client *client = context;
    struct mcp_call *call = mcp_call_of(client, request);
    bool gone = false;
    client->gone = &gone;
    client->failure = failure;
    if (call)
        on_lost(call, failure);
    else if (request == 0)
        mcp_era_taken(client); // or refused, which a server may do that cares for no session
    if (gone)
        return;
    client->gone = NULL;
    client->failure = NULL;
}

static void on_taken(void *context)
{
    mcp_era_taken(context);
}

static void on_closed(void *context, const struct error *err)
{
    mcp_client_close_text(context, MCP_GONE, "is gone: %s", err->text);
}

// Tells one question, or that one is over. False: there is none.
static bool tell_question(struct mcp_client *client)
{
    list_for_each(link, &client->questions) {
        struct mcp_question *question = list_entry(link, struct mcp_question, link);
        uint64_t number = question->number;
        bool told = question->told;
        if (question->over) {
            mcp_question_free(question);
            if (!told)
                continue;
            client->events->on_question_over(client->context, number);
            return true;
        }
        if (!told) {
            JSON_AUTO doc = JSON_INIT;
            CLEANUP(mem_cleanup) char *params = STEAL(question->params);
            question->told = true;
            json_parse(&doc, span_of(params), NULL);
            client->events->on_question(client->context, number, question->request,
                                        json_root(&doc));
            return true;
        }
    }
    return false;
}

static bool end_call(struct mcp_client *client)
{
    if (client->state != MCP_CLOSED || list_empty(&client->calls))
        return false;
    struct mcp_call *call = list_entry(client->calls.next, struct mcp_call, link);
    struct mcp_reply reply = client->end.reply;
    reply.maybe_done = call->wire != 0;
    mcp_call_end(call, &reply);
    return true;
}

static void sweep(void *context)
{
    struct mcp_client *client = context;
    bool gone = false;
    client->sweep = 0;
    client->gone = &gone;
    while (tell_question(client) || end_call(client))
        if (gone)
            return;
    client->gone = NULL;
    if (client->state != MCP_CLOSED || client->end.told)
        return;
    client->end.told = true;
    client->events->on_closed(client->context, &client->end.reply);
}

int mcp_client_create(const struct mcp_env *env, const struct mcp_endpoint *endpoint,
                      const struct mcp_client_events *events, void *context,
                      struct mcp_client **ret_client, struct error *err)
{
    static const struct mcp_transport_events wiring = {
        .on_message = on_message,
        .on_failure = on_failure,
        .on_taken = on_taken,
        .on_closed = on_closed,
    };
    struct mcp_client *client = mem_new(struct mcp_client);
    *client = (struct mcp_client){
        .env = *env,
        .endpoint = endpoint,
        .events = events,
        .context = context,
        .wiring = &wiring,
        .sweep_fn = sweep,
    };
    list_init(&client->calls);
    list_init(&client->questions);
    int r = mcp_era_begin(client, err);
    if (r < 0)
        mcp_client_destroy(client);
    else
        *ret_client = client;
    return r;
}

void mcp_client_set_headers(struct mcp_client *client, const char *const *headers)
{
    char **old = client->headers;
    client->headers = mcp_lines_copy(headers);
    mcp_lines_free(old);
    if (client->transport)
        mcp_transport_set_headers(client->transport, headers);
}

void mcp_client_destroy(struct mcp_client *client)
{
    if (!client)
        return;
    if (client->gone)
        *client->gone = true;
    mcp_transport_destroy(STEAL(client->transport));
    list_for_each(call, &client->calls)
        mcp_call_forget(list_entry(call, struct mcp_call, link));
    list_for_each(question, &client->questions)
        mcp_question_free(list_entry(question, struct mcp_question, link));
    loop_id ids[] = {client->sweep, client->patience, client->era.timer, client->listen.timer};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        loop_cancel(client->env.loop, ids[i]);
    for (size_t i = 0; i < client->era.count; i++)
        free(client->era.places[i].url);
    mcp_lines_free(client->headers);
    struct buf *texts[] = {&client->era.tried, &client->name, &client->software,
                           &client->instructions};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        buf_finish(texts[i]);
    free(client->end.challenge);
    free(client);
}
