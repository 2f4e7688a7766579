#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "codec/suggest.h"
#include "daemon/command.h"
#include "daemon/settings.h"
#include "mcp/hiding.h"
#include "sandbox/process.h"
#include "tools/inbox_file.h"
#include "tools/sent_file.h"
#include "tools/spool.h"
#include "tools/tool_process.h"
#include "tools/web_page.h"

enum { COMMANDS_MAX = 32 };

static int refuse_command(const char *word)
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;
    for (; commands[count] && count < COMMANDS_MAX; count++)
        names[count] = commands[count]->name;
    const char *near = suggest_nearest(span_of(word), names, count);
    log_error("there is no command \"%.64s\"%s%s%s (hermes help lists them)", word,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return EXIT_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct error err = ERROR_INIT;
    int r = arguments_parse(command, argc, argv, &arguments, &err);
    if (r == COMMAND_HELPED)
        return EXIT_OK;
    if (r == 0)
        r = command->run(&arguments, &err);
    if (r < 0)
        log_error("%s", err.text);
    return r == COMMAND_MISUSED ? EXIT_USAGE : r < 0 ? EXIT_FAILED : r;
}

// How many of the words say in which profile the rest is to be done; negative: misused.
static int take_profile(int argc, char **argv)
{
    struct span name = span_of(argv[1]);
    int words = span_is(name, "-p") || span_is(name, "--profile") ? 2 : 1;
    if (words == 1 && !span_starts_with(name, "--profile="))
        return 0;
    name = words == 2 ? span_of(argc > 2 ? argv[2] : "") : span_skip(name, strlen("--profile="));
    if (name.len == 0) {
        log_error("--profile needs a name: hermes --profile NAME COMMAND");
        return -1;
    }
    settings_profile = name.data;
    return words;
}

static int run(int argc, char **argv)
{
    if (argc < 2)
        return run_command(&command_help, 1, argv);
    int taken = take_profile(argc, argv);
    if (taken)
        return taken < 0 ? EXIT_USAGE : run(argc - taken, argv + taken);
    const char *word = argv[1];
    // How this program starts what runs outside it; nobody types it.
    if (strcmp(word, process_command) == 0) {
        const struct process_function functions[] = {
            tool_process_function, spool_function,      spool_prune_function, web_page_function,
            mcp_hiding_function,   inbox_file_function, sent_file_function};
        return process_main(argc - 2, argv + 2, functions, ARRAY_LEN(functions));
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return run_command(&command_version, argc - 1, argv + 1);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return run_command(&command_help, 1, argv);
    // hermes-agent's words: `hermes gateway`, `hermes gateway run`, `hermes gateway status`.
    if (strcmp(word, "gateway") == 0 && argc > 2 && *argv[2] != '-')
        return run(argc - 1, argv + 1);
    const struct command *command = command_find(word);
    return command ? run_command(command, argc - 1, argv + 1) : refuse_command(word);
}

int main(int argc, char **argv)
{
    // A reader that goes away and a file that may not grow are errors of write(2), not our end.
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            log_error("cannot write to standard output: %s", strerror(errno));
        status = status ? status : EXIT_FAILED;
    }
    return status;
}
