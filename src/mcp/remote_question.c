/*
 * What a server wants to know of a person in the middle of a call. Each question belongs to a call,
 * which asks one at a time.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "mcp/elicitation.h"
#include "mcp/remote_call.h"

void mcp_call_drop_questions(struct mcp_remote_call *call)
{
    list_for_each(link, &call->questions)
        elicitation_destroy(elicitation_of(link));
}

static void answer(struct mcp_remote_call *call, struct elicitation *question, const char *action)
{
    struct span content =
        strcmp(action, "accept") == 0 ? elicitation_content(question) : SPAN_ABSENT;
    mcp_client_answer(call->remote->client, elicitation_number(question), action, content);
    elicitation_destroy(question);
}

void mcp_call_ask(struct mcp_remote_call *call)
{
    struct elicitation *question = elicitation_of(call->questions.next);
    BUF_AUTO text = BUF_INIT(ELICITATION_ARGUMENTS_MAX);
    if (elicitation_write(question, &text, NULL) < 0) {
        answer(call, question, "cancel");
        return;
    }
    struct tool_run *run = STEAL(call->run);
    call->asked = elicitation_number(question);
    tool_run_end(run, &(struct tool_result){
                          .text = buf_span(&text), .asks = true, .tainted = true, .ms = -1});
}

void mcp_call_take_reply(struct mcp_remote_call *call, const struct tool_call_context *context)
{
    struct elicitation *question =
        list_empty(&call->questions) ? NULL : elicitation_of(call->questions.next);
    if (!question || elicitation_number(question) != call->asked)
        return;
    enum elicitation_next next = context->reply == TOOL_ANSWERED
                                     ? elicitation_take(question, span_of(context->words))
                                     : ELICITATION_DECLINE;
    if (next != ELICITATION_ASKS)
        answer(call, question,
               next == ELICITATION_ACCEPT          ? "accept"
               : context->reply == TOOL_UNANSWERED ? "cancel"
                                                   : "decline");
}

// The one that the server says, or the only one that runs.
static struct mcp_remote_call *find_asking(const struct mcp_remote *remote, mcp_request_id request)
{
    struct mcp_remote_call *found = NULL;
    list_for_each(link, &remote->calls) {
        struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
        if (call->request && call->request == request)
            return call;
        if (call->request && !request) {
            if (found)
                return NULL;
            found = call;
        }
    }
    return found;
}

bool mcp_remote_question(struct mcp_remote *remote, uint64_t question, mcp_request_id request,
                         struct json_value params)
{
    struct mcp_remote_call *call = find_asking(remote, request);
    struct elicitation *asked = NULL;
    struct error err = ERROR_INIT;
    int r = call && call->key
                ? elicitation_create(question, remote->config.name, params, &asked, &err)
                : error_set(&err, -ENOTTY, "nobody can be asked");
    if (r < 0) {
        LOG_EVENT(LOG_WARNING, "mcp.unasked", "", LOG_TEXT("server", remote->config.name),
                  LOG_TEXT("error", err.text));
        mcp_client_answer(remote->client, question, "cancel", SPAN_ABSENT);
        return false;
    }
    list_append(&call->questions, elicitation_link(asked));
    return true;
}

void mcp_remote_question_over(struct mcp_remote *remote, uint64_t question)
{
    list_for_each(link, &remote->calls) {
        struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
        list_for_each(asked, &call->questions)
            if (elicitation_number(elicitation_of(asked)) == question)
                elicitation_destroy(elicitation_of(asked));
    }
}
