// The schedule, in hermes-agent's words: what is asked here is asked of the scheduler.
#include <errno.h>

#include "base/mem.h"
#include "net/http_server.h"
#include "scheduler/scheduler.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"
#include "serve/control_internal.h"

static unsigned status_of(int r)
{
    return r == -EINVAL || r == -EBADMSG || r == -E2BIG ? 400 : control_status_of(r);
}

// The body's members, then ours, of which the last counts.
static int ask(struct api *api, struct span body, const char *action, struct span id,
               struct buf *out, struct error *err)
{
    BUF_AUTO text = BUF_INIT(API_BODY_MAX + CONTROL_ERROR_MAX);
    DOCUMENT_AUTO own = DOCUMENT_INIT(DOCUMENT_SMALL);
    JSON_AUTO doc = JSON_INIT;
    struct node root = document_object(&own);
    node_add_text(root, "action", action);
    if (id.len)
        node_add_string(root, "job_id", id);
    node_add_bool(root, "json", true);
    body = span_trim(body);
    if (body.len > 1) { // an object, as was looked at before
        buf_append(&text, body.data, body.len - 1);
        bool empty = span_trim(span_make(body.data + 1, body.len - 2)).len == 0;
        buf_append_text(&text, empty ? "" : ",");
    } else {
        buf_append_char(&text, '{');
    }
    BUF_AUTO ours = BUF_INIT(CONTROL_ERROR_MAX);
    document_print(&own, &ours, NULL);
    if (ours.len)
        buf_append(&text, ours.data + 1, ours.len - 1);
    int r = json_parse(&doc, buf_span(&text), err);
    return r < 0 ? r : scheduler_ask(api->control->scheduler, json_root(&doc), NULL, out, err);
}

static void reply(struct http_exchange *exchange, const char *key, struct span json)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    node_add_raw(document_object(&doc), key, json);
    api_reply(exchange, 200, &doc);
}

// As it is now: that of the id, or the newest.
static int show(struct api *api, struct http_exchange *exchange, struct span id, struct error *err)
{
    BUF_AUTO out = BUF_INIT(API_ANSWER_MAX);
    JSON_AUTO doc = JSON_INIT;
    int r = ask(api, SPAN_ABSENT, id.len ? "show" : "list", id, &out, err);
    if (r == 0)
        r = json_parse(&doc, buf_span(&out), err);
    if (r < 0)
        return r;
    struct json_value job = json_root(&doc);
    if (!id.len) {
        struct json_value jobs = json_get(job, "jobs");
        job = json_at(jobs, json_count(jobs) - 1);
    }
    reply(exchange, "job", json_raw(job));
    return 0;
}

static const struct {
    const char *method, *word; // behind the id
    const char *action;
    bool has_id;
} actions[] = {
    {"GET", "", "list", false},          {"POST", "", "create", false},
    {"GET", "", "show", true},           {"PATCH", "", "update", true},
    {"DELETE", "", "remove", true},      {"POST", "pause", "pause", true},
    {"POST", "resume", "resume", true},  {"POST", "run", "run", true},
    {"GET", "history", "history", true},
};

static const char *action_of(struct span method, struct span id, struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (span_is(method, actions[i].method) && span_is(word, actions[i].word) &&
            actions[i].has_id == (id.len > 0))
            return actions[i].action;
    return NULL;
}

void api_jobs(struct api *api, struct http_exchange *exchange, struct span rest)
{
    BUF_AUTO out = BUF_INIT(API_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct error err = ERROR_INIT;
    struct span method = http_exchange_method(exchange), body = http_exchange_body(exchange);
    struct span word = span_skip(rest, 1), id = span_cut(&word, '/');
    const char *action = action_of(method, id, word);
    bool reads = span_is(method, "GET"), shows = action && span_is(span_of(action), "show");
    if (!action || !api->control->scheduler) {
        api_refuse(exchange, action ? 409 : 405, NULL,
                   action ? "no jobs are kept here"
                          : "GET or POST /api/jobs; GET, PATCH or DELETE /api/jobs/ID; POST "
                            "/api/jobs/ID/pause, /resume or /run; GET /api/jobs/ID/history");
        return;
    }
    if (body.len && !api_read_body(exchange, &doc))
        return;
    int r = shows ? 0 : ask(api, reads ? SPAN_ABSENT : body, action, id, &out, &err);
    if (r == 0 && span_is(method, "DELETE"))
        http_exchange_reply(exchange, 200, api_json, SPAN_LITERAL("{\"ok\":true}\n"));
    else if (r == 0 && reads && !shows)
        http_exchange_reply_take(exchange, 200, api_json, &out);
    else if (r == 0)
        r = show(api, exchange, id, &err);
    if (r < 0)
        api_refuse(exchange, status_of(r), NULL, "%s", err.text);
}
