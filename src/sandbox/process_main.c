#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/hands_relay.h"
#include "sandbox/namespaces.h"
#include "sandbox/process.h"
#include "sandbox/process_spawn.h"
#include "sandbox/supervisor.h"

enum {
    FUNCTION_FILES_MAX = 64,  // that it has open
    PROGRAM_FILES_MAX = 1024, // as select() bears; it may ask for more
    EXIT_LAYERS = 2,          // of ours: the words, the limits or the answer
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127, // both as a shell says it
};

enum {
    WORD_PARENT,
    WORD_CPU_S,
    WORD_MEMORY,
    WORD_FILE_SIZE,
    WORD_DIRECTORY,
    WORD_FUNCTION,
    WORD_PROGRAM
};

static int set_limit(int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit both = {soft, hard};
    return soft && prlimit(0, resource, &both, NULL) < 0 ? -errno : 0;
}

static int limit_files(bool is_program)
{
    struct rlimit now;
    if (!is_program)
        return set_limit(RLIMIT_NOFILE, FUNCTION_FILES_MAX, FUNCTION_FILES_MAX);
    if (getrlimit(RLIMIT_NOFILE, &now) < 0)
        return -errno;
    return now.rlim_cur > PROGRAM_FILES_MAX
               ? set_limit(RLIMIT_NOFILE, PROGRAM_FILES_MAX, now.rlim_max)
               : 0;
}

// A parent that died before PDEATHSIG was asked for sends nothing any more.
static int die_with_parent(uint64_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return (uint64_t)getppid() == parent ? 0 : -EPIPE;
}

// A sandbox has layers of its own beside these.
static int take_limits(const uint64_t *numbers, bool is_program, bool in_sandbox, struct error *err)
{
    int r = die_with_parent(numbers[WORD_PARENT]);
    struct rlimit no_core = {0, 0};
    if (r == 0 && prlimit(0, RLIMIT_CORE, &no_core, NULL) < 0)
        r = -errno;
    if (r == 0 && !in_sandbox && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r == 0)
        r = set_limit(RLIMIT_CPU, numbers[WORD_CPU_S], numbers[WORD_CPU_S]);
    if (r == 0)
        r = limit_files(is_program);
    if (r == 0)
        r = set_limit(RLIMIT_FSIZE, numbers[WORD_FILE_SIZE], numbers[WORD_FILE_SIZE]);
#ifndef __SANITIZE_ADDRESS__ // it reserves terabytes of address space for its shadow
    if (r == 0)
        r = set_limit(RLIMIT_AS, numbers[WORD_MEMORY], numbers[WORD_MEMORY]);
#endif
    return r < 0 ? error_errno(err, -r, "cannot limit the process") : 0;
}

static void set_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL); // ignored, write(2) says EFBIG
}

static int become_program(const char *directory, char **argv)
{
    set_signals(SIG_DFL);
    bool entered = chdir(directory) == 0;
    if (entered)
        execvp(argv[0], argv);
    int cause = errno;
    dprintf(STDERR_FILENO, "cannot %s %s: %s\n", entered ? "start" : "open",
            entered ? argv[0] : directory, strerror(cause));
    return cause == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

// Where nothing can be hidden it runs nevertheless: its owner trusts it, and is told by the daemon.
static int become_trusted(const char *directory, char **words)
{
    const char *const *hidden = (const char *const *)words + 1;
    const char *shown = words[0];
    struct error err = ERROR_INIT;
    while (*words && strcmp(*words, "--") != 0)
        words++;
    if (!*words || !words[1])
        return EXIT_LAYERS;
    *words = NULL;
    if (namespaces_hide_probe(hidden, shown, NULL) == 0 &&
        namespaces_hide(hidden, shown, &err) < 0) {
        dprintf(STDERR_FILENO, "%s\n", err.text);
        return EXIT_LAYERS;
    }
    return become_program(directory, words + 1);
}

static int become_supervisor(const char *directory, int argc, char **argv)
{
    struct grants_read read = {0};
    if (grants_from_words(argc, argv, &read) < 0 || read.taken == argc) {
        grants_read_finish(&read);
        return EXIT_LAYERS;
    }
    set_signals(SIG_DFL);
    supervise(&read.grants, directory, argv + read.taken);
}

static int run_function(const struct process_function *function, const char *directory,
                        struct buf *out, struct error *err)
{
    BUF_AUTO input = BUF_INIT(PROCESS_INPUT_MAX);
    int r = function->streams ? 0 : fd_read_all(STDIN_FILENO, &input);
    if (r < 0)
        return error_errno(err, -r, "cannot read the request");
    FD_AUTO fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open %s", directory);
    r = function->run(fd, buf_span(&input), out, err);
    if (r == 0 && buf_is_full(out)) // what was cut must not pass for the whole
        r = error_set(err, -EFBIG, "the answer is larger than %zu KiB",
                      function->answer_max / 1024);
    return r;
}

static int answer(const struct process_function *function, int r, struct buf *out,
                  const struct error *err)
{
    struct span refusal = r < 0 ? span_of(err->text) : SPAN_LITERAL("");
    if (r < 0 && (!function->explains || out->len + refusal.len >= function->answer_max))
        buf_clear(out);
    if (fd_write_all(STDOUT_FILENO, refusal.data, refusal.len) < 0 ||
        fd_write_all(STDOUT_FILENO, "\n", r < 0 && out->len) < 0 ||
        fd_write_all(STDOUT_FILENO, out->data, out->len) < 0)
        return EXIT_LAYERS;
    return r < 0;
}

int process_main(int argc, char **argv, const struct process_function *functions, size_t count)
{
    uint64_t numbers[WORD_DIRECTORY];
    if (argc <= WORD_FUNCTION)
        return EXIT_LAYERS;
    for (int i = 0; i < WORD_DIRECTORY; i++)
        if (!span_to_u64(span_of(argv[i]), &numbers[i]))
            return EXIT_LAYERS;
    bool in_sandbox = strcmp(argv[WORD_FUNCTION], process_in_sandbox) == 0;
    bool in_hands = strcmp(argv[WORD_FUNCTION], process_in_hands) == 0;
    bool in_hiding = strcmp(argv[WORD_FUNCTION], process_in_hiding) == 0;
    bool is_program =
        in_sandbox || in_hands ||
        ((in_hiding || strcmp(argv[WORD_FUNCTION], "--") == 0) && argc > WORD_PROGRAM);
    const struct process_function *function = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(argv[WORD_FUNCTION], functions[i].name) == 0)
            function = &functions[i];
    if (!is_program && !function)
        return EXIT_LAYERS;

    struct error err = ERROR_INIT;
    set_signals(SIG_IGN);
    int r = take_limits(numbers, is_program, in_sandbox, &err);
    if (is_program && r < 0) {
        dprintf(STDERR_FILENO, "%s\n", err.text);
        return EXIT_LAYERS;
    }
    if (in_hands) {
        set_signals(SIG_DFL);
        return hands_relay(argv[WORD_DIRECTORY], argc - WORD_PROGRAM, argv + WORD_PROGRAM);
    }
    if (in_sandbox)
        return become_supervisor(argv[WORD_DIRECTORY], argc - WORD_PROGRAM, argv + WORD_PROGRAM);
    if (in_hiding)
        return become_trusted(argv[WORD_DIRECTORY], argv + WORD_PROGRAM);
    if (is_program)
        return become_program(argv[WORD_DIRECTORY], argv + WORD_PROGRAM);
    BUF_AUTO out = BUF_INIT(function->answer_max);
    if (r == 0)
        r = run_function(function, argv[WORD_DIRECTORY], &out, &err);
    return answer(function, r, &out, &err);
}
