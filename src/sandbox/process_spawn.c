#include "sandbox/process_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

const char process_command[] = "process";
const char process_in_sandbox[] = "sandbox";
const char process_in_hands[] = "hands";
const char process_in_hiding[] = "hiding";

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words && words[count] && count <= PROCESS_WORDS_MAX)
        count++;
    return count;
}

// `first` becomes the caller's; the others are copied.
static char **join(char **first, size_t first_count, const char *const *others)
{
    size_t count = count_words(others);
    char **words = mem_zalloc((first_count + count + 1) * sizeof *words);
    for (size_t i = 0; i < first_count; i++)
        words[i] = first[i];
    for (size_t i = 0; i < count; i++)
        words[first_count + i] = mem_strdup(others[i]);
    return words;
}

// All words become part of the first list, and both lists the caller's one.
static char **extend(char **words, char **others)
{
    size_t count = 0, more = 0;
    while (words[count])
        count++;
    while (others[more])
        more++;
    words = mem_realloc(words, (count + more + 1) * sizeof *words);
    memcpy(words + count, others, (more + 1) * sizeof *words);
    free(others);
    return words;
}

static void free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

// Limits are those of the process that is started, and a relay has none.
static char **make_words(const struct process_spec *spec, bool in_hands)
{
    const struct process_limits *limits = &spec->limits;
    bool hides = spec->hidden && !spec->function && !spec->grants;
    char *own[] = {
        mem_strdup("hermes"),
        mem_strdup(process_command),
        mem_printf("%d", getpid()),
        mem_printf("%lld", in_hands ? 0 : (long long)limits->cpu_s),
        mem_printf("%lld", spec->function ? (long long)limits->memory : 0),
        mem_printf("%lld", in_hands ? 0 : (long long)limits->file_size),
        mem_strdup(spec->directory),
        mem_strdup(spec->function ? spec->function
                   : in_hands     ? process_in_hands
                   : spec->grants ? process_in_sandbox
                   : hides        ? process_in_hiding
                                  : "--"),
    };
    char **words = join(own, ARRAY_LEN(own), NULL);
    if (in_hands) {
        char *of_relay[] = {
            mem_strdup(spec->grants->hands),
            mem_printf("%lld", (long long)limits->cpu_s),
            mem_printf("%lld", (long long)limits->memory),
            mem_printf("%lld", (long long)limits->processes),
            mem_printf("%lld", (long long)limits->file_size),
        };
        words = extend(words, join(of_relay, ARRAY_LEN(of_relay), NULL));
    }
    if (hides) {
        char *shown[] = {mem_strdup(spec->shown)}, *end[] = {mem_strdup("--")};
        words = extend(words, join(shown, ARRAY_LEN(shown), spec->hidden));
        words = extend(words, join(end, ARRAY_LEN(end), NULL));
    }
    if (spec->grants && !spec->function)
        words = extend(words, grants_to_words(spec->grants));
    return spec->function ? words : extend(words, join(NULL, 0, spec->argv));
}

int process_launch_init(struct process_launch *launch, const struct process_spec *spec,
                        struct error *err)
{
    if (count_words(spec->argv) > PROCESS_WORDS_MAX ||
        count_words(spec->environment) > PROCESS_WORDS_MAX)
        return error_set(err, -E2BIG, "it has more than %d arguments or variables",
                         PROCESS_WORDS_MAX);
    if (spec->stdio[PROCESS_STDIN].bytes.len > PROCESS_INPUT_MAX)
        return error_set(err, -E2BIG, "the request is larger than %d MiB", PROCESS_INPUT_MAX >> 20);
    if (spec->grants && spec->grants->network == NETWORK_PROXY)
        return error_set(err, -ENOSYS, "there is no proxy that could let it into the network");
    launch->in_hands =
        spec->grants && !spec->function && spec->grants->isolation == ISOLATION_HANDS;
    if (launch->in_hands && !spec->grants->hands)
        return error_set(err, -EINVAL, "no socket is named that leads to the hands container");
    if (launch->in_hands && spec->grants->without)
        return error_set(err, -EINVAL, "no layer can be left off in the hands container");
    launch->words = make_words(spec, launch->in_hands);
    launch->environment = join(NULL, 0, spec->environment);
    buf_init(&launch->input, PROCESS_INPUT_MAX);
    buf_append_span(&launch->input, spec->stdio[PROCESS_STDIN].bytes);
    for (int i = 0; i < PROCESS_STDIO_COUNT; i++)
        launch->kinds[i] = spec->stdio[i].kind;
    return 0;
}

void process_launch_finish(struct process_launch *launch)
{
    free_words(launch->words);
    free_words(launch->environment);
    launch->words = launch->environment = NULL;
    buf_finish(&launch->input);
}

// In a file of memory: the process reads it at its own pace and we wait for nothing.
static int open_input(struct span bytes)
{
    FD_AUTO fd = memfd_create("input", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : fd_write_all(fd, bytes.data, bytes.len);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        return r;
    int kept = fd;
    fd = -1;
    return kept;
}

// The process's end blocks, ours does not.
static int open_pipe(bool is_input, int *ret_end)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) < 0)
        return -errno;
    *ret_end = both[is_input];
    fcntl(*ret_end, F_SETFL, O_NONBLOCK);
    return both[!is_input];
}

static int open_stdio(const struct process_launch *launch, int which, int *ret_end)
{
    bool is_input = which == PROCESS_STDIN;
    int fd;
    switch (launch->kinds[which]) {
    case PROCESS_INHERIT:
        fd = fcntl(which, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return fd < 0 ? -errno : fd;
    case PROCESS_NONE:
        fd = open("/dev/null", (is_input ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    case PROCESS_BUFFER:
        return is_input ? open_input(buf_span(&launch->input)) : open_pipe(false, ret_end);
    default:
        return open_pipe(is_input, ret_end);
    }
}

int process_spawn(struct loop *loop, const struct process_launch *launch, child_exit_fn *on_exit,
                  void *context, int ends[PROCESS_ENDS_COUNT], struct child **ret_child,
                  struct error *err)
{
    int theirs[PROCESS_ENDS_COUNT] = {-1, -1, -1, -1};
    int r = 0;
    for (int i = 0; i < PROCESS_ENDS_COUNT && r == 0; i++) {
        if (i == PROCESS_VERDICT && !launch->in_hands)
            break;
        theirs[i] =
            i == PROCESS_VERDICT ? open_pipe(false, &ends[i]) : open_stdio(launch, i, &ends[i]);
        r = theirs[i] < 0 ? theirs[i] : 0;
    }
    if (r < 0)
        error_errno(err, -r, "cannot open what a process reads and writes");
    struct child_spec spec = {.path = "/proc/self/exe",
                              .argv = launch->words,
                              .environment = launch->environment,
                              .stdin_fd = theirs[PROCESS_STDIN],
                              .stdout_fd = theirs[PROCESS_STDOUT],
                              .stderr_fd = theirs[PROCESS_STDERR],
                              .fourth_fd = launch->in_hands ? theirs[PROCESS_VERDICT] : 0};
    if (r == 0)
        r = child_spawn(loop, &spec, on_exit, context, ret_child, err);
    for (int i = 0; i < PROCESS_ENDS_COUNT; i++)
        fd_close(&theirs[i]);
    return r;
}

int process_result(int status, bool is_function, int64_t memory, struct error *err)
{
    if (WIFEXITED(status) && (!is_function || WEXITSTATUS(status) <= 1))
        return WEXITSTATUS(status);
    if (WIFEXITED(status))
        return error_set(err, -ECHILD, "its process failed with status %d", WEXITSTATUS(status));
    int number = WTERMSIG(status);
    if (is_function && number == SIGABRT)
        return error_set(err, -ECHILD,
                         "its process was stopped by signal %d (%s), as when it needs more than "
                         "%lld MiB of memory",
                         number, strsignal(number), (long long)(memory >> 20));
    return error_set(err, -ECHILD, "its process was stopped by signal %d (%s)", number,
                     strsignal(number));
}
