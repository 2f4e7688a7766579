#include "agent/side_call.h"

#include <stdlib.h>

#include "agent/turn.h"
#include "base/mem.h"

struct side_call {
    struct agent_use use;
    struct agent *agent;
    chat_call_id id;
    loop_id limit;
    side_done_fn *done;
    void *context;
};

static void forget(struct side_call *call)
{
    loop_cancel(call->agent->env.loop, call->limit);
    list_remove(&call->use.link);
    free(call);
}

static void end(struct side_call *call, struct chat_reply *reply, const char *trouble)
{
    side_done_fn *done = call->done;
    void *context = call->context;
    forget(call);
    done(context, reply, trouble);
}

static void on_text(void *context, struct span delta)
{
    (void)context, (void)delta;
}

static void on_reply(void *context, struct chat_reply *reply)
{
    end(context, reply, "");
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    end(context, NULL, failure->text);
}

static void on_limit(void *context)
{
    struct side_call *call = context;
    chat_provider_cancel(call->use.provider, call->id);
    end(call, NULL, "it did not answer in time");
}

int side_call_start(struct agent *agent, const struct side_request *request, side_done_fn *done,
                    void *context, struct side_call **ret_call, struct error *err)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure, NULL};
    const struct chat_message messages[] = {{.role = CHAT_SYSTEM, .text = (char *)request->orders},
                                            {.role = CHAT_USER, .text = (char *)request->text}};
    const struct chat_request asked = {.origin = request->origin,
                                       .messages = messages,
                                       .message_count = ARRAY_LEN(messages),
                                       .max_tokens = request->max_tokens};
    struct side_call *call = mem_new(struct side_call);
    *call = (struct side_call){
        .use.provider = agent->env.provider, .agent = agent, .done = done, .context = context};
    int r = chat_provider_start(call->use.provider, &asked, &sink, call, &call->id, err);
    if (r < 0) {
        free(call);
        return r;
    }
    list_append(&agent->uses, &call->use.link);
    call->limit = loop_timer_after(agent->env.loop, request->limit_ms, on_limit, call);
    *ret_call = call;
    return 0;
}

void side_call_cancel(struct side_call *call)
{
    if (!call)
        return;
    chat_provider_cancel(call->use.provider, call->id);
    forget(call);
}
