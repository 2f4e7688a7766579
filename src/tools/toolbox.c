#include "tools/toolbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/redact.h"
#include "codec/suggest.h"
#include "tools/builtin_tools.h"
#include "tools/tool_target.h"

struct member {       // a source that takes part
    struct list link; // toolbox::members
    tool_source_id id;
    struct tool_source *source;
};

struct toolbox {
    struct builtin_tools builtin;
    tool_source_id builtin_id;
    struct list members, runs;
    tool_source_id last_source;
    tool_run_id last_run;
    struct tool_set *set;      // of all members
    struct redactor *redactor; // of what results must not show
    void (*on_change)(void *context);
    void *watcher;
    toolbox_answer_fn *answer; // instead of the tools; NULL: they run
    void *answer_context;
};

struct toolbox *toolbox_create(const struct tool_env *env)
{
    struct toolbox *toolbox = mem_new(struct toolbox);
    list_init(&toolbox->members);
    list_init(&toolbox->runs);
    toolbox->set = tool_set_create();
    toolbox->redactor = redactor_create(NULL, 0);
    builtin_tools_init(&toolbox->builtin, env);
    toolbox_add_source(toolbox, &toolbox->builtin.source, &toolbox->builtin_id, NULL);
    return toolbox;
}

const struct tool_env *toolbox_env(const struct toolbox *toolbox)
{
    return &toolbox->builtin.env;
}

bool toolbox_hide(struct toolbox *toolbox, const char *const *secrets, size_t count)
{
    redactor_destroy(toolbox->redactor);
    toolbox->redactor = redactor_create(secrets, count);
    return redactor_hides_all(toolbox->redactor);
}

bool toolbox_mask(const struct toolbox *toolbox, struct span text, struct buf *out)
{
    return redact(toolbox->redactor, text, out);
}

void toolbox_answer_with(struct toolbox *toolbox, toolbox_answer_fn *answer, void *context)
{
    toolbox->answer = answer;
    toolbox->answer_context = context;
}

static void use_set(struct toolbox *toolbox, struct tool_set *set)
{
    tool_set_unref(toolbox->set);
    toolbox->set = set;
    if (toolbox->on_change)
        toolbox->on_change(toolbox->watcher);
}

void toolbox_watch(struct toolbox *toolbox, void (*on_change)(void *context), void *context)
{
    toolbox->on_change = on_change;
    toolbox->watcher = context;
}

// What is configured now is there now: tools of this program come and go as those of sources do.
void toolbox_configure(struct toolbox *toolbox, const struct tool_settings *settings)
{
    toolbox->builtin.env.settings = *settings;
    struct tool_set *set = tool_set_create();
    const struct tool_set *before = toolbox->set;
    bool fits = tool_set_add_source(set, &toolbox->builtin.source, toolbox->builtin_id, NULL) == 0;
    for (size_t i = 0; i < before->count; i++) // whose names came first stay
        fits = fits && (before->tools[i].source == toolbox->builtin_id ||
                        !tool_set_find(set, before->tools[i].name));
    if (!fits) {
        tool_set_unref(set);
        return;
    }
    tool_set_add_others(set, before, toolbox->builtin_id);
    use_set(toolbox, set);
}

int toolbox_add_source(struct toolbox *toolbox, struct tool_source *source, tool_source_id *ret_id,
                       struct error *err)
{
    struct tool_set *set = tool_set_create();
    tool_set_add_others(set, toolbox->set, 0);
    int r = tool_set_add_source(set, source, toolbox->last_source + 1, err);
    if (r < 0) {
        tool_set_unref(set);
        return r;
    }
    use_set(toolbox, set);
    struct member *member = mem_new(struct member);
    member->id = *ret_id = ++toolbox->last_source;
    member->source = source;
    list_append(&toolbox->members, &member->link);
    return 0;
}

static struct member *find_member(const struct toolbox *toolbox, tool_source_id id)
{
    list_for_each(link, &toolbox->members) {
        struct member *member = list_entry(link, struct member, link);
        if (member->id == id)
            return member;
    }
    return NULL;
}

int toolbox_refresh_source(struct toolbox *toolbox, tool_source_id id, struct error *err)
{
    const struct member *member = find_member(toolbox, id);
    struct tool_set *set = tool_set_create();
    tool_set_add_others(set, toolbox->set, id);
    int r = member ? tool_set_add_source(set, member->source, id, err)
                   : error_set(err, -ENOENT, "there is no such source of tools");
    if (r < 0)
        tool_set_unref(set);
    else
        use_set(toolbox, set);
    return r;
}

static struct tool_run *find_run_of(const struct toolbox *toolbox, const struct tool_source *source)
{
    list_for_each(link, &toolbox->runs) {
        struct tool_run *run = list_entry(link, struct tool_run, link);
        if (run->source == source)
            return run;
    }
    return NULL;
}

static bool cancel_in_source(struct tool_run *run)
{
    return run->source->ops->cancel(run->source, run->tool, run->handle);
}

static void cancel_and_fail(struct tool_run *run, const char *why)
{
    bool begun = cancel_in_source(run);
    CLEANUP(mem_cleanup)
    char *text = mem_printf("the tool \"%s\" %s%s", run->tool, why,
                            begun ? "; it had begun and may have had an effect" : "");
    tool_run_end(run, &(struct tool_result){.text = span_of(text), .failed = true, .ms = -1});
}

void toolbox_remove_source(struct toolbox *toolbox, tool_source_id id)
{
    struct member *member = find_member(toolbox, id);
    if (!member)
        return;
    struct tool_source *source = member->source;
    struct tool_set *set = tool_set_create();
    tool_set_add_others(set, toolbox->set, id);
    use_set(toolbox, set);
    list_remove(&member->link);
    free(member);
    struct tool_run *run;
    while ((run = find_run_of(toolbox, source))) // the callback of one may cancel another
        cancel_and_fail(run, "is not available any more");
}

struct tool_set *toolbox_tools(const struct toolbox *toolbox)
{
    return toolbox->set;
}

static bool run_cancel(struct tool_run *run)
{
    bool begun = cancel_in_source(run);
    tool_run_destroy(run);
    return begun;
}

void toolbox_destroy(struct toolbox *toolbox)
{
    if (!toolbox)
        return;
    list_for_each(link, &toolbox->runs)
        run_cancel(list_entry(link, struct tool_run, link));
    list_for_each(link, &toolbox->members)
        free(list_entry(link, struct member, link));
    tool_set_unref(toolbox->set);
    redactor_destroy(toolbox->redactor);
    free(toolbox);
}

bool toolbox_cancel(struct toolbox *toolbox, tool_run_id id)
{
    list_for_each(link, &toolbox->runs) {
        struct tool_run *run = list_entry(link, struct tool_run, link);
        if (run->id == id)
            return run_cancel(run);
    }
    return false;
}

void toolbox_forget(struct toolbox *toolbox, const char *work)
{
    list_for_each(link, &toolbox->members) {
        struct tool_source *source = list_entry(link, struct member, link)->source;
        if (source->ops->forget)
            source->ops->forget(source, work);
    }
}

static int refuse_unknown(const struct tool_set *set, const char *name, struct error *err)
{
    const char *names[TOOL_SET_MAX];
    for (size_t i = 0; i < set->count; i++)
        names[i] = set->tools[i].name;
    const char *near = suggest_nearest(span_of(name), names, set->count);
    return error_set(err, -ENOENT, "there is no tool \"%.64s\"%s%s%s", name,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int parse_arguments(struct json *doc, struct span text, struct error *err)
{
    int r = json_parse(doc, text, err);
    if (r < 0)
        return error_wrap(err, "the arguments are not JSON");
    if (json_type(json_root(doc)) != JSON_OBJECT)
        return error_set(err, -EINVAL, "the arguments must be a JSON object");
    return 0;
}

static int begin(struct toolbox *toolbox, struct tool_run *run, const struct tool_set_entry *entry,
                 struct tool_call *call, struct buf *out, struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    if (call->context->deadline_ms && run->begun_ms >= call->context->deadline_ms)
        return error_set(err, -ETIMEDOUT, "not run: the time of the turn was over");
    if (entry->flags & TOOL_NEEDS_APPROVAL && !call->context->approved)
        return error_set(
            err, -EPERM,
            "the tool \"%s\" runs only when somebody has approved the call, and nobody %s",
            entry->name, call->context->unattended ? "can be asked here" : "has");
    int r = parse_arguments(&doc, call->text, err);
    if (r < 0)
        return r;
    const struct member *member = find_member(toolbox, entry->source);
    if (!member)
        return error_set(err, -ENOENT, "the tool \"%s\" is not available any more", entry->name);
    run->source = member->source;
    call->tool = run->tool = mem_strdup(entry->name);
    call->arguments = json_root(&doc);
    return run->source->ops->start(run->source, call, run, out, err);
}

static void on_deadline(void *context)
{
    struct tool_run *run = context;
    run->deadline = 0;
    cancel_and_fail(run, "was cancelled, since the time of the turn was over");
}

tool_run_id toolbox_run(struct toolbox *toolbox, const struct tool_set *set,
                        const struct tool_call_context *on_behalf, const char *name,
                        struct span arguments, tool_end_fn *on_end, void *context)
{
    struct tool_run *run = mem_new(struct tool_run);
    run->id = ++toolbox->last_run;
    run->clock = toolbox->builtin.env.clock;
    run->begun_ms = clock_monotonic_ms(run->clock);
    run->loop = toolbox->builtin.env.loop;
    run->redactor = &toolbox->redactor;
    run->on_end = on_end;
    run->context = context;
    list_append(&toolbox->runs, &run->link);

    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    struct error err = ERROR_INIT;
    struct tool_target target;
    tool_target_find(set, name, arguments, &target);
    struct tool_call call = {.context = on_behalf, .set = set, .text = target.arguments};
    int r = toolbox->answer
                ? toolbox->answer(toolbox->answer_context, target.entry ? target.entry->name : NULL,
                                  name, arguments, &out)
                : 0;
    if (r == 0)
        r = target.entry ? begin(toolbox, run, target.entry, &call, &out, &err)
                         : refuse_unknown(set, *target.missing ? target.missing : name, &err);
    if (r == 0 && run->loop && on_behalf->deadline_ms)
        run->deadline = loop_timer_at(run->loop, on_behalf->deadline_ms, on_deadline, run);
    if (r == 0)
        return run->id;
    struct span text = r < 0 ? span_of(err.text) : buf_span(&out);
    tool_run_end(run,
                 &(struct tool_result){
                     .text = text, .failed = r < 0, .tainted = r == TOOL_ENDED_TAINTED, .ms = -1});
    return 0;
}
