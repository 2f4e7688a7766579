#pragma once

#include "agent/agent.h"
#include "llm/chat.h"

// One call to a model beside a conversation: a text in, a text out, and no tools. Its sums are the
// caller's.
struct side_call;

struct side_request { // borrowed
    struct chat_origin origin;
    const char *orders, *text;
    int64_t max_tokens, limit_ms;
};

// `reply` NULL: it failed, and `trouble` says why.
typedef void side_done_fn(void *context, struct chat_reply *reply, const char *trouble);

// From the loop, never from inside this call; negative, with a sentence, when it did not begin.
int side_call_start(struct agent *agent, const struct side_request *request, side_done_fn *done,
                    void *context, struct side_call **ret_call, struct error *err);
void side_call_cancel(struct side_call *call); // `done` is not called; accepts NULL
