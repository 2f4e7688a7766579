#include "store/todo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/table.h"

/*
 * The steps of a longer piece of work, one list for each session. It is in the store, so that it is
 * there after a restart, and it is shown whole after every change, since what a model was shown
 * before may have left its window.
 */
enum {
    ID_MAX = 64,        // bytes
    CONTENT_MAX = 4000, // bytes
};

enum { STATUSES = 4 };
static const char *const statuses[STATUSES] = {"pending", "in_progress", "completed", "cancelled"};

struct steps {
    struct store_todo *all; // owned, and their ids and contents
    size_t count;
};

static void steps_finish(struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        free((char *)steps->all[i].id.data);
        free((char *)steps->all[i].content.data);
    }
    free(steps->all);
}

// Models number their steps, with or without quotes.
static int take_id(struct json_value item, struct store_todo *step, struct error *err)
{
    struct json_value id = json_get(item, "id");
    struct span raw = json_raw(id);
    char *text = json_type(id) == JSON_NUMBER && raw.len <= ID_MAX ? mem_strndup(raw.data, raw.len)
                                                                   : json_strdup(id, ID_MAX);
    step->id = span_of(text);
    if (span_trim(step->id).len == 0)
        return error_set(err, -EINVAL, "\"id\" must be a text of 1 to %d bytes", ID_MAX);
    return 0;
}

static int take_content(struct json_value item, struct store_todo *step, struct error *err)
{
    if (!tool_has(item, "content"))
        return 0;
    step->content = span_of(json_strdup(json_get(item, "content"), CONTENT_MAX));
    if (span_trim(step->content).len == 0)
        return error_set(err, -EINVAL, "\"content\" must be a text of 1 to %d bytes", CONTENT_MAX);
    return 0;
}

static int take_status(struct json_value item, struct store_todo *step, struct error *err)
{
    struct json_value status = json_get(item, "status");
    for (size_t i = 0; i < STATUSES; i++)
        if (json_is(status, statuses[i]))
            step->status = span_of(statuses[i]);
    if (tool_has(item, "status") && !step->status.data)
        return error_set(err, -EINVAL,
                         "\"status\" must be pending, in_progress, completed or cancelled");
    return 0;
}

static int take_steps(struct json_value list, struct steps *steps, struct error *err)
{
    struct json_iter it = json_iter_init(list);
    struct json_value item;
    size_t count = json_count(list);
    if (json_type(list) != JSON_ARRAY || count > STORE_TODOS_MAX)
        return error_set(err, -EINVAL,
                         "the parameter \"todos\" must be a list of at most %d objects",
                         STORE_TODOS_MAX);
    steps->all = mem_zalloc((count + 1) * sizeof *steps->all);
    while (json_iter_next(&it, NULL, &item)) {
        struct store_todo *step = &steps->all[steps->count++];
        int r = take_id(item, step, err);
        if (r == 0)
            r = take_content(item, step, err);
        if (r == 0)
            r = take_status(item, step, err);
        if (r < 0) {
            error_wrap(err, "step %zu of the list", steps->count);
            return r;
        }
    }
    return 0;
}

static void show(const struct store_todo *steps, size_t count, struct buf *out)
{
    size_t done[STATUSES] = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_span(out, steps[i].id);
        buf_append_text(out, " [");
        buf_append_span(out, steps[i].status);
        buf_append_text(out, "] ");
        buf_append_span(out, span_trim(steps[i].content));
        buf_append_char(out, '\n');
        for (size_t s = 0; s < STATUSES; s++)
            done[s] += span_is(steps[i].status, statuses[s]);
    }
    for (size_t s = 0; s < STATUSES; s++)
        buf_printf(out, "%s%zu %s", s ? ", " : "in all: ", done[s], statuses[s]);
}

static void on_list(void *context, int result, const struct error *err,
                    const struct store_todo *steps, size_t count)
{
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    if (result < 0)
        buf_append_text(&out, err->text);
    else if (count == 0)
        buf_append_text(&out, "the list is empty");
    else
        show(steps, count, &out);
    bool tainted = false;
    for (size_t i = 0; i < count; i++)
        tainted = tainted || steps[i].tainted;
    tool_run_end(context,
                 &(struct tool_result){
                     .text = buf_span(&out), .failed = result < 0, .tainted = tainted, .ms = -1});
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    CLEANUP(steps_finish) struct steps steps = {0};
    bool merge = false, given = tool_has(call->arguments, "todos");
    int r = given ? take_steps(json_get(call->arguments, "todos"), &steps, err) : 0;
    if (r == 0 && tool_has(call->arguments, "merge") &&
        !json_bool(json_get(call->arguments, "merge"), &merge))
        r = error_set(err, -EINVAL, "the parameter \"merge\" must be true or false");
    if (r < 0)
        return r;
    for (size_t i = 0; i < steps.count; i++)
        steps.all[i].tainted = call->context->tainted;
    struct store_todo_change change = {.session = span_of(call->context->session),
                                       .todos = steps.all,
                                       .count = steps.count,
                                       .replace = given && !merge,
                                       .status_of_new = span_of(statuses[0])};
    int64_t job = store_todos_change(env->store, &change, on_list, run, err);
    if (job < 0)
        return (int)job;
    tool_run_set_handle(run, (union tool_handle){.number = job});
    return 0;
}

static void forget(const struct tool_env *env, int64_t job)
{
    store_forget(env->store, job);
}

const struct tool tool_todo = {
    .name = "todo",
    .description = "The list of steps of a longer task of this conversation; without arguments it "
                   "is shown. One step is in_progress at a time.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"todos\":{\"type\":\"array\",\"description\":\"The new list, in order\","
        "\"items\":{\"type\":\"object\",\"properties\":{"
        "\"id\":{\"type\":\"string\",\"description\":\"Short and unique\"},"
        "\"content\":{\"type\":\"string\",\"description\":\"What to do\"},"
        "\"status\":{\"type\":\"string\",\"enum\":[\"pending\",\"in_progress\",\"completed\","
        "\"cancelled\"],\"description\":\"How far it is\"}},\"required\":[\"id\"]}},"
        "\"merge\":{\"type\":\"boolean\",\"description\":\"Change these by their ids, keep "
        "the others\"}}}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
    .forget = forget,
};
