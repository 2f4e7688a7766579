#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/span.h"
#include "config/option.h"
#include "daemon/command.h"
#include "loop/child.h"
#include "loop/signals.h"
#include "sandbox/hands_relay.h"
#include "sandbox/process.h"

enum {
    PATHS_MAX = 32,
    VARIABLES_MAX = 64,
    PROCESSES_DEFAULT = 256,
    TASKS_PER_PROCESS = 2, // threads too, of which
    TASKS_BESIDE = 64,     // a single program may have many
    KILLED = 128,          // and the signal's number, as a shell says it
};

enum { ISOLATION, HANDS, READ, WRITE, MEMORY, DISK, TIME, PROCESSES, WITHOUT };

static const struct option size = {.type = OPTION_BYTES, .min = 1 << 20, .max = INT64_MAX};
static const struct option duration = {.type = OPTION_DURATION, .min = 1, .max = INT64_MAX};
static const struct option number = {.type = OPTION_INT, .min = 1, .max = 1 << 20};

// What says how and where, and is nobody's secret.
static const char *const kept_variables[] = {"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE",
                                             "TZ",   "TERM", "COLUMNS",  "LINES"};

struct request {
    struct grants grants;
    struct process_limits limits;
    char *read[PATHS_MAX + 1], *write[PATHS_MAX + 1]; // owned
    size_t read_count, write_count;
    bool whole_environment;
    char directory[PATH_MAX];
    char *environment[VARIABLES_MAX + 1]; // owned
};

static void request_finish(struct request *request)
{
    for (size_t i = 0; i < PATHS_MAX; i++) {
        free(request->read[i]);
        free(request->write[i]);
    }
    for (size_t i = 0; i < VARIABLES_MAX; i++)
        free(request->environment[i]);
}

static int take_path(const char *value, char **paths, size_t *count, struct error *err)
{
    if (*count == PATHS_MAX)
        return error_set(err, COMMAND_MISUSED, "sandbox: more than %d paths", PATHS_MAX);
    char *path = realpath(value, NULL);
    if (!path)
        return error_errno(err, errno, "cannot grant %s", value);
    paths[(*count)++] = path;
    return 0;
}

static int take_number(const struct option *option, const char *name, const char *value,
                       int64_t *ret_number, struct error *err)
{
    union option_value parsed;
    if (option_parse(option, span_of(value), &parsed, err) < 0) {
        error_wrap(err, "sandbox: --%s", name);
        return COMMAND_MISUSED;
    }
    *ret_number = parsed.number;
    return 0;
}

static int take_layer(const char *value, struct request *request, struct error *err)
{
    enum sandbox_layer layer;
    if (strcmp(value, "environment") == 0)
        request->whole_environment = true;
    else if (sandbox_layer_parse(value, &layer))
        request->grants.without |= layer;
    else
        return error_set(err, COMMAND_MISUSED,
                         "sandbox: there is no layer \"%.64s\" (hermes help sandbox)", value);
    return 0;
}

static int take_option(int option, const char *value, struct request *request, struct error *err)
{
    switch (option) {
    case ISOLATION:
        if (!isolation_parse(value, &request->grants.isolation) ||
            request->grants.isolation == ISOLATION_CONTAINER)
            return error_set(err, COMMAND_MISUSED,
                             "sandbox: there is no isolation \"%.64s\" (hermes help sandbox)",
                             value);
        return 0;
    case HANDS:
        request->grants.hands = value;
        return 0;
    case READ:
        return take_path(value, request->read, &request->read_count, err);
    case WRITE:
        return take_path(value, request->write, &request->write_count, err);
    case MEMORY:
        return take_number(&size, "memory", value, &request->limits.memory, err);
    case DISK:
        return take_number(&size, "disk", value, &request->grants.disk, err);
    case TIME:
        return take_number(&duration, "time", value, &request->limits.wall_ms, err);
    case PROCESSES:
        return take_number(&number, "processes", value, &request->limits.processes, err);
    default:
        return take_layer(value, request, err);
    }
}

static void take_environment(struct request *request)
{
    size_t count = 0;
    for (size_t i = 0; request->whole_environment && environ[i] && count < VARIABLES_MAX; i++)
        request->environment[count++] = mem_strdup(environ[i]);
    if (request->whole_environment)
        return;
    for (size_t i = 0; i < ARRAY_LEN(kept_variables); i++) {
        const char *value = getenv(kept_variables[i]);
        if (value)
            request->environment[count++] = mem_printf("%s=%s", kept_variables[i], value);
    }
    request->environment[count] = mem_printf("HOME=%s", request->directory);
}

static int take_request(const struct arguments *arguments, struct request *request,
                        struct error *err)
{
    int r = 0;
    if (!*arguments->program)
        return error_set(err, COMMAND_MISUSED,
                         "sandbox: which program? hermes sandbox -- ls (hermes help sandbox)");
    request->limits.processes = PROCESSES_DEFAULT;
    request->grants.hands = hands_socket();
    for (size_t i = 0; i < arguments->given_count && r == 0; i++)
        r = take_option(arguments->given[i].option, arguments->given[i].value, request, err);
    if (r == 0 && !getcwd(request->directory, sizeof request->directory))
        r = error_errno(err, errno, "cannot tell the present directory");
    if (r == 0 && request->write_count)
        r = take_path(request->directory, request->read, &request->read_count, err);
    else if (r == 0)
        r = take_path(request->directory, request->write, &request->write_count, err);
    if (r == 0 && request->grants.isolation == ISOLATION_HANDS &&
        (request->grants.without || request->whole_environment))
        r = error_set(err, COMMAND_MISUSED, "sandbox: no layer can be left off in the hands");
    if (request->grants.without & LAYER_LIMITS)
        request->limits = (struct process_limits){0};
    if (request->limits.processes)
        request->grants.tasks = request->limits.processes * TASKS_PER_PROCESS + TASKS_BESIDE;
    request->grants.tmp = request->limits.memory / 2;
    request->grants.read = (const char *const *)request->read;
    request->grants.write = (const char *const *)request->write;
    take_environment(request);
    return r;
}

struct session {
    struct loop *loop;
    struct processes *processes;
    struct signals signals;
    process_id id;
    int status;
};

static void on_end(void *context, const struct process_end *end)
{
    struct session *session = context;
    session->id = 0;
    session->status = end->result;
    if (end->result < 0 && WIFSIGNALED(end->status)) {
        session->status = KILLED + WTERMSIG(end->status);
        fprintf(stderr, "hermes: %s\n", end->err->text);
    } else if (end->result < 0) {
        session->status = KILLED + SIGKILL;
        fprintf(stderr, "hermes: %s\n", end->err->text);
    }
    loop_stop(session->loop);
}

static void on_signal(void *context, int signal_number)
{
    struct session *session = context;
    process_cancel(session->processes, session->id);
    session->status = KILLED + signal_number;
    loop_stop(session->loop);
}

static int start(struct session *session, const struct request *request, char **argv,
                 struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static const struct process_events events = {.on_end = on_end};
    struct process_spec spec = {
        .argv = (const char *const *)argv,
        .grants = &request->grants,
        .environment = (const char *const *)request->environment,
        .directory = request->directory,
        .limits = request->limits,
        .stdio = {{.kind = PROCESS_INHERIT}, {.kind = PROCESS_INHERIT}, {.kind = PROCESS_INHERIT}},
    };
    int r = signals_init(&session->signals, session->loop, numbers, ARRAY_LEN(numbers), on_signal,
                         session, err);
    return r < 0 ? r
                 : process_start(session->processes, &spec, &events, session, &session->id, err);
}

static int run(const struct arguments *arguments, struct error *err)
{
    struct request request = {0};
    struct session session = {0};
    int r = take_request(arguments, &request, err);
    if (r == 0)
        r = loop_create(&clock_system, &session.loop, err);
    if (r == 0) {
        static const struct process_config none = {0};
        session.processes = processes_create(session.loop, &none);
        r = start(&session, &request, arguments->program, err);
        if (r == 0)
            loop_run(session.loop);
        processes_destroy(session.processes);
        child_reap_all(session.loop);
        signals_finish(&session.signals);
        loop_destroy(session.loop);
    }
    request_finish(&request);
    return r < 0 ? r : session.status;
}

const struct command command_sandbox = {
    .name = "sandbox",
    .words = "-- PROGRAM [ARGUMENT...]",
    .summary = "Run a program as the agent's tools do: behind all layers of the sandbox",
    .help = "The program reads what programs are made of (/usr, /lib, a few files of /etc), reads\n"
            "and writes the present directory, has a /tmp of its own, and no network. Its exit\n"
            "status is passed on; that of one that a signal ended, or a limit, is 128 and the\n"
            "signal's number. Standard error says which limit that was, and which system calls\n"
            "were refused. Status 125: a layer does not hold here, and nothing was run.\n"
            "\n"
            "  hermes sandbox -- sh -c 'ls /; id'\n"
            "  hermes sandbox --memory 256Mi --time 1m --read ~/data -- python3 report.py\n"
            "\n"
            "hermes doctor says which layers hold on this machine.\n",
    COMMAND_OPTIONS(
        [ISOLATION] = {"isolation", 0, "KIND",
                       "of files: namespaces, landlock, hands, or auto (default)"},
        [HANDS] = {"hands", 0, "SOCKET",
                   "of hands in another container (else HERMES_HANDS_SOCKET)"},
        [READ] = {"read", 0, "PATH", "may be read, and programs in it run; can be repeated"},
        [WRITE] = {"write", 0, "PATH",
                   "may be written, and only these; else the present directory"},
        [MEMORY] = {"memory", 0, "SIZE", "that all its processes have resident: 64Mi, 1G"},
        [DISK] = {"disk", 0, "SIZE", "that may be taken of one while it runs: 1G"},
        [TIME] = {"time", 0, "LIMIT", "until it is stopped: 30s, 5m"},
        [PROCESSES] = {"processes", 0, "N", "at a time (256)"},
        [WITHOUT] = {"without", 0, "LAYER",
                     "leaves one off: privileges, seccomp, files, limits, session or environment"}),
    .takes_program = true,
    .run = run,
};
