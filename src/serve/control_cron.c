#include "base/mem.h"
#include "scheduler/scheduler.h"
#include "serve/control_internal.h"

// What is posted to /cron is a question to the scheduler, and so is the answer where JSON is asked
// for; else it is a text.
void control_ask_cron(const struct control_question *question, struct span rest)
{
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX), text = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO reply = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct error err = ERROR_INIT;
    bool json = false;
    if (!question->env->scheduler) {
        control_refuse(question, 409, "no agent runs here, so no jobs are kept");
        return;
    }
    int r = json_parse(&doc, question->body, &err);
    if (r == 0)
        r = scheduler_ask(question->env->scheduler, json_root(&doc), NULL, &text, &err);
    json_bool(json_get(json_root(&doc), "json"), &json);
    if (r == 0 && json && text.len && *text.data == '{') {
        buf_append_span(&answer, buf_span(&text));
        buf_append_char(&answer, '\n');
    } else if (r == 0) {
        node_add_string(document_object(&reply), "text", buf_span(&text));
        control_print(&reply, &answer);
    }
    control_reply(question, r, &answer, &err);
}

void control_add_cron(struct node parent, const struct control_env *env)
{
    struct scheduler_status status;
    if (!env->scheduler)
        return;
    scheduler_status(env->scheduler, &status);
    struct node node = node_add_object(parent, "cron");
    node_add_int(node, "jobs", status.jobs);
    node_add_int(node, "waiting", status.waiting);
    node_add_int(node, "running", status.running);
    node_add_int(node, "failing", status.failing);
    node_add_int(node, "next_ms", status.next_ms);
}
