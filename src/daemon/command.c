#include "daemon/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "codec/suggest.h"

const struct command *const commands[] = {
    &command_chat,
    &command_run,
    &command_router,
    &command_status,
    &command_log,
    &command_cost,
    &command_sessions,
    &command_taint,
    &command_context,
    &command_skills,
    &command_cron,
    &command_replay,
    &command_mcp,
    &command_pairing,
    &command_import,
    &command_config,
    &command_doctor,
    &command_sandbox,
    &command_hands,
    &command_version,
    &command_help,
    &command_completion,
    NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return strcmp(name, "gateway") == 0 ? &command_run : NULL; // hermes-agent's name for it
}

const struct command_option *command_option(const struct command *command, size_t index)
{
    static const struct command_option settings[OPTION_FIRST_OWN] = {
        {"config", 'c', "FILE",
         "else HERMES_CONFIG, /etc/hermes/config.yaml, config.yaml in the home"},
        {"home", 0, "DIR", "where Hermes keeps its data (else HERMES_HOME, ~/.hermes)"},
        {"model", 'm', "NAME", "model to use (else HERMES_MODEL)"},
    };
    if (command->takes_settings && index < OPTION_FIRST_OWN)
        return &settings[index];
    index -= command->takes_settings ? OPTION_FIRST_OWN : 0;
    return index < command->option_count ? &command->options[index] : NULL;
}

enum { HELP = 1000 }; // the value of --help, out of every letter's way

static void fill(const struct command *command, struct option *longs, char *shorts)
{
    const struct command_option *option;
    size_t count = 0;
    if (command->takes_program)
        *shorts++ = '+'; // stops at the first word
    *shorts++ = ':';     // tells a missing argument from an unknown option
    while ((option = command_option(command, count))) {
        longs[count] =
            (struct option){option->name, option->argument != NULL, NULL, (int)count + HELP + 1};
        count++;
        if (!option->letter)
            continue;
        *shorts++ = option->letter;
        if (option->argument)
            *shorts++ = ':';
    }
    longs[count++] = (struct option){"help", no_argument, NULL, HELP};
    longs[count] = (struct option){0};
    *shorts++ = 'h';
    *shorts = '\0';
}

static int index_of_letter(const struct command *command, int letter)
{
    const struct command_option *option;
    for (int i = 0; (option = command_option(command, (size_t)i)); i++)
        if (option->letter == letter)
            return i;
    return -1;
}

static int refuse_option(const struct command *command, const char *word, struct error *err)
{
    const char *names[COMMAND_OPTIONS_MAX];
    const struct command_option *option;
    size_t count = 0;
    while ((option = command_option(command, count)))
        names[count++] = option->name;
    struct span bare = span_of(word);
    while (bare.len && bare.data[0] == '-')
        bare = span_skip(bare, 1);
    const char *near = suggest_nearest(bare, names, count);
    return error_set(err, COMMAND_MISUSED, "%s: there is no option %.64s%s%s (hermes help %s)",
                     command->name, word, near ? "; did you mean --" : "", near ? near : "",
                     command->name);
}

int arguments_parse(const struct command *command, int argc, char **argv,
                    struct arguments *ret_arguments, struct error *err)
{
    struct option longs[COMMAND_OPTIONS_MAX + 2];
    char shorts[2 * COMMAND_OPTIONS_MAX + 4];
    *ret_arguments = (struct arguments){0};
    fill(command, longs, shorts);
    optind = 1;
    opterr = 0;
    int value;
    while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (value == HELP || value == 'h') {
            command_print_usage(command);
            return COMMAND_HELPED;
        }
        // Of an option whose argument is missing, optopt says which it was.
        int named = value == ':' ? optopt : value;
        int at = named > HELP ? named - HELP - 1 : index_of_letter(command, named);
        if (value == ':' && at >= 0)
            return error_set(err, COMMAND_MISUSED, "%s: --%s needs an argument (hermes help %s)",
                             command->name, command_option(command, (size_t)at)->name,
                             command->name);
        if (value == '?' || value == ':' || at < 0)
            return refuse_option(command, argv[optind - 1], err);
        if (ret_arguments->given_count == COMMAND_GIVEN_MAX)
            return error_set(err, COMMAND_MISUSED, "%s: more than %d options", command->name,
                             COMMAND_GIVEN_MAX);
        ret_arguments->values[at] = optarg ? optarg : "";
        ret_arguments->given[ret_arguments->given_count].option = at;
        ret_arguments->given[ret_arguments->given_count++].value = optarg ? optarg : "";
    }
    if (command->takes_program) {
        ret_arguments->program = argv + optind;
        return 0;
    }
    for (int i = optind; i < argc; i++) {
        if (ret_arguments->word_count >= command->max_words)
            return error_set(err, COMMAND_MISUSED,
                             "%s: \"%.64s\" is one word too many (hermes help %s)", command->name,
                             argv[i], command->name);
        ret_arguments->words[ret_arguments->word_count++] = argv[i];
    }
    return 0;
}

static void print_option(const struct command_option *option)
{
    char left[64];
    snprintf(left, sizeof left, "%s%c%s--%s%s%s", option->letter ? "-" : " ",
             option->letter ? option->letter : ' ', option->letter ? ", " : "  ", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
    printf("  %-22s %s\n", left, option->help);
}

void command_print_usage(const struct command *command)
{
    static const struct command_option help = {"help", 'h', NULL, "this text"};
    printf("hermes %s%s%s%s\n\n%s.\n", command->name, " [OPTION...]", command->words ? " " : "",
           command->words ? command->words : "", command->summary);
    if (command->help)
        printf("\n%s", command->help);
    printf("\nOptions:\n");
    const struct command_option *option;
    for (size_t i = 0; (option = command_option(command, i)); i++)
        print_option(option);
    print_option(&help);
}
