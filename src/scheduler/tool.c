#include <stdlib.h>
#include <string.h>

#include "scheduler/scheduler_internal.h"

/*
 * The tool by which a model keeps jobs. It is none of unattended work, so that no job makes others;
 * and where a conversation holds text that nobody vouches for, a person is asked before a job is
 * made or changed (agent/approval_policy.c).
 */
struct cron_tool {
    struct tool_source source;
    struct scheduler *scheduler;
};

static bool describe(const struct tool_source *source, size_t place, struct tool_description *ret)
{
    *ret = (struct tool_description){
        .name = "cronjob",
        .description = "Keep scheduled jobs: what is to be done at a time, or again and again. A "
                       "job's run knows nothing of this conversation, so its prompt says all.",
        .parameters =
            "{\"type\":\"object\",\"properties\":{"
            "\"action\":{\"type\":\"string\",\"enum\":[\"create\",\"list\",\"show\",\"update\","
            "\"pause\",\"resume\",\"remove\",\"run\",\"history\"]},"
            "\"job_id\":{\"type\":\"string\",\"description\":\"Id or name\"},"
            "\"schedule\":{\"type\":\"string\",\"description\":\"in 30m, every 2h, daily at 7am, "
            "weekdays at 9am, 0 9 * * 1-5, 2027-02-03T14:00\"},"
            "\"prompt\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"},"
            "\"deliver\":{\"type\":\"string\",\"description\":\"origin (this chat), local, "
            "telegram, telegram:CHAT\"},"
            "\"skills\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
            "\"script\":{\"type\":\"string\",\"description\":\"In scripts/; runs before\"},"
            "\"monitor\":{\"type\":\"string\",\"description\":\"URL, SERVER:/path of "
            "http_request, or script: the job runs only when its text has changed\"},"
            "\"no_agent\":{\"type\":\"boolean\",\"description\":\"The script alone\"},"
            "\"context_from\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
            "\"description\":\"Jobs whose last answers it is told\"},"
            "\"repeat\":{\"type\":\"integer\",\"description\":\"Runs; 0: no end\"},"
            "\"model\":{\"type\":\"string\"}},\"required\":[\"action\"]}",
        .flags = TOOL_WRITES | TOOL_FOUND,
    };
    return place == 0;
}

static int start(struct tool_source *source, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct cron_tool *own = CONTAINER_OF(source, struct cron_tool, source);
    const struct tool_call_context *context = call->context;
    struct scheduler_origin origin;
    CLEANUP(mem_cleanup) char *chat = NULL, *thread = NULL;
    bool somewhere = scheduler_origin_of(own->scheduler, context->session, &chat, &thread);
    origin = (struct scheduler_origin){context->origin, chat, thread};
    int r = scheduler_ask(own->scheduler, call->arguments, somewhere ? &origin : NULL, out, err);
    return r < 0 ? r : TOOL_ENDED;
}

static bool cancel(struct tool_source *source, const char *tool, union tool_handle handle)
{
    return true; // never: it ends when it begins
}

void scheduler_add_tool(struct scheduler *scheduler)
{
    static const struct tool_source_ops ops = {
        .describe = describe, .start = start, .cancel = cancel};
    struct error err = ERROR_INIT;
    struct cron_tool *tool = mem_new(struct cron_tool);
    *tool = (struct cron_tool){{"cron", &ops}, scheduler};
    if (toolbox_add_source(scheduler->env.toolbox, &tool->source, &scheduler->source_id, &err) <
        0) {
        log_warning("no model can keep jobs: %s", err.text);
        free(tool);
        return;
    }
    scheduler->source = &tool->source;
}

void scheduler_remove_tool(struct scheduler *scheduler)
{
    if (!scheduler->source)
        return;
    toolbox_remove_source(scheduler->env.toolbox, scheduler->source_id);
    free(CONTAINER_OF(STEAL(scheduler->source), struct cron_tool, source));
}
