#include "mcp/client_question.h"

#include <stdlib.h>

void mcp_client_sweep_soon(struct mcp_client *client)
{
    if (!client->sweep)
        client->sweep = loop_defer(client->env.loop, client->sweep_fn, client);
}

static char *copy_raw(struct json_value value)
{
    struct span raw = json_raw(value);
    return raw.len ? mem_strndup(raw.data, raw.len) : NULL;
}

bool mcp_question_add(struct mcp_client *client, mcp_request_id request, struct json_value id,
                      const char *key, struct json_value params)
{
    size_t open = 0;
    list_for_each(link, &client->questions)
        open++;
    if (open >= MCP_QUESTIONS_MAX || json_raw(params).len > MCP_QUESTION_MAX ||
        json_type(params) != JSON_OBJECT)
        return false;
    struct mcp_question *question = mem_new(struct mcp_question);
    question->number = ++client->last_number;
    question->request = request;
    question->id = copy_raw(id);
    question->key = key ? mem_strdup(key) : NULL;
    question->params = copy_raw(params);
    list_append(&client->questions, &question->link);
    mcp_client_sweep_soon(client);
    return true;
}

void mcp_question_free(struct mcp_question *question)
{
    list_remove(&question->link);
    free(question->id);
    free(question->key);
    free(question->params);
    free(question);
}

struct mcp_question *mcp_question_find(struct mcp_client *client, uint64_t number)
{
    list_for_each(link, &client->questions) {
        struct mcp_question *question = list_entry(link, struct mcp_question, link);
        if (question->number == number && question->told && !question->over)
            return question;
    }
    return NULL;
}

bool mcp_questions_wait(const struct mcp_client *client, mcp_request_id request)
{
    list_for_each(link, &client->questions) {
        const struct mcp_question *question = list_entry(link, struct mcp_question, link);
        if (!question->over && (!question->request || question->request == request))
            return true;
    }
    return false;
}

static void make_over(struct mcp_client *client, struct mcp_question *question)
{
    question->over = true;
    mcp_client_sweep_soon(client);
}

void mcp_questions_over(struct mcp_client *client, mcp_request_id request)
{
    list_for_each(link, &client->questions) {
        struct mcp_question *question = list_entry(link, struct mcp_question, link);
        if (question->request == request)
            make_over(client, question);
    }
}

void mcp_question_cancelled(struct mcp_client *client, struct span id)
{
    list_for_each(link, &client->questions) {
        struct mcp_question *question = list_entry(link, struct mcp_question, link);
        if (question->id && span_is(id, question->id))
            make_over(client, question);
    }
}
