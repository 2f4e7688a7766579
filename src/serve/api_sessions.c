// The sessions, as the control socket tells of them.
#include "base/mem.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_turn.h"
#include "serve/control_internal.h"

// Its {"error": sentence} in OpenAI's shape.
static void on_answer(void *context, unsigned status, struct span body)
{
    struct api_page *page = context;
    struct http_exchange *exchange = http_server_find(page->api->server, page->exchange);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    const char *sentence = NULL;
    if (status >= 400 && document_read(&doc, body, NULL) == 0)
        sentence = node_text(node_get(document_root(&doc), "error"));
    if (exchange && status < 400)
        http_exchange_reply(exchange, status, api_json, body);
    else if (exchange)
        api_refuse(exchange, status, NULL, "%s", sentence ? sentence : "this failed");
    api_page_destroy(page);
}

// The store learns of a turn a moment after its client does, and of the session with it.
static bool is_answered(const struct api *api, struct span session)
{
    list_for_each(link, &api->works) {
        const struct api_work *work = list_entry(link, struct api_work, link);
        if (!work->ended && *work->session && span_is(session, work->session))
            return true;
    }
    return false;
}

void api_sessions(struct api *api, struct http_exchange *exchange, struct span rest)
{
    static const char messages[] = "/messages";
    struct span method = http_exchange_method(exchange);
    if (span_is(method, "PATCH")) // a new title
        method = SPAN_LITERAL("POST");
    else if (!span_is(method, "GET") && !span_is(method, "DELETE")) {
        api_refuse(exchange, 405, NULL,
                   "GET /api/sessions; GET, PATCH {\"title\"} or DELETE /api/sessions/ID");
        return;
    }
    if (span_is(method, "DELETE") && rest.len && is_answered(api, span_skip(rest, 1))) {
        api_refuse(exchange, 409, "session_busy",
                   "session %.*s is being answered; wait for that or stop its run, then delete it",
                   (int)rest.len - 1, rest.data + 1);
        return;
    }
    if (span_ends_with(rest, messages) && span_is(method, "GET"))
        rest.len -= sizeof messages - 1; // which a session is told with
    CLEANUP(mem_cleanup) char *path = mem_printf("/sessions%.*s", (int)rest.len, rest.data);
    struct control_question question = {
        .env = api->control,
        .method = method,
        .path = span_of(path),
        .body = http_exchange_body(exchange),
        .waiting = &api->questions,
        .done = on_answer,
        .context = api_page_begin(api, exchange, NULL),
    };
    control_ask(&question);
}
