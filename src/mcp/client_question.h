#pragma once

#include "mcp/client_internal.h"

// What the server wants to ask a person, from its arrival until it is answered or over.
struct mcp_question {
    struct list link; // mcp_client.questions
    uint64_t number;
    mcp_request_id request; // 0: not known
    char *id;               // legacy: the server's, as it wrote it; NULL: of a round
    char *key;              // of inputRequests; NULL: none
    char *params;
    bool told, over;
};

void mcp_client_sweep_soon(struct mcp_client *client);
// False: there are too many, or it is too long.
bool mcp_question_add(struct mcp_client *client, mcp_request_id request, struct json_value id,
                      const char *key, struct json_value params);
void mcp_question_free(struct mcp_question *question);
struct mcp_question *mcp_question_find(struct mcp_client *client, uint64_t number); // or NULL
bool mcp_questions_wait(const struct mcp_client *client, mcp_request_id request);
void mcp_questions_over(struct mcp_client *client, mcp_request_id request); // of a call that ends
void mcp_question_cancelled(struct mcp_client *client, struct span id);
