#pragma once

#include "agent/compression.h"
#include "agent/side_call.h"

// The call that sums up a conversation, to the model of the slot "compression".
struct compression_request {
    const struct agent_session *session;
    size_t cut;        // in its history
    struct span focus; // what matters above all; absent: nothing does
    const char *work;
    enum chat_priority priority;
};

int compression_call(struct agent *agent, const struct compression_request *request,
                     side_done_fn *done, void *context, struct side_call **ret_call,
                     struct error *err);

// The summary that a reply is, on the heap; NULL, with the reason, when it is none.
char *compression_summary(const struct chat_history *history, size_t cut,
                          const struct chat_reply *reply, const char **trouble);
