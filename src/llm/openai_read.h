#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "llm/chat.h"

// A body of POST /chat/completions as a chat_request, which owns what it holds.
struct openai_asked {
    struct chat_request request;
    struct chat_history history;
    struct chat_tool *tools;
    struct buf params; // of the request
    char **texts;      // of the tools, and the model's name
    size_t text_count;
};

/*
 * `params` is a JSON object, or absent: members that the server's owner named, which it is asked
 * with as they are. -EBADMSG: it is no such body. -ENOTSUP: it holds what the chat model has no
 * place for, of which the sentence tells; leaving that out would change the answer. To be finished
 * in every case.
 */
int openai_read_request(struct span body, struct span params, struct openai_asked *ret_asked,
                        struct error *err);
void openai_asked_finish(struct openai_asked *asked); // accepts zeroed
