#include "tools/tool_process.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json_write.h"

struct tool_process {
    struct processes *processes;
    process_id id;
    tool_process_done_fn *done;
    void *context;
};

static void on_end(void *context, const struct process_end *end)
{
    struct tool_process *process = context;
    tool_process_done_fn *done = process->done;
    void *done_context = process->context;
    free(process);
    struct span text = end->result < 0 ? span_of(end->err->text) : end->output[PROCESS_STDOUT];
    done(done_context, end->result, text, end->ms);
}

static struct process_spec spec_of(const struct tool *tool, const char *directory, uint64_t flow,
                                   struct span request)
{
    int64_t memory = TOOL_PROCESS_MEMORY + tool->memory;
    if (request.len > TOOL_PROCESS_REQUEST_SMALL)
        memory += TOOL_PROCESS_MEMORY_PER_BYTE * (int64_t)request.len;
    return (struct process_spec){
        .function = tool_process_function.name,
        .directory = directory,
        .flow = flow,
        .limits = {.wall_ms = TOOL_PROCESS_TIME_MAX_MS,
                   .cpu_s = TOOL_PROCESS_CPU_MAX_S,
                   .memory = memory,
                   .file_size = TOOL_PROCESS_FILE_MAX},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER, .bytes = request},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = TOOL_PROCESS_OUTPUT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
}

static int write_request(const struct tool_env *env, const struct tool *tool, struct span arguments,
                         struct buf *request, struct error *err)
{
    struct json_writer w;
    json_writer_init(&w, request);
    json_write_object_begin(&w);
    json_write_member_text(&w, "tool", tool->name);
    json_write_member_raw(&w, "arguments", arguments);
    if (tool->place == TOOL_IN_MEMORIES) {
        json_write_key(&w, "settings");
        json_write_object_begin(&w);
        json_write_member_int(&w, "memory_characters", env->settings.memory_characters);
        json_write_member_int(&w, "user_characters", env->settings.user_characters);
        json_write_object_end(&w);
    }
    json_write_object_end(&w);
    return json_write_done(&w) ? 0 : error_set(err, -E2BIG, "the arguments are too large");
}

int tool_process_start(const struct tool_env *env, const struct tool *tool, uint64_t flow,
                       struct span arguments, tool_process_done_fn *done, void *context,
                       struct tool_process **ret_process, struct error *err)
{
    const char *const places[] = {[TOOL_IN_WORKSPACE] = env->workspace,
                                  [TOOL_IN_MEMORIES] = env->memories,
                                  [TOOL_IN_SKILLS] = env->skills_home,
                                  [TOOL_IN_RESULTS] = env->results};
    const char *directory = places[tool->place];
    if (!directory)
        return error_set(err, -ENOTDIR, "this program has no directory for it");
    BUF_AUTO request = BUF_INIT(PROCESS_INPUT_MAX);
    int r = write_request(env, tool, arguments, &request, err);
    if (r < 0)
        return r;
    struct tool_process *process = mem_new(struct tool_process);
    *process = (struct tool_process){.processes = env->processes, .done = done, .context = context};
    struct process_spec spec = spec_of(tool, directory, flow, buf_span(&request));
    struct process_events events = {.on_end = on_end};
    r = process_start(env->processes, &spec, &events, process, &process->id, err);
    if (r < 0)
        free(process);
    else
        *ret_process = process;
    return r;
}

bool tool_process_cancel(struct tool_process *process)
{
    if (!process)
        return true;
    bool begun = process_cancel(process->processes, process->id);
    free(process);
    return begun;
}

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
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

const struct process_function tool_process_function = {
    .name = "tool",
    .run = work,
    .answer_max = TOOL_PROCESS_OUTPUT_MAX,
    .explains = true,
};
