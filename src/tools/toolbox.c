#include "tools/toolbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/suggest.h"
#include "codec/utf8.h"
#include "sandbox/worker.h"

enum { TOOLS_MAX = 64 };

struct toolbox {
    struct tool_env env;
    struct list runs;
    tool_run_id last_id;
};

struct tool_run {
    struct list link; // toolbox::runs
    struct toolbox *toolbox;
    tool_run_id id;
    uint64_t flow;
    const struct tool *tool;
    worker_id worker; // of a working tool
    int64_t handle;   // of a started one
    int64_t begun_ms; // of a started one
    tool_done_fn *done;
    void *context;
};

struct toolbox *toolbox_create(const struct tool_env *env)
{
    struct toolbox *toolbox = mem_new(struct toolbox);
    toolbox->env = *env;
    list_init(&toolbox->runs);
    return toolbox;
}

// Of the runs that begin from now on.
void toolbox_configure(struct toolbox *toolbox, const struct tool_settings *settings)
{
    toolbox->env.settings = *settings;
}

static const char *directory_of(const struct tool_run *run)
{
    const struct tool_env *env = &run->toolbox->env;
    return run->tool->place == TOOL_IN_MEMORIES ? env->memories : env->workspace;
}

static void run_destroy(struct tool_run *run)
{
    list_remove(&run->link);
    free(run);
}

static bool run_abandon(struct tool_run *run)
{
    bool begun = !run->worker || worker_cancel(run->toolbox->env.workers, run->worker);
    if (run->tool->forget)
        run->tool->forget(&run->toolbox->env, run->handle);
    run_destroy(run);
    return begun;
}

void toolbox_destroy(struct toolbox *toolbox)
{
    if (!toolbox)
        return;
    list_for_each(link, &toolbox->runs)
        run_abandon(list_entry(link, struct tool_run, link));
    free(toolbox);
}

bool toolbox_cancel(struct toolbox *toolbox, tool_run_id id)
{
    list_for_each(link, &toolbox->runs) {
        struct tool_run *run = list_entry(link, struct tool_run, link);
        if (run->id == id)
            return run_abandon(run);
    }
    return false;
}

void tool_run_set_handle(struct tool_run *run, int64_t handle)
{
    run->handle = handle;
}

// What files hold is not always UTF-8, and what a model reads must be.
static void tell(struct tool_run *run, struct span text, bool failed, int64_t ms)
{
    tool_done_fn *done = run->done;
    void *context = run->context;
    run_destroy(run);
    BUF_AUTO clean = BUF_INIT(4 * (size_t)WORKER_OUTPUT_MAX);
    utf8_sanitize(text, &clean);
    struct tool_result result = {buf_span(&clean), failed, ms};
    done(context, &result);
}

void tool_run_end(struct tool_run *run, int result, struct span text)
{
    int64_t ms = clock_monotonic_ms(run->toolbox->env.clock) - run->begun_ms;
    tell(run, text, result != 0, ms);
}

static void on_worker_done(void *context, int result, struct span output, int64_t ms,
                           const struct error *err)
{
    tell(context, result < 0 ? span_of(err->text) : output, result != 0, ms);
}

static void write_settings(struct json_writer *w, const struct tool_settings *settings)
{
    json_write_key(w, "settings");
    json_write_object_begin(w);
    json_write_member_int(w, "memory_characters", settings->memory_characters);
    json_write_member_int(w, "user_characters", settings->user_characters);
    json_write_object_end(w);
}

static int start_worker(struct tool_run *run, struct span arguments, struct error *err)
{
    if (!directory_of(run))
        return error_set(err, -ENOTDIR, "this program has no directory for it");
    BUF_AUTO request = BUF_INIT(WORKER_REQUEST_MAX);
    struct json_writer w;
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_text(&w, "tool", run->tool->name);
    json_write_member_raw(&w, "arguments", arguments);
    if (run->tool->place == TOOL_IN_MEMORIES)
        write_settings(&w, &run->toolbox->env.settings);
    json_write_object_end(&w);
    if (!json_write_done(&w))
        return error_set(err, -E2BIG, "the arguments are too large");
    return worker_start(run->toolbox->env.workers, run->flow, directory_of(run), buf_span(&request),
                        on_worker_done, run, &run->worker, err);
}

static int find_tool(const char *name, const struct tool **ret_tool, struct error *err)
{
    *ret_tool = tool_find(name);
    if (*ret_tool)
        return 0;
    const char *names[TOOLS_MAX];
    size_t count;
    const struct tool *const *table = tool_table(&count);
    for (size_t i = 0; i < count && i < TOOLS_MAX; i++)
        names[i] = table[i]->name;
    const char *near = suggest_nearest(span_of(name), names, count < TOOLS_MAX ? count : TOOLS_MAX);
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

static int begin(struct tool_run *run, const char *name, struct span arguments, struct buf *out,
                 struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    int r = find_tool(name, &run->tool, err);
    if (r == 0)
        r = parse_arguments(&doc, arguments, err);
    if (r < 0)
        return r;
    if (run->tool->work)
        return start_worker(run, arguments, err);
    return run->tool->start(&run->toolbox->env, json_root(&doc), run, out, err);
}

tool_run_id toolbox_run(struct toolbox *toolbox, uint64_t flow, const char *name,
                        struct span arguments, tool_done_fn *done, void *context)
{
    struct tool_run *run = mem_new(struct tool_run);
    run->toolbox = toolbox;
    run->id = ++toolbox->last_id;
    run->flow = flow;
    run->begun_ms = clock_monotonic_ms(toolbox->env.clock);
    run->done = done;
    run->context = context;
    list_append(&toolbox->runs, &run->link);

    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    struct error err = ERROR_INIT;
    int r = begin(run, name, arguments, &out, &err);
    if (r == 0)
        return run->id;
    tool_run_end(run, r < 0, r < 0 ? span_of(err.text) : buf_span(&out));
    return 0;
}

int toolbox_work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    int r = json_parse(&doc, request, err);
    if (r < 0)
        return r;
    CLEANUP(mem_cleanup) char *name = json_strdup(json_get(json_root(&doc), "tool"), 128);
    const struct tool *tool = name ? tool_find(name) : NULL;
    if (!tool || !tool->work)
        return error_set(err, -ENOENT, "no such working tool");
    return tool->work(directory_fd, json_get(json_root(&doc), "arguments"), out, err);
}
