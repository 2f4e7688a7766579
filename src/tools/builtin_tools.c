#include "tools/builtin_tools.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/table.h"
#include "tools/tool_process.h"

static bool describe(const struct tool_source *source, size_t place, struct tool_description *ret)
{
    const struct builtin_tools *own = CONTAINER_OF(source, struct builtin_tools, source);
    size_t count, at = 0;
    const struct tool *const *table = tool_table(&count);
    for (; at < count; at++)
        if ((!table[at]->available || table[at]->available(&own->env)) && place-- == 0)
            break;
    if (at == count)
        return false;
    const struct tool *tool = table[at];
    *ret = (struct tool_description){tool->name, tool->description, tool->parameters, tool->flags};
    if (tool == &tool_skill_manage && own->env.settings.skills_ask)
        ret->flags |= TOOL_NEEDS_APPROVAL;
#ifdef HERMES_DEBUG_WAITS // the debug build: no tool of this program needs approval by itself
    const char *asks = getenv("HERMES_DEBUG_ASKS");
    if (asks && strcmp(asks, tool->name) == 0)
        ret->flags |= TOOL_NEEDS_APPROVAL;
#endif
    return true;
}

static void on_process_done(void *context, int result, struct span text, int64_t ms)
{
    tool_run_end(context, &(struct tool_result){.text = text, .failed = result != 0, .ms = ms});
}

static int start(struct tool_source *source, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct builtin_tools *own = CONTAINER_OF(source, struct builtin_tools, source);
    const struct tool *tool = tool_find(call->tool);
    if (tool->start)
        return tool->start(&own->env, call, run, out, err);
    struct tool_process *process;
    int r = tool_process_start(&own->env, tool, call->context->flow, call->text, on_process_done,
                               run, &process, err);
    if (r == 0)
        tool_run_set_handle(run, (union tool_handle){.pointer = process});
    return r;
}

static bool cancel(struct tool_source *source, const char *name, union tool_handle handle)
{
    struct builtin_tools *own = CONTAINER_OF(source, struct builtin_tools, source);
    const struct tool *tool = tool_find(name);
    if (tool->work)
        return tool_process_cancel(handle.pointer);
    tool->forget(&own->env, handle.number);
    return true;
}

void builtin_tools_init(struct builtin_tools *tools, const struct tool_env *env)
{
    static const struct tool_source_ops ops = {describe, start, cancel};
    *tools = (struct builtin_tools){.source = {"built-in", &ops}, .env = *env};
    list_init(&tools->fetches.waiting);
    tools->env.fetches = &tools->fetches;
}
