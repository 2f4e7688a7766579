#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "codec/document.h"
#include "serve/control_internal.h"
#include "store/session.h"
#include "store/settle.h"

enum { TITLE_MAX = 200 /* bytes */, PRUNE_DAYS_MAX = 36500 };

static void on_stored(void *context, int result, const struct error *err, int64_t rowid)
{
    struct control_question *question = context;
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node answer = document_object(&doc);
    node_add_bool(answer, "done", true);
    if (result == STORE_LEFT_OVER)
        node_add_text(answer, "left_over", err->text);
    control_print(&doc, &body);
    control_finish(question, result == STORE_LEFT_OVER ? 0 : result, &body, err);
}

struct deletion {
    struct control_question question; // first: it is freed as one
    char session[STORE_ID_MAX + 1];
};

static void on_deleted(void *context, int result, const struct error *err, int64_t rowid)
{
    const struct deletion *deletion = context;
    const struct control_env *env = deletion->question.env;
    if (result >= 0 && env->dispatcher)
        dispatcher_session_deleted(env->dispatcher, deletion->session);
    on_stored(context, result, err, rowid);
}

static void keep_id(void *context, const struct store_session *session)
{
    buf_append_span(context, session->id);
}

static void rename_session(const struct control_question *question, struct span id)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct error err = ERROR_INIT;
    document_read(&doc, question->body, NULL);
    struct span title = span_trim(span_of(node_text(node_get(document_root(&doc), "title"))));
    bool one_line = true; // it is shown in lists and in a terminal
    for (size_t i = 0; i < title.len; i++)
        one_line = one_line && (unsigned char)title.data[i] >= ' ' && title.data[i] != 0x7f;
    if (title.len == 0 || title.len > TITLE_MAX || !one_line) {
        control_refuse(question, 400,
                       "the body must be {\"title\": ...}: one line of 1 to 200 bytes");
        return;
    }
    struct store_settlement settlement = {
        .session = id,
        .title = title,
        .now_ms = loop_wall(question->env->loop),
    };
    struct control_question *kept = control_question_keep(question, sizeof *kept);
    control_submitted(kept, store_settle(question->env->store, &settlement, on_stored, kept, &err),
                      &err);
}

// A page that the store's thread writes.
struct page {
    struct control_question *question; // waits for it
    char session[STORE_ID_MAX];        // the beginning of an id; "": the list of all
    size_t session_len;
    struct buf body;
};

static int write_page(void *context, struct store_view *view, struct error *err)
{
    struct page *page = context;
    BUF_AUTO id = BUF_INIT(STORE_ID_MAX);
    struct span beginning = span_make(page->session, page->session_len);
    if (beginning.len == 0)
        return control_write_sessions(view, &page->body, err);
    int r = store_find_session(view, beginning, keep_id, &id, err);
    return r == 0 ? control_write_session(view, buf_span(&id), &page->body, err) : r;
}

static void on_page(void *context, int result, const struct error *err, int64_t rowid)
{
    struct page *page = context;
    control_finish(page->question, result, &page->body, err);
}

static void page_release(void *context)
{
    struct page *page = context;
    buf_finish(&page->body);
    free(page);
}

// The list, or the session that is meant by the beginning of an id.
static void ask_page(const struct control_question *question, struct span session)
{
    static const struct store_reading reading = {write_page, on_page, page_release};
    struct error err = ERROR_INIT;
    struct page *page = mem_new(struct page);
    page->question = control_question_keep(question, sizeof *page->question);
    buf_init(&page->body, CONTROL_ANSWER_MAX);
    page->session_len = session.len;
    memcpy(page->session, session.data, session.len);
    int64_t job = store_read(question->env->store, &reading, page, &err);
    control_submitted(page->question, job, &err);
    if (job <= 0)
        page_release(page);
}

static void ask_session(const struct control_question *question, struct span beginning)
{
    BUF_AUTO id = BUF_INIT(STORE_ID_MAX);
    struct store *store = question->env->store;
    struct error err = ERROR_INIT;
    if (beginning.len == 0) {
        control_refuse(question, 404, "the id of the session is missing");
        return;
    }
    if (span_is(question->method, "GET") && beginning.len <= STORE_ID_MAX) {
        ask_page(question, beginning);
        return;
    }
    int r = store_find_session(store_view(store), beginning, keep_id, &id, &err);
    if (r != 0) {
        control_reply(question, r, NULL, &err);
    } else if (span_is(question->method, "DELETE")) {
        struct deletion *kept = control_question_keep(question, sizeof *kept);
        memcpy(kept->session, buf_text(&id), id.len + 1);
        control_submitted(&kept->question,
                          store_session_delete(store, buf_span(&id), on_deleted, kept, &err), &err);
    } else if (span_is(question->method, "POST")) {
        rename_session(question, buf_span(&id));
    } else {
        control_refuse(question, 405, "a session accepts GET, DELETE and POST");
    }
}

static void on_pruned(void *context, int result, const struct error *err, int64_t rowid)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    buf_printf(&body, "{\"sessions\":%lld,\"more\":%s}\n", (long long)rowid,
               result == STORE_LEFT_OVER && rowid == STORE_PRUNED_MAX ? "true" : "false");
    control_finish(context, result < 0 ? result : 0, &body, err);
}

static void ask_prune(const struct control_question *question, struct span rest)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    struct store *store = question->env->store;
    struct error err = ERROR_INIT;
    int64_t days = 0, count = 0;
    struct span channel = span_cut(&rest, '/');
    bool all = span_is(channel, "*");
    if (!all && !control_is_chat_name(channel)) {
        control_refuse(
            question, 400,
            "a source is named as \"hermes sessions list\" shows it: telegram, api, cron");
        return;
    }
    if (all)
        channel = SPAN_ABSENT;
    if (!span_to_i64(rest, &days) || days < 0 || days > PRUNE_DAYS_MAX) {
        control_refuse(question, 400, "the number of days is one of 0 to 36500");
        return;
    }
    int64_t before_ms = loop_wall(question->env->loop) - days * INT64_C(24) * 3600 * 1000;
    if (span_is(question->method, "DELETE")) {
        struct control_question *kept = control_question_keep(question, sizeof *kept);
        control_submitted(
            kept, store_sessions_prune(store, before_ms, channel, on_pruned, kept, &err), &err);
        return;
    }
    int r = store_count_ended(store_view(store), before_ms, channel, &count, &err);
    buf_printf(&body, "{\"sessions\":%lld}\n", (long long)count);
    control_reply(question, r, &body, &err);
}

static void ask_context(const struct control_question *question, struct span rest)
{
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    if (!question->env->dispatcher) {
        control_refuse(question, 409, "no agent runs here, so there is no context to measure");
        return;
    }
    dispatcher_context(question->env->dispatcher, &answer);
    buf_append_char(&answer, '\n');
    control_reply(question, 0, &answer, NULL);
}

static void ask_reload(const struct control_question *question, struct span rest)
{
    BUF_AUTO text = BUF_INIT(CONTROL_MESSAGE_MAX);
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct error err = ERROR_INIT;
    if (!question->env->reload) {
        control_refuse(question, 409, "nothing runs here that can reload a configuration");
        return;
    }
    int r = question->env->reload(question->env->context, &text, &err);
    if (r < 0) { // the old configuration goes on
        control_refuse(question, 422, err.text);
        return;
    }
    node_add_string(document_object(&doc), "text", buf_span(&text));
    control_print(&doc, &answer);
    control_reply(question, 0, &answer, NULL);
}

// One that ends in a slash is for all that begin with it.
static const struct {
    const char *path, *method; // NULL: several
    void (*ask)(const struct control_question *question, struct span rest);
} questions[] = {
    {"/status", "GET", control_ask_status},  {"/sessions", "GET", ask_page},
    {"/sessions/", NULL, ask_session},       {"/calls/", "GET", control_ask_call},
    {"/context", "GET", ask_context},        {"/reload", "POST", ask_reload},
    {"/cost", "GET", control_ask_cost},      {"/cost/", "GET", control_ask_cost},
    {"/taints", "GET", control_ask_taints},  {"/taints/", "DELETE", control_ask_taints},
    {"/mcp-servers", NULL, control_ask_mcp}, {"/mcp-servers/", NULL, control_ask_mcp},
    {"/cron", "POST", control_ask_cron},     {"/prune/", NULL, ask_prune},
};

void control_ask(const struct control_question *question)
{
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        struct span path = span_of(questions[i].path), rest = span_skip(question->path, path.len);
        bool open = path.data[path.len - 1] == '/';
        if (!span_starts_with(question->path, path.data) || (!open && rest.len))
            continue;
        if (!questions[i].method || span_is(question->method, questions[i].method))
            questions[i].ask(question, rest);
        else
            control_refuse(question, 405, "this path does not accept that method");
        return;
    }
    if (span_is(question->path, "/chat"))
        control_refuse(question, 405, "/chat accepts POST, and DELETE to end the answer");
    else
        control_refuse(question, 404,
                       "the paths are /status, /sessions, /sessions/ID, /prune/CHANNEL/DAYS, "
                       "/taints, /taints/ID, /cost/BY/DAYS, /calls/ID, /mcp-servers/NAME, /cron, "
                       "/context, /chat and /reload");
}

void control_answer(const struct control_env *env, struct span method, struct span path,
                    struct span body, control_done_fn *done, void *context)
{
    struct control_question question = {
        .env = env,
        .method = method,
        .path = path,
        .body = body,
        .done = done,
        .context = context,
    };
    control_ask(&question);
}
