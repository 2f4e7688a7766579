#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "mcp/client_call.h"
#include "mcp/client_question.h"

void mcp_client_close(struct mcp_client *client, const struct mcp_reply *why)
{
    if (client->state == MCP_CLOSED)
        return;
    client->state = MCP_CLOSED;
    client->end.err = *why->err;
    mcp_transport_explain(client->transport, &client->end.err);
    if (why->challenge.len)
        client->end.challenge = mem_strndup(why->challenge.data, why->challenge.len);
    client->end.reply = (struct mcp_reply){
        .trouble = why->trouble,
        .code = why->code,
        .challenge = span_of(client->end.challenge),
        .err = &client->end.err,
    };
    loop_cancel(client->env.loop, client->patience);
    loop_cancel(client->env.loop, client->era.timer);
    loop_cancel(client->env.loop, client->listen.timer);
    mcp_transport_destroy(STEAL(client->transport));
    list_for_each(link, &client->calls) {
        struct mcp_call *call = list_entry(link, struct mcp_call, link);
        if (call->own)
            mcp_call_forget(call);
    }
    list_for_each(link, &client->questions)
        list_entry(link, struct mcp_question, link)->over = true;
    mcp_client_sweep_soon(client);
}

void mcp_client_close_text(struct mcp_client *client, enum mcp_trouble trouble, const char *what,
                           ...)
{
    struct error err;
    va_list arguments;
    va_start(arguments, what);
    mcp_client_say(client, &err, what, arguments);
    va_end(arguments);
    mcp_client_close(client, &(struct mcp_reply){.trouble = trouble, .err = &err});
}
