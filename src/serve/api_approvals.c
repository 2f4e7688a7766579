// What turns wait for, of all conversations: whoever has the key answers for the owner.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"
#include "serve/api_turn.h"
#include "serve/control_internal.h"
#include "store/approval.h"
#include "store/settle.h"
#include "tools/clarify.h"

enum { ANSWERS_MAX = 32 }; // questions that are answered at once

static bool add_question(void *context, const struct store_approval *row)
{
    struct node *list = context;
    struct node one = node_add_object(*list, NULL);
    CLEANUP(mem_cleanup) char *run = mem_printf("run_%.*s", (int)row->turn.len, row->turn.data);
    node_add_string(one, "code", row->code);
    node_add_string(one, "tool", row->name);
    node_add_string(one, "arguments", row->arguments);
    node_add_string(one, "why", row->why);
    node_add_text(one, "run_id", run);
    node_add_string(one, "session_id", row->session);
    node_add_int(one, "asked_at", row->asked_ms / 1000);
    node_add_int(one, "expires_at", row->expires_ms / 1000);
    return true;
}

static void list_all(struct api *api, struct http_exchange *exchange)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct error err = ERROR_INIT;
    struct node root = document_object(&doc), list = node_add_array(root, "approvals");
    if (store_read_all_questions(store_view(api->control->store), add_question, &list, &err) < 0)
        api_refuse_for_now(exchange, err.text);
    else
        api_reply(exchange, 200, &doc);
}

struct search {       // for the questions that are meant
    struct span code; // absent: all
    const char *turn; // NULL: of any
    const char *words;
    struct {
        char turn[STORE_ID_MAX];
        int iteration, ordinal;
    } found[ANSWERS_MAX];
    size_t count;
    bool mixed; // one is asked in words, and there are none; or the other way round
};

static bool match(void *context, const struct store_approval *row)
{
    struct search *search = context;
    bool code =
        !search->code.len || (search->code.len == row->code.len &&
                              strncasecmp(search->code.data, row->code.data, row->code.len) == 0);
    if (!code || (search->turn && !span_is(row->turn, search->turn)) ||
        row->turn.len >= STORE_ID_MAX || search->count == ANSWERS_MAX)
        return true;
    search->mixed |= span_is(row->name, clarify_tool_name) != (search->words != NULL);
    memcpy(search->found[search->count].turn, row->turn.data, row->turn.len);
    search->found[search->count].iteration = row->iteration;
    search->found[search->count++].ordinal = row->ordinal;
    return true;
}

static int64_t settle(struct api *api, const struct search *search, size_t i, bool approved,
                      struct api_page *page, struct error *err)
{
    struct store_answer answer = {.turn = span_of(search->found[i].turn),
                                  .iteration = search->found[i].iteration,
                                  .ordinal = search->found[i].ordinal,
                                  .approved = approved,
                                  .words = search->words ? span_of(search->words) : SPAN_ABSENT,
                                  .by = SPAN_LITERAL("")};
    struct store_settlement settlement = {.answer = &answer,
                                          .now_ms = loop_wall(api->control->loop)};
    return store_settle(api->control->store, &settlement, api_page_done, page, err);
}

static void on_answered(struct api_page *page, int result, const struct error *err)
{
    struct http_exchange *exchange =
        page->exchange ? http_server_find(page->api->server, page->exchange) : NULL;
    dispatcher_answered(page->api->control->dispatcher);
    if (exchange && result < 0)
        api_refuse(exchange, control_status_of(result), NULL, "%s", err->text);
    else if (exchange)
        http_exchange_reply(exchange, 200, api_json, SPAN_LITERAL("{\"done\":true}\n"));
}

void api_approvals_deny(struct api *api, const char *turn)
{
    struct search search = {.turn = turn};
    struct error err = ERROR_INIT;
    store_read_all_questions(store_view(api->control->store), match, &search, NULL);
    for (size_t i = 0; i < search.count; i++) {
        struct api_page *page = api_page_begin(api, NULL, on_answered);
        api_page_wait(page, settle(api, &search, i, false, page, &err), &err);
    }
}

// {"decision": "approve" | "deny"}, {"choice": "once" | "deny"} or {"answer": words}.
void api_approvals_answer(struct api *api, struct http_exchange *exchange, struct span code,
                          const char *turn)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct search search = {.code = code, .turn = turn};
    struct error err = ERROR_INIT;
    if (!api_read_body(exchange, &doc))
        return;
    struct node root = document_root(&doc), word = node_get(root, "decision");
    if (!node_text(word))
        word = node_get(root, "choice");
    bool approved = node_is(word, "approve") || node_is(word, "once");
    search.words = node_text(node_get(root, "answer"));
    int r = store_read_all_questions(store_view(api->control->store), match, &search, &err);
    if (r < 0)
        api_refuse_for_now(exchange, err.text);
    else if (!approved && !search.words && !node_is(word, "deny"))
        api_refuse(exchange, 400, NULL,
                   "the body must be {\"decision\": \"approve\"}, {\"decision\": \"deny\"} or "
                   "{\"answer\": \"...\"}");
    else if (!search.count)
        api_refuse(exchange, 404, NULL, "nothing is asked by that code");
    else if (search.mixed)
        api_refuse(exchange, 400, NULL,
                   "a question is answered by {\"answer\": \"...\"}, a call by a \"decision\"");
    else
        for (size_t i = search.count; i-- > 0;) { // the last one answers the request
            struct api_page *page = api_page_begin(api, i ? NULL : exchange, on_answered);
            api_page_wait(page, settle(api, &search, i, approved, page, &err), &err);
        }
}

void api_approvals(struct api *api, struct http_exchange *exchange, struct span rest)
{
    struct span method = http_exchange_method(exchange), code = span_skip(rest, 1);
    if (!rest.len && span_is(method, "GET"))
        list_all(api, exchange);
    else if (code.len && span_is(method, "POST"))
        api_approvals_answer(api, exchange, code, NULL);
    else
        api_refuse(exchange, 405, NULL, "GET /api/approvals, or POST /api/approvals/CODE");
}
