#pragma once

#include "mcp/content.h"
#include "mcp/remote.h"
#include "tools/capture.h"
#include "tools/tool_run.h"

/*
 * Private to the servers: a call of a tool. remote_call.c runs it, remote_question.c asks what its
 * server wants to know of a person.
 */
struct mcp_remote_call {
    struct list link; // mcp_remote::calls
    struct mcp_remote *remote;
    struct tool_run *run;       // NULL: it has asked something, and waits to go on
    char *turn, *session, *key; // that it is of, and how it is found again; NULL: it cannot ask
    struct list questions;      // struct elicitation; the first is asked
    uint64_t asked;             // which was shown
    bool over;                  // it has ended while it waited: text, failed
    enum mcp_tool_kind kind;
    char tool[TOOL_NAME_MAX + 1];
    char *name;        // of the tool there, the prompt, or the resource's URI; NULL: of a list
    struct buf params; // of the request; of a list there are none
    char **headers;    // that repeat some of them; NULL: none
    bool repeatable;
    bool waits;             // to be sent
    bool again;             // was refused for its headers once
    bool mirrors_anew;      // its Mcp-Param headers were refused once: the list may be another
    bool outdated;          // and have not been written anew yet
    unsigned renewals;      // of the headers it was sent with
    mcp_request_id request; // 0: it waits, or is over
    loop_id deadline;       // of its waiting for a connection
    struct buf text;        // of its result
    struct mcp_media media; // beside that
    size_t kept;            // bytes of that which the capture has
    bool failed;
    struct capture capture; // of a result that is too long to be shown
};

void mcp_call_drop_questions(struct mcp_remote_call *call);
// Ends the run with the first of its questions; the next run of the call goes on with the answer.
void mcp_call_ask(struct mcp_remote_call *call);
// What was said to the question that was shown last. What is not answered is asked again, unless
// its server has withdrawn it.
void mcp_call_take_reply(struct mcp_remote_call *call, const struct tool_call_context *context);
