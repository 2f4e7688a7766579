#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "codec/json_write.h"
#include "codec/sha256.h"
#include "scheduler/scheduler_internal.h"
#include "store/taint.h"
#include "tools/beneath.h"
#include "tools/skills.h"

/*
 * What a run does before a model is asked: its monitor, which ends it where nothing has changed,
 * and its script, which may end it too. A script's text is read here and handed to its
 * interpreter, so that the sandbox it runs in need not see the home, nor be on this machine.
 */
enum {
    SEEN_MAX = 16,      // characters of a hash
    PAGE_CHARS = 40000, // of a page: as many as web_fetch shows
};

static int open_script(const struct run *run, const char *name, int *ret_fd, struct error *err)
{
    struct stat ignored;
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/scripts", run->scheduler->env.home);
    FD_AUTO directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(err, errno, "cannot open %s, where scripts of jobs are", path);
    // hermes-agent writes paths down whole.
    size_t len = strlen(path);
    if (strncmp(name, path, len) == 0 && name[len] == '/')
        name += len + 1;
    int r = beneath_open_file(directory, name, ret_fd, &ignored, err);
    return r < 0 ? error_wrap(err, "the script %.100s in %.200s", name, path) : 0;
}

static int read_script(const struct run *run, const char *name, struct buf *out, struct error *err)
{
    FD_AUTO fd = -1;
    int r = open_script(run, name, &fd, err);
    if (r < 0)
        return r;
    r = fd_read_all(fd, out);
    if (r == -EFBIG)
        return error_set(err, r, "the script %.100s is larger than %d KiB", name,
                         RUN_SCRIPT_MAX / 1024);
    if (r == 0 && memchr(out->data ? out->data : "", '\0', out->len))
        return error_set(err, -EINVAL, "the script %.100s is no text", name);
    return r < 0 ? error_errno(err, -r, "cannot read the script %.100s", name) : 0;
}

// As one line of the shell: the interpreter, which gets the text as its program.
static void write_command(const char *name, const struct buf *script, struct buf *out)
{
    struct span text = buf_span(script), first = text;
    first = span_cut(&first, '\n');
    bool python = span_ends_with(span_of(name), ".py");
    bool bash = span_starts_with(first, "#!") && span_find(first, SPAN_LITERAL("bash")) >= 0;
    buf_printf(out, "exec %s -c '", python ? "python3" : bash ? "bash" : "sh");
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\'')
            buf_append_text(out, "'\\''");
        else
            buf_append_char(out, text.data[i]);
    buf_printf(out, "' %s", python ? "" : "script");
}

static bool is_url(const char *monitor)
{
    return strncmp(monitor, "http://", 7) == 0 || strncmp(monitor, "https://", 8) == 0;
}

// "NAME:/path" of a server of tools.http.endpoints; NULL: it is none.
static const char *endpoint_path(const char *monitor)
{
    const char *colon = strchr(monitor, ':');
    return colon && colon[1] == '/' && !is_url(monitor) ? colon + 1 : NULL;
}

static bool is_script(const char *monitor)
{
    return !is_url(monitor) && !endpoint_path(monitor);
}

static int check_skills(const struct run *run, struct error *err)
{
    struct span rest = span_of(run->job->skills);
    if (rest.len)
        skills_refresh(run->scheduler->env.skills);
    while (rest.len) {
        struct span name = span_cut(&rest, ' ');
        const struct skill *skill = skills_find(run->scheduler->env.skills, name);
        if (!skill || skill_trouble(skill))
            return error_set(err, -ENOENT, "the skill %.*s %s%s", (int)name.len, name.data,
                             skill ? "does not work here: " : "is not there",
                             skill ? skill_trouble(skill) : "");
    }
    return 0;
}

int run_check(const struct run *run, struct error *err)
{
    const struct job *job = run->job;
    BUF_AUTO script = BUF_INIT(RUN_SCRIPT_MAX);
    CLEANUP(deliveries_finish) struct deliveries found = {0};
    int r = check_skills(run, err);
    if (r == 0 && job->no_agent && !job->script && !job->monitor)
        r = error_set(err, -EINVAL, "a job without a model needs a script");
    if (r == 0 && job->monitor && is_script(job->monitor))
        r = read_script(run, job->monitor, &script, err);
    buf_clear(&script);
    if (r == 0 && job->script)
        r = read_script(run, job->script, &script, err);
    if (r == 0)
        r = deliveries_find(run->scheduler, job, job->deliver, &found, err);
    return r;
}

/* What it printed */

static void add_output(struct run *run, const char *name, struct span text)
{
    text = span_trim(text);
    if (text.len == 0)
        return;
    bool plain = run->job->no_agent;
    CLEANUP(mem_cleanup) char *before = STEAL(run->output);
    run->output = mem_printf("%s%s%s%s%.*s", before ? before : "", before ? "\n\n" : "",
                             plain ? "" : name, plain ? "" : ":\n", (int)text.len, text.data);
}

// hermes-agent's word: the last line may be {"wakeAgent": false}.
static bool wants_no_model(struct span text)
{
    JSON_AUTO doc = JSON_INIT;
    bool wakes = true;
    struct span last = {0};
    for (text = span_trim(text); text.len;)
        last = span_trim(span_cut(&text, '\n'));
    if (last.len && *last.data == '{' && json_parse(&doc, last, NULL) == 0)
        json_bool(json_get(json_root(&doc), "wakeAgent"), &wakes);
    return !wakes;
}

static bool stop_at_first(void *context, struct span name)
{
    *(bool *)context = true;
    return false;
}

// A script reads the workspace, where there may be files of strangers.
static void look_at_marks(struct run *run)
{
    store_read_taints(store_view(run->scheduler->env.store), STORE_TAINT_FILE, stop_at_first,
                      &run->tainted, NULL);
}

static void start_script(struct run *run, const char *name, shell_end_fn *on_end)
{
    BUF_AUTO script = BUF_INIT(RUN_SCRIPT_MAX), command = BUF_INIT(SHELL_COMMAND_MAX);
    struct error err = ERROR_INIT;
    const struct scheduler_env *env = &run->scheduler->env;
    int r = read_script(run, name, &script, &err);
    write_command(name, &script, &command);
    if (r == 0 && buf_is_full(&command))
        r = error_set(&err, -E2BIG, "the script %.100s is too long", name);
    struct shell_request request = {.command = buf_span(&command),
                                    .directory = run->job->workdir,
                                    .wall_ms = env->config->script_ms};
    if (r == 0)
        r = shell_start(env->shells, &request, on_end, run, &run->shell, &err);
    if (r < 0)
        run_end(run, STORE_RUN_FAILED, err.text);
}

// False: it failed, and the run has its end.
static bool take_output(struct run *run, struct shell *shell, const char *name, struct buf *out)
{
    int code = shell_exit_code(shell);
    capture_show(shell_capture(shell), out);
    if (code == 0) {
        shell_destroy(STEAL(run->shell));
        look_at_marks(run);
        return true;
    }
    shell_tell_end(shell, out);
    shell_destroy(STEAL(run->shell));
    CLEANUP(mem_cleanup)
    char *error = mem_printf("the script %.100s failed:\n%s", name, buf_text(out));
    run_end(run, STORE_RUN_FAILED, error);
    return false;
}

static void on_script_end(void *context, struct shell *shell)
{
    struct run *run = context;
    BUF_AUTO out = BUF_INIT(2 * CAPTURE_SHOWN_MAX);
    if (!take_output(run, shell, run->job->script, &out))
        return;
    if (wants_no_model(buf_span(&out))) {
        run_end(run, STORE_RUN_SILENT, NULL);
        return;
    }
    add_output(run, run->job->script, buf_span(&out));
    run->next(run);
}

static void go_to_script(struct run *run)
{
    if (run->job->script)
        start_script(run, run->job->script, on_script_end);
    else
        run->next(run);
}

/* The monitor */

static void compare(struct run *run, struct span text)
{
    char hash[SHA256_HEX_SIZE];
    struct sha256 sum;
    sha256_init(&sum);
    sha256_add(&sum, span_trim(text));
    sha256_end_hex(&sum, hash);
    hash[SEEN_MAX] = '\0';
    const char *before = run->job->seen;
    bool same = before && strcmp(before, hash) == 0;
    if (!same)
        run_remember(run, hash);
    if (same || !before) {
        run_end(run, STORE_RUN_SILENT,
                before ? NULL : "what it shows now is what changes are told from");
        return;
    }
    add_output(run, run->job->monitor, text);
    go_to_script(run);
}

static void on_fetched(void *context, const struct tool_result *result)
{
    struct run *run = context;
    run->fetch = 0;
    if (result->failed) {
        CLEANUP(mem_cleanup)
        char *error = mem_printf("the monitor failed: %.*s", (int)result->text.len,
                                 result->text.len ? result->text.data : "");
        run_end(run, STORE_RUN_FAILED, error);
        return;
    }
    run->tainted |= result->tainted;
    compare(run, result->text);
}

static void on_monitor_end(void *context, struct shell *shell)
{
    struct run *run = context;
    BUF_AUTO out = BUF_INIT(2 * CAPTURE_SHOWN_MAX);
    if (take_output(run, shell, run->job->monitor, &out))
        compare(run, buf_span(&out));
}

static void fetch(struct run *run)
{
    const struct scheduler_env *env = &run->scheduler->env;
    BUF_AUTO arguments = BUF_INIT(8 * JOB_WORD_MAX);
    struct json_writer w;
    const char *monitor = run->job->monitor, *path = endpoint_path(monitor);
    CLEANUP(mem_cleanup)
    char *endpoint = path ? mem_strndup(monitor, (size_t)(path - 1 - monitor)) : NULL;
    struct tool_call_context context = {
        .turn = "",
        .session = "",
        .origin = "cron",
        .chat = run->job->id,
        .deadline_ms = loop_now(env->loop) + env->config->script_ms,
        .unattended = true,
    };
    json_writer_init(&w, &arguments);
    json_write_object_begin(&w);
    if (endpoint)
        json_write_member_text(&w, "endpoint", endpoint);
    json_write_member_text(&w, path ? "path" : "url", path ? path : monitor);
    if (!path)
        json_write_member_int(&w, "char_limit", PAGE_CHARS);
    json_write_object_end(&w);
    struct tool_set *set = tool_set_ref(toolbox_tools(env->toolbox));
    tool_run_id id = toolbox_run(env->toolbox, set, &context, path ? "http_request" : "web_fetch",
                                 buf_span(&arguments), on_fetched, run);
    tool_set_unref(set);
    if (id)
        run->fetch = id;
}

void run_prepare(struct run *run, void (*next)(struct run *run))
{
    run->next = next;
    free(STEAL(run->output));
    if (!run->job->monitor)
        go_to_script(run);
    else if (is_script(run->job->monitor))
        start_script(run, run->job->monitor, on_monitor_end);
    else
        fetch(run);
}
