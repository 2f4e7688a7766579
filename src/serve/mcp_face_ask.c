// The agent as a tool: a turn of the channel "api", whose end is the result of the call.
#include <string.h>

#include "agent/command_word.h"
#include "agent/dispatcher.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/utf8.h"
#include "serve/control_internal.h"
#include "serve/mcp_face_internal.h"

static const char channel_name[] = "api";

enum { NAME_SIZE = 17 }; // hex digits and a NUL

struct asking {
    struct face_work work; // first
    int64_t steps;         // that were told of
};

static void cancel(struct face_work *work)
{
    work->call = 0; // the turn's end is still to come
    dispatcher_stop(work->face->control->dispatcher, channel_name, work->text);
}

static void answer(const struct asking *asking, const struct turn_outcome *outcome)
{
    BUF_AUTO text = BUF_INIT(MCP_ANSWER_MAX);
    bool failed = outcome->state != TURN_DONE;
    buf_append_text(&text, outcome->text);
    if (failed)
        buf_printf(&text, "%s%s", text.len ? "\n\n" : "",
                   *outcome->error ? outcome->error : "the answer was stopped");
    if (*outcome->remark)
        buf_printf(&text, "%s%s", text.len ? "\n\n" : "", outcome->remark);
    face_reply_text(asking->work.face, asking->work.call, buf_span(&text), failed);
}

static void on_event(void *context, const struct turn_event *event)
{
    struct asking *asking = context;
    bool told = event->kind != TURN_EVENT_TEXT && event->kind != TURN_EVENT_END;
    if (told && asking->work.call)
        mcp_server_progress(asking->work.face->server, asking->work.call, ++asking->steps, 0,
                            event->kind == TURN_EVENT_WAIT ? event->sentence : event->name);
    if (event->kind != TURN_EVENT_END)
        return;
    if (asking->work.call)
        answer(asking, event->outcome);
    face_work_end(&asking->work);
}

static const char *fault_of(const char *question, struct span name)
{
    struct span word, rest;
    if (!question || !span_trim(span_of(question)).len)
        return "\"question\" is missing, empty or too long";
    if (!utf8_valid(span_of(question)))
        return "\"question\" is not UTF-8 text";
    if (command_word_read(span_trim(span_of(question)), &word, &rest)) // they are for people
        return "a question is no command: it must not begin with \"/\"";
    if (!control_is_chat_name(name))
        return "\"conversation\" must be of letters, digits, \".\", \"-\" and \"_\", 64 at most";
    return NULL;
}

void face_ask(struct mcp_face *face, const struct mcp_asked *asked)
{
    struct error err = ERROR_INIT;
    char fresh[NAME_SIZE];
    CLEANUP(mem_cleanup)
    char *question = json_strdup(json_get(asked->arguments, "question"), CONTROL_MESSAGE_MAX);
    CLEANUP(mem_cleanup)
    char *given = json_strdup(json_get(asked->arguments, "conversation"), CONTROL_MESSAGE_MAX);
    random_hex(fresh, sizeof fresh);
    const char *name = given ? given : fresh;
    const char *fault = fault_of(question, span_of(name));
    if (fault) {
        face_reply_text(face, asked->call, span_of(fault), true);
        return;
    }
    struct asking *asking = face_work_begin(face, sizeof *asking, asked->call, cancel);
    asking->work.text = mem_strdup(name);
    if (dispatcher_say(face->control->dispatcher, channel_name, name, span_of(question), on_event,
                       asking, &err) == 0)
        return;
    face_reply_text(face, asked->call, span_of(err.text), true);
    face_work_end(&asking->work);
}
