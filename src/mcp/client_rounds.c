/*
 * A modern server that needs something of a person answers "input_required", and is asked the same
 * again with the answers and its requestState, which nobody else gets to see. A legacy one refuses
 * with -32042 until a page was visited, or asks in a request of its own; that is no round, but its
 * answer goes the same way.
 */
#include <stdlib.h>

#include "base/wait.h"
#include "mcp/client_call.h"
#include "mcp/client_meta.h"
#include "mcp/client_question.h"
#include "mcp/rpc.h"

static void fail_round(struct mcp_call *call, const char *why)
{
    mcp_call_fail(call, MCP_INVALID, true, "needs more before it has a result of %s, %s",
                  call->method, why);
}

static const char *ask(struct mcp_call *call, struct json_value requests)
{
    struct json_value key, request;
    struct json_iter it = json_iter_init(requests);
    while (json_iter_next(&it, &key, &request)) {
        CLEANUP(mem_cleanup) char *name = json_strdup(key, MCP_KEY_MAX);
        if (!json_is(json_get(request, "method"), "elicitation/create"))
            return "which only a language model or a file system could give it";
        if (!call->client->endpoint->asks)
            return "and nobody can be asked here";
        if (!name || !mcp_question_add(call->client, call->id, JSON_VALUE_ABSENT, name,
                                       json_get(request, "params")))
            return "but its questions are too many, too long or none";
        call->asked++;
    }
    return NULL;
}

static bool has_rounds(struct mcp_call *call)
{
    return !call->own && !call->listing && call->rounds++ < MCP_ROUNDS_MAX;
}

void mcp_round_begin(struct mcp_call *call, struct json_value result)
{
    struct json_value state = json_get(result, "requestState");
    struct json_value requests = json_get(result, "inputRequests");
    size_t count = json_type(requests) == JSON_OBJECT ? json_count(requests) : 0;
    if (!has_rounds(call) || (json_type(state) != JSON_STRING && !count)) {
        fail_round(call, "but not of what kind, or too often");
        return;
    }
    document_finish(&call->extra);
    call->extra = (struct document)DOCUMENT_INIT(MCP_STATE_MAX);
    call->asked = 0;
    struct node extra = document_object(&call->extra);
    if (json_type(state) == JSON_STRING)
        node_add_raw(extra, "requestState", json_raw(state));
    if (count)
        node_add_object(extra, "inputResponses");
    const char *why = ask(call, requests);
    if (why)
        fail_round(call, why);
    else if (!count)
        mcp_call_again(call, wait_scaled((int64_t)MCP_AGAIN_MS << (call->rounds - 1)));
}

bool mcp_round_of_urls(struct mcp_call *call, struct json_value data)
{
    struct json_value urls = json_get(data, "elicitations"), url;
    struct json_iter it = json_iter_init(urls);
    if (!call->client->endpoint->asks || call->client->modern || json_type(urls) != JSON_ARRAY ||
        !json_count(urls) || json_count(urls) > MCP_QUESTIONS_MAX || !has_rounds(call))
        return false;
    call->asked = 0;
    while (json_iter_next(&it, NULL, &url)) {
        if (!mcp_question_add(call->client, call->id, JSON_VALUE_ABSENT, NULL, url)) {
            mcp_questions_over(call->client, call->id);
            return false;
        }
        call->asked++;
    }
    return true;
}

static void add_answer(struct node parent, const char *key, const char *action, struct span content)
{
    struct node answer = key ? node_add_object(parent, key) : parent;
    node_add_text(answer, "action", action);
    if (content.len)
        node_add_raw(answer, "content", content);
}

static void answer_server(struct mcp_client *client, const char *id, const char *action,
                          struct span content)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(content.len + DOCUMENT_SMALL);
    BUF_AUTO result = BUF_INIT(content.len + DOCUMENT_SMALL);
    BUF_AUTO text = BUF_INIT(content.len + 2 * DOCUMENT_SMALL);
    add_answer(document_object(&doc), NULL, action, content);
    if (document_print(&doc, &result, NULL) == 0 &&
        rpc_write_result(&text, span_of(id), buf_span(&result)))
        mcp_client_post(client, NULL, buf_span(&text), NULL);
}

static void answer_round(struct mcp_call *call, const char *key, const char *action,
                         struct span content)
{
    if (key)
        add_answer(node_get(document_root(&call->extra), "inputResponses"), key, action, content);
    else if (!span_is(span_of(action), "accept"))
        call->declined = true;
    if (--call->asked)
        return;
    mcp_call_restart(call);
    if (call->declined)
        mcp_call_soon(call);
    else
        mcp_call_send(call);
}

void mcp_client_answer(struct mcp_client *client, uint64_t number, const char *action,
                       struct span content)
{
    struct mcp_question *question = mcp_question_find(client, number);
    if (!question)
        return;
    struct mcp_call *call = mcp_call_find(client, question->request);
    if (question->id)
        answer_server(client, question->id, action, content);
    else if (call)
        answer_round(call, question->key, action, content);
    mcp_question_free(question);
}
