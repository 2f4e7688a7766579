// A question to the control socket, from its asker to the answer.
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/document.h"
#include "mcp/servers.h"
#include "serve/control_internal.h"
#include "store/session.h"
#include "tools/toolbox.h"

unsigned control_status_of(int code)
{
    switch (code) {
    case 0:
        return 200;
    case STORE_NOT_FOUND:
    case -ENOENT:
        return 404;
    case -EINVAL: // the beginning of several ids
    case -EBUSY:
    case -EALREADY:
        return 409;
    case -EFBIG:
        return 413;
    case -EAGAIN:
        return 503;
    default:
        return 500;
    }
}

void control_print(struct document *doc, struct buf *out)
{
    document_print(doc, out, NULL);
    buf_append_char(out, '\n');
}

static void answer(const struct control_question *question, unsigned status, struct span body)
{
    if (!question->server) {
        question->done(question->context, status, body);
        return;
    }
    struct http_exchange *exchange = http_server_find(question->server, question->exchange);
    if (exchange)
        http_exchange_reply(exchange, status, "application/json", body);
}

void control_refuse(const struct control_question *question, unsigned status, const char *sentence)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    node_add_text(document_object(&doc), "error", sentence);
    control_print(&doc, &body);
    answer(question, status, buf_span(&body));
}

void control_reply(const struct control_question *question, int r, struct buf *body,
                   const struct error *err)
{
    if (r == 0 && buf_is_full(body))
        control_refuse(question, 413, "the answer is larger than 64 MiB");
    else if (r == STORE_NOT_FOUND)
        control_refuse(question, 404, "there is no such session; hermes sessions list prints them");
    else if (r != 0)
        control_refuse(question, control_status_of(r), err->text);
    else
        answer(question, 200, buf_span(body));
}

void control_finish(struct control_question *kept, int r, struct buf *body, const struct error *err)
{
    list_remove(&kept->link);
    loop_cancel(kept->env->loop, kept->timer);
    control_reply(kept, r, body, err);
    free(kept);
}

void control_submitted(struct control_question *kept, int64_t job, const struct error *err)
{
    kept->job = job;
    if (job <= 0)
        control_finish(kept, (int)job, NULL, err);
}

void *control_question_keep(const struct control_question *question, size_t size)
{
    struct control_question *kept = mem_zalloc(size);
    *kept = *question;
    kept->method = kept->path = kept->body = SPAN_ABSENT;
    list_init(&kept->link);
    if (kept->waiting)
        list_append(kept->waiting, &kept->link);
    return kept;
}

void control_forget(struct list *waiting)
{
    for (struct list *link; (link = list_shift(waiting));) {
        struct control_question *question = list_entry(link, struct control_question, link);
        store_forget(question->env->store, question->job);
        loop_cancel(question->env->loop, question->timer);
        if (question->run)
            toolbox_cancel(question->env->toolbox, question->run);
        if (question->redirect_uri)
            mcp_servers_forget(question->env->mcp_servers, question);
        free(question);
    }
}
