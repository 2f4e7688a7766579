#include "support/scripted_source.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

const struct tool_description scripted_tools[] = {
    {"at_once", "Answers at once.", SCRIPTED_SCHEMA, TOOL_REPEATABLE},
    {"no", "Refuses.", SCRIPTED_SCHEMA, 0},
    {"slow", "Answers later.", SCRIPTED_SCHEMA, 0},
    {"look", "Answers later, and changes nothing.", SCRIPTED_SCHEMA, TOOL_READS | TOOL_REPEATABLE},
    {"ping", "Lets something out.", SCRIPTED_SCHEMA, TOOL_NETWORK},
    {"ring", "Needs approval.", SCRIPTED_SCHEMA, TOOL_NETWORK | TOOL_NEEDS_APPROVAL},
    {0},
};

static struct scripted_source *own(struct tool_source *source)
{
    return CONTAINER_OF(source, struct scripted_source, source);
}

static bool describe(const struct tool_source *source, size_t tool, struct tool_description *ret)
{
    const struct scripted_source *scripted =
        CONTAINER_OF(source, const struct scripted_source, source);
    if (!scripted->tools[tool].name)
        return false;
    *ret = scripted->tools[tool];
    return true;
}

static int start(struct tool_source *source, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct scripted_source *scripted = own(source);
    const char *name = call->tool;
    int number = scripted->started++;
    assert_true(number < SCRIPTED_CALLS_MAX);
    snprintf(scripted->arguments[number], sizeof scripted->arguments[number], "%.*s",
             (int)call->text.len, call->text.data);
    if (strcmp(name, "no") == 0)
        return error_set(err, -EPERM, "I will not");
    if (strcmp(name, "at_once") == 0) {
        buf_append_text(out, "here");
        return TOOL_ENDED;
    }
    scripted->runs[number] = run;
    scripted->tainted[number] = strcmp(name, "look") == 0;
    tool_run_set_handle(run, (union tool_handle){.number = number});
    return 0;
}

static bool cancel(struct tool_source *source, const char *tool, union tool_handle handle)
{
    struct scripted_source *scripted = own(source);
    (void)tool;
    assert_non_null(scripted->runs[handle.number]); // once, and only what runs
    scripted->runs[handle.number] = NULL;
    scripted->cancelled++;
    return true;
}

void scripted_source_init(struct scripted_source *source, const struct tool_description *tools)
{
    static const struct tool_source_ops ops = {describe, start, cancel};
    *source = (struct scripted_source){.source = {"scripted", &ops}, .tools = tools};
}

void scripted_source_answer(struct scripted_source *source, int number, const char *text,
                            bool failed)
{
    struct tool_run *run = source->runs[number];
    source->runs[number] = NULL;
    if (run)
        tool_run_end(run, &(struct tool_result){.text = span_of(text),
                                                .failed = failed,
                                                .tainted = source->tainted[number],
                                                .ms = -1});
}
