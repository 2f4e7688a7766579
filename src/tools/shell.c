/*
 * The shell that is started puts both outputs of the command into one pipe, so that they come in
 * the order in which they were written. Standard error is then the sandbox's own, and nothing that
 * a command prints can pass for what the sandbox says of it.
 */
#include "tools/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "sandbox/cgroup.h"
#include "sandbox/hands_relay.h"
#include "sandbox/supervisor.h"
#include "tools/tool.h"

enum {
    TASKS_PER_PROCESS = 16, // threads, which the kernel counts
    FILES_PART = 4,         // of the memory of all: files in /tmp and /dev/shm
    FILES_PLACES = 2,       // these
    FILES_MIN = 64 * 1024,  // bytes of either
    VARIABLES_MAX = 16,
};

#define STARTER "exec /bin/sh -c \"$1\" 2>&1"

struct shells {
    struct shells_env env;
    struct shell_config config; // without `isolation` and `hands`
    enum isolation_kind isolation;
    char *hands, *zone; // owned; zone: the clock's, as the setting or TZ has it; NULL: the system's
    bool open;          // nothing keeps files apart
    char *physical;     // owned: the workspace as pwd prints it; NULL: as it is
    // What takes all that a container has may end this program with it, so all commands together
    // get half of that. Bytes; 0: there is no such limit.
    int64_t all_memory, all_files;
    struct list all;
    shell_id last_id;
};

struct shell {
    struct list link; // shells::all
    struct shells *owner;
    shell_id id;
    process_id process;
    struct capture capture;
    struct buf notes; // what the sandbox says
    char *remark;     // owned
    int64_t begun_ms, ms;
    int64_t files; // bytes that it may have in /tmp, and as many in /dev/shm
    bool over, killed;
    int result, status; // as of struct process_end
    char why[ERROR_TEXT_MAX];
    shell_end_fn *on_end;
    void *context;
};

void shells_configure(struct shells *shells, const struct shell_config *config)
{
    shells->config = *config;
    shells->config.isolation = shells->config.hands = NULL;
    shells->open = !isolation_parse(config->isolation, &shells->isolation);
    if (shells->isolation == ISOLATION_AUTO && !shells->open && config->hands && *config->hands)
        shells->isolation = ISOLATION_HANDS;
    free(shells->hands);
    shells->hands = mem_strdup(config->hands && *config->hands ? config->hands : hands_socket());
    int64_t group = shells->env.group_memory;
    if (shells->isolation == ISOLATION_HANDS) // which see to theirs
        group = INT64_MAX;
    else if (!group)
        group = cgroup_memory_max("/proc/self/cgroup", "/sys/fs/cgroup");
    shells->all_files = group < INT64_MAX ? group / 2 / FILES_PART : 0;
    shells->all_memory = group < INT64_MAX ? group / 2 - shells->all_files : 0;
    if (shells->all_memory && shells->config.memory > shells->all_memory)
        shells->config.memory = shells->all_memory;
    if (shells->open && config->unsafe)
        log_warning("tools.terminal.isolation is none: commands read, and write, all files that "
                    "this user may");
}

void shells_set_zone(struct shells *shells, const struct tool_config *config, const char *tz)
{
    struct span name = span_trim(span_of(config->timezone));
    free(shells->zone);
    shells->zone = name.len ? mem_strndup(name.data, name.len) : tz ? mem_strdup(tz) : NULL;
}

struct shells *shells_create(const struct shells_env *env, const struct shell_config *config)
{
    struct shells *shells = mem_new(struct shells);
    shells->env = *env;
    shells->physical = env->workspace ? realpath(env->workspace, NULL) : NULL;
    list_init(&shells->all);
    shells_configure(shells, config);
    return shells;
}

void shells_destroy(struct shells *shells)
{
    if (!shells)
        return;
    list_for_each(link, &shells->all)
        shell_destroy(list_entry(link, struct shell, link));
    free(shells->hands);
    free(shells->zone);
    free(shells->physical);
    free(shells);
}

bool shells_leave_nothing(const struct shells *shells)
{
    return !shells->open && shells->isolation != ISOLATION_HANDS;
}

struct loop *shells_loop(const struct shells *shells)
{
    return shells->env.loop;
}

int64_t shells_timeout_ms(const struct shells *shells)
{
    return shells->config.timeout_ms;
}

void shell_destroy(struct shell *shell)
{
    if (!shell)
        return;
    list_remove(&shell->link);
    process_cancel(shell->owner->env.processes, shell->process);
    capture_finish(&shell->capture);
    buf_finish(&shell->notes);
    free(shell->remark);
    free(shell);
}

shell_id shell_name(const struct shell *shell)
{
    return shell->id;
}

struct shell *shell_find(const struct shells *shells, shell_id id)
{
    list_for_each(link, &shells->all) {
        struct shell *shell = list_entry(link, struct shell, link);
        if (shell->id == id)
            return shell;
    }
    return NULL;
}

// --- what becomes of it

static void on_output(void *context, int which, struct span bytes)
{
    struct shell *shell = context;
    if (which == PROCESS_STDOUT)
        capture_add(&shell->capture, bytes);
    else if (shell->notes.max - shell->notes.len >= bytes.len)
        buf_append_span(&shell->notes, bytes);
}

static void on_process_end(void *context, const struct process_end *end)
{
    struct shell *shell = context;
    shell->process = 0;
    shell->result = end->result;
    shell->status = end->status;
    shell->ms = end->ms;
    if (end->result < 0)
        snprintf(shell->why, sizeof shell->why, "%s", end->err->text);
    capture_end(&shell->capture);
}

static void on_capture_ended(void *context)
{
    struct shell *shell = context;
    shell->over = true;
    shell->on_end(shell->context, shell);
}

static void on_hold(void *context, bool held)
{
    struct shell *shell = context;
    process_hold(shell->owner->env.processes, shell->process, held);
}

bool shell_kill(struct shell *shell)
{
    if (!shell->process)
        return false;
    process_cancel(shell->owner->env.processes, shell->process);
    shell->process = 0;
    shell->ms = shell_ms(shell);
    shell->killed = true;
    capture_end(&shell->capture);
    return true;
}

ssize_t shell_write(struct shell *shell, struct span bytes)
{
    return process_write(shell->owner->env.processes, shell->process, bytes);
}

void shell_end_input(struct shell *shell)
{
    process_end_input(shell->owner->env.processes, shell->process);
}

bool shell_is_over(const struct shell *shell)
{
    return shell->over;
}

const struct capture *shell_capture(const struct shell *shell)
{
    return &shell->capture;
}

int64_t shell_ms(const struct shell *shell)
{
    return shell->over || shell->killed ? shell->ms
                                        : loop_now(shell->owner->env.loop) - shell->begun_ms;
}

// --- how it ended

static bool was_not_run(const struct shell *shell)
{
    return shell->result == EXIT_SANDBOX &&
           span_find(buf_span(&shell->notes), SPAN_LITERAL("nothing was run: ")) >= 0;
}

bool shell_has_failed(const struct shell *shell)
{
    bool by_signal = shell->result < 0 && WIFSIGNALED(shell->status);
    return (shell->result < 0 && !by_signal) || was_not_run(shell);
}

int shell_exit_code(const struct shell *shell)
{
    return shell->killed || was_not_run(shell) ? -1 : shell->result;
}

static void tell_notes(const struct shell *shell, struct buf *out)
{
    struct span notes = buf_span(&shell->notes);
    while (notes.len) {
        struct span line = span_cut(&notes, '\n');
        if (span_starts_with(line, "hermes: "))
            line = span_skip(line, sizeof "hermes: " - 1);
        bool of_network =
            span_starts_with(line, "refused: ") && span_find(line, SPAN_LITERAL("socket")) >= 0;
        buf_printf(out, "[sandbox: %.*s%s]\n", (int)line.len, line.data,
                   of_network ? "; there is no network" : "");
    }
}

void shell_tell_end(const struct shell *shell, struct buf *out)
{
    enum { MS = 100 }; // of a tenth of a second
    long long tenths = (long long)(shell->ms / MS);
    if (out->len && out->data[out->len - 1] != '\n')
        buf_append_char(out, '\n');
    tell_notes(shell, out);
    if (was_not_run(shell) && span_find(buf_span(&shell->notes), SPAN_LITERAL("cannot open")) < 0)
        buf_append_text(out,
                        "[whoever runs this program can mend it: `hermes doctor` says what this "
                        "machine lacks; tools.terminal.isolation chooses, or goes without]\n");
    if (shell->killed)
        buf_printf(out, "[killed after %lld.%lld s]\n", tenths / 10, tenths % 10);
    else if (shell->result >= 0)
        buf_printf(out, "[exit code %d, %lld.%lld s]\n", shell->result, tenths / 10, tenths % 10);
    else if (WIFSIGNALED(shell->status))
        buf_printf(out, "[ended by signal %d (%s), %lld.%lld s]\n", WTERMSIG(shell->status),
                   strsignal(WTERMSIG(shell->status)), tenths / 10, tenths % 10);
    else
        buf_printf(out, "[%s%s]\n", shell->why,
                   shell->result == -ETIMEDOUT
                       ? "; the parameters timeout and background give it longer"
                       : "");
    buf_append_text(out, shell->remark);
}

// --- its beginning

// Behind the directory; NULL: the path is not within it.
static const char *path_within(const char *directory, const char *path)
{
    size_t len = directory ? strlen(directory) : 0;
    if (len == 0 || strncmp(path, directory, len) != 0 || (path[len] && path[len] != '/'))
        return NULL;
    return path + len + (path[len] == '/');
}

// Lexically; what a link beneath leads to is for the sandbox to allow or not.
static int find_directory(const struct shells *shells, const char *wanted, char **ret_path,
                          struct error *err)
{
    const char *workspace = shells->env.workspace;
    if (!wanted || !*wanted) {
        *ret_path = mem_strdup(workspace);
        return 0;
    }
    const char *within = path_within(workspace, wanted);
    if (!within)
        within = path_within(shells->physical, wanted);
    if (!within && *wanted == '/')
        return error_set(err, -EACCES, "%s is not within the workspace, %s", wanted, workspace);
    within = within ? within : wanted;
    struct span rest = span_of(within);
    while (rest.len)
        if (span_is(span_cut(&rest, '/'), ".."))
            return error_set(err, -EACCES, "%s leads out of the workspace", wanted);
    *ret_path = mem_printf("%s/%s", workspace, within);
    return 0;
}

// Of what is left for all, so that another one always gets something, too.
static int64_t files_of_next(const struct shells *shells)
{
    int64_t most = shells->config.memory / 2, left = shells->all_files;
    if (!shells->all_memory)
        return most;
    list_for_each(link, &shells->all) {
        const struct shell *shell = list_entry(link, struct shell, link);
        left -= shell->over ? 0 : FILES_PLACES * shell->files;
    }
    left /= 2 * FILES_PLACES;
    left = left < most ? left : most;
    return left > FILES_MIN ? left : FILES_MIN;
}

static int check(const struct shells *shells, const struct shell_request *request,
                 struct error *err)
{
    size_t count = 0;
    int64_t held = processes_memory(shells->env.processes);
    list_for_each(link, &shells->all)
        count += !list_entry(link, struct shell, link)->over;
    if (!shells->env.workspace)
        return error_set(err, -ENOTDIR, "this program has no workspace to run commands in");
    if (memchr(request->command.data, '\0', request->command.len))
        return error_set(err, -EINVAL, "a command cannot hold a NUL");
    if (count >= SHELLS_MAX)
        return error_set(err, -EAGAIN, "%zu commands run already; wait for one, or kill one",
                         count);
    if (count && shells->all_memory && shells->all_memory - held < SHELL_MEMORY_MIN)
        return error_set(err, -ENOMEM,
                         "commands that run hold %lld of the %lld MiB that all of them may have "
                         "here; wait for one, or kill one",
                         (long long)(held >> 20), (long long)(shells->all_memory >> 20));
    if (shells->open && !shells->config.unsafe)
        return error_set(err, -EPERM,
                         "nothing was run: tools.terminal.isolation is none, with which commands "
                         "read every file that this user may. Whoever means that sets "
                         "tools.terminal.unsafe: true as well");
    return 0;
}

// The zone's name where programs find its file; where they may not, its rule.
static char *time_zone(const struct shells *shells)
{
    char rule[ZONE_RULE_SIZE];
    struct zone zone;
    CLEANUP(mem_cleanup) char *file = mem_printf("/usr/share/zoneinfo/%s", shells->zone);
    bool there = shells->isolation != ISOLATION_HANDS && access(file, R_OK) == 0;
    if (there || zone_find(span_of(shells->zone), &zone, NULL) < 0)
        return mem_printf("TZ=%s", shells->zone);
    zone_rule(&zone, loop_wall(shells->env.loop) / 1000, rule);
    return mem_printf("TZ=%s", rule);
}

// What says how and where, and is nobody's secret.
static void make_environment(const struct shells *shells, char *variables[VARIABLES_MAX + 1])
{
    static const char *const kept[] = {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE"};
    size_t count = 0;
    const char *path = getenv("PATH");
    variables[count++] = mem_printf(
        "PATH=%s",
        path && *path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    variables[count++] = mem_printf("HOME=%s", shells->env.workspace);
    variables[count++] = mem_strdup("TERM=dumb");
    variables[count++] = mem_strdup("PAGER=cat"); // it would wait for a key
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (getenv(kept[i]))
            variables[count++] = mem_printf("%s=%s", kept[i], getenv(kept[i]));
    if (shells->zone)
        variables[count++] = time_zone(shells);
    variables[count] = NULL;
}

static int run(struct shell *shell, const struct shell_request *request, const char *directory,
               struct error *err)
{
    static const struct process_events events = {.on_end = on_process_end, .on_output = on_output};
    const struct shells *shells = shell->owner;
    const struct shell_config *config = &shells->config;
    CLEANUP(mem_cleanup) char *command = mem_strndup(request->command.data, request->command.len);
    const char *const argv[] = {"/bin/sh", "-c", STARTER, "sh", command, NULL};
    const char *const write[] = {shells->env.workspace, NULL};
    char *environment[VARIABLES_MAX + 1];
    struct grants grants = {
        .isolation = shells->isolation,
        .hands = shells->hands,
        .without = shells->open ? LAYER_FILES : 0,
        .tasks = config->processes * TASKS_PER_PROCESS,
        .tmp = shell->files,
        .disk = config->disk,
        .write = write,
    };
    make_environment(shells, environment);
    struct process_spec spec = {
        .argv = argv,
        .grants = &grants,
        .environment = (const char *const *)environment,
        .directory = directory,
        .limits = {.wall_ms = request->wall_ms,
                   .memory = config->memory,
                   .all_memory = shells->all_memory,
                   .processes = config->processes,
                   .file_size = config->file_size},
        .stdio = {[PROCESS_STDIN] = {.kind = request->talks ? PROCESS_STREAM : PROCESS_NONE,
                                     .max = SHELL_INPUT_MAX},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
                  [PROCESS_STDERR] = {.kind = PROCESS_STREAM}},
    };
    int r = process_start(shells->env.processes, &spec, &events, shell, &shell->process, err);
    for (size_t i = 0; environment[i]; i++)
        free(environment[i]);
    return r;
}

int shell_start(struct shells *shells, const struct shell_request *request, shell_end_fn *on_end,
                void *context, struct shell **ret_shell, struct error *err)
{
    CLEANUP(mem_cleanup) char *directory = NULL;
    int r = check(shells, request, err);
    if (r == 0)
        r = find_directory(shells, request->directory, &directory, err);
    if (r < 0)
        return r;
    struct shell *shell = mem_new(struct shell);
    shell->owner = shells;
    shell->id = ++shells->last_id;
    shell->begun_ms = loop_now(shells->env.loop);
    shell->files = files_of_next(shells);
    shell->remark = mem_strndup(request->remark.data, request->remark.len);
    shell->on_end = on_end;
    shell->context = context;
    shell->capture = (struct capture){.loop = shells->env.loop,
                                      .processes = shells->env.processes,
                                      .results = shells->env.results,
                                      .spares = !request->wall_ms,
                                      .on_hold = on_hold,
                                      .on_ended = on_capture_ended,
                                      .context = shell};
    capture_init(&shell->capture);
    buf_init(&shell->notes, SHELL_NOTES_MAX);
    list_append(&shells->all, &shell->link);
    r = run(shell, request, directory, err);
    if (r < 0)
        shell_destroy(shell);
    else
        *ret_shell = shell;
    return r;
}
