#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * The command line. A command is one file with one struct command, and a line in command.c; its
 * usage, its shell completion and the parsing of its options come from the same table.
 */
enum { COMMAND_OPTIONS_MAX = 18, COMMAND_WORDS_MAX = 4, COMMAND_GIVEN_MAX = 64 };

enum command_exit { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { COMMAND_MISUSED = -10000 }; // a failure that ends in EXIT_USAGE; no errno value

struct command_option {
    const char *name;     // long, without "--"
    char letter;          // 0: none
    const char *argument; // for the usage: "FILE"; NULL: takes none
    const char *help;
};

struct arguments {
    const char *values[COMMAND_OPTIONS_MAX]; // by the option's index; NULL: not given
    const char *words[COMMAND_WORDS_MAX];    // what is not an option
    size_t word_count;
    char **program; // of a command that takes one: the first word that is no option, and the rest
    // All that were given, in their order, of a command whose options may be repeated.
    struct {
        int option; // by index
        const char *value;
    } given[COMMAND_GIVEN_MAX];
    size_t given_count;
};

struct command {
    const char *name;
    const char *words;   // for the usage: "[check|show]"; NULL: none are taken
    const char *summary; // one line
    const char *help;    // paragraphs, may be NULL
    const struct command_option *options;
    unsigned option_count : 4; // more do not fit, and so do not compile
    unsigned max_words : 4;
    bool takes_settings; // its first options are those of every command that needs them
    bool takes_program;  // the words behind its options are a program and its arguments
    // The exit status, or negative with a sentence in `err`.
    int (*run)(const struct arguments *arguments, struct error *err);
};

extern const struct command command_chat;
extern const struct command command_completion;
extern const struct command command_config;
extern const struct command command_context;
extern const struct command command_cost;
extern const struct command command_cron;
extern const struct command command_doctor;
extern const struct command command_hands;
extern const struct command command_help;
extern const struct command command_import;
extern const struct command command_log;
extern const struct command command_mcp;
extern const struct command command_pairing;
extern const struct command command_replay;
extern const struct command command_router;
extern const struct command command_run;
extern const struct command command_sandbox;
extern const struct command command_sessions;
extern const struct command command_skills;
extern const struct command command_status;
extern const struct command command_taint;
extern const struct command command_version;

extern const struct command *const commands[]; // as they are listed; ends with NULL
const struct command *command_find(const char *name);

// In the table of a command: its own options.
#define COMMAND_OPTIONS(...)                                 \
    .options = (const struct command_option[]){__VA_ARGS__}, \
    .option_count = sizeof((struct command_option[]){__VA_ARGS__}) / sizeof(struct command_option)

// By index, those of the settings first; NULL behind the last.
const struct command_option *command_option(const struct command *command, size_t index);

// The indices of the settings' options, and that of the first behind them.
enum { OPTION_CONFIG, OPTION_HOME, OPTION_MODEL, OPTION_FIRST_OWN };

// argv[0] is the command's name. 0, or COMMAND_HELPED when --help was asked for and printed.
enum { COMMAND_HELPED = 1 };
int arguments_parse(const struct command *command, int argc, char **argv,
                    struct arguments *ret_arguments, struct error *err);

void command_print_usage(const struct command *command);
