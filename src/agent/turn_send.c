#include "agent/turn_send.h"

#include "agent/turn.h"
#include "base/mem.h"
#include "codec/document.h"
#include "tools/tool_target.h"

// What the call was given, as a row's text has it.
static void write_text(const struct turn_call *call, struct buf *out)
{
    static const char *const keys[] = {"path", "caption"};
    const struct chat_call *asked = &turn_asking_message(call->turn)->calls[call->ordinal];
    struct tool_target target;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    tool_target_find(call->turn->tools, asked->name, span_of(asked->arguments), &target);
    struct span size = span_of(call->result);
    buf_append_span(out, span_cut(&size, ' '));
    document_read(&doc, target.arguments, NULL);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *text = node_text(node_get(document_root(&doc), keys[i]));
        buf_printf(out, "\n%s", text ? text : "");
    }
}

static bool sends(const struct turn_call *call)
{
    return call->ended && !call->failed && !call->interrupted && call->flags & TOOL_SENDS;
}

char *turn_send_refusal(const struct turn_call *call, struct span promise)
{
    const struct turn *turn = call->turn;
    if (!(call->flags & TOOL_SENDS) || turn->terms.reply_channel)
        return NULL;
    span_cut(&promise, ':');
    return mem_printf("not sent: nobody reads this answer in a chat. Tell the person where the "
                      "file is:%.*s, in %s",
                      (int)promise.len, promise.data,
                      toolbox_env(turn->agent->env.toolbox)->workspace);
}

size_t turn_send_rows(const struct turn *turn, struct store_reply *rows, struct buf *texts)
{
    const char *thread = turn->terms.reply_thread;
    size_t count = 0;
    for (size_t i = 0; i < turn->call_count; i++) {
        if (!sends(&turn->calls[i]))
            continue;
        size_t before = texts->len;
        write_text(&turn->calls[i], texts);
        rows[count++] = (struct store_reply){.channel = span_of(turn->terms.reply_channel),
                                             .chat = span_of(turn->terms.reply_chat),
                                             .thread = span_of(thread ? thread : ""),
                                             .text = {NULL, texts->len - before},
                                             .kind = STORE_REPLY_FILE};
    }
    const char *text = texts->data; // which moves no more
    for (size_t i = 0; i < count; i++) {
        rows[i].text.data = text;
        text += rows[i].text.len;
    }
    return count;
}
