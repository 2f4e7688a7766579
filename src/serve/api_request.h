#pragma once

#include "serve/api_internal.h"

// What a client asks. Private to the API.
struct api_request { // what a client asks, read
    char *text;
    struct asked *asked; // owned until dispatcher_ask()
    char *model, *previous;
    char chat[API_CHAT_SIZE];
    bool streams, tells_usage, derived, forgets;
};

// False when it was answered with what is wrong.
void api_request_finish(struct api_request *request);
bool api_read_messages(struct api_request *request, struct node messages,
                       struct http_exchange *exchange);
// "input", "instructions", "conversation_history" and "previous_response_id", which may name the
// conversation.
bool api_read_input(struct api *api, struct api_request *request, struct node root,
                    struct http_exchange *exchange);
bool api_read_body(struct http_exchange *exchange, struct document *ret_doc);
bool api_name_session(struct api *api, struct api_request *request, struct span given,
                      struct http_exchange *exchange);
// Is it "write a title", as web interfaces have it done beside a conversation? Then it is done
// without tools, in a session of its own that is not kept, whatever session they name.
bool api_take_chore(struct api_request *request);
