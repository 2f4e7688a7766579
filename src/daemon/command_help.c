#include <stdio.h>

#include "daemon/command.h"

static int run(const struct arguments *arguments, struct error *err)
{
    if (arguments->word_count) {
        const struct command *asked = command_find(arguments->words[0]);
        if (!asked)
            return error_set(err, COMMAND_MISUSED,
                             "there is no command \"%.64s\" (hermes help lists them)",
                             arguments->words[0]);
        command_print_usage(asked);
        return EXIT_OK;
    }
    printf("Hermes, a private assistant and model router in one binary.\n\n"
           "Usage: hermes [--profile NAME] COMMAND [OPTION...]\n\nCommands:\n");
    for (const struct command *const *command = commands; *command; command++)
        printf("  %-12s %s\n", (*command)->name, (*command)->summary);
    printf(
        "\nBegin with:\n"
        "  hermes chat                      a conversation (offline until a key is set)\n"
        "  OPENROUTER_API_KEY=... HERMES_MODEL=... hermes chat -q \"What can you do?\"\n\n"
        "hermes help COMMAND explains one. A profile, profiles/NAME in the home, is a home of its\n"
        "own: -p NAME, --profile NAME or HERMES_PROFILE.\n");
    return EXIT_OK;
}

const struct command command_help = {
    .name = "help",
    .words = "[COMMAND]",
    .summary = "Explain the commands",
    .max_words = 1,
    .run = run,
};
