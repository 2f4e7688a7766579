#pragma once

#include "tools/command_rules.h"
#include "tools/shell_line.h"

// Private to the judge of commands: command_rules.c takes a line apart and finds what really runs,
// command_table.c says what is known of programs.
enum { COMMAND_NESTED_MAX = 8 };

struct command_judge {
    const struct command_globs *globs; // NULL: none
    struct command_judgement judgement;
    unsigned depth;
};

struct command_args { // a simple command from its name on
    const struct shell_word *words;
    size_t count;
    const struct shell_command *whole;
};

const char *command_name(const struct command_args *args); // without its directory
bool command_writes_protected(const char *path);           // where other programs look for orders
bool command_is_device(const char *path);                  // of which a write destroys something

// What the table says of the command. A rule's name, or NULL: nothing.
const char *command_never_rule(const struct command_args *args);
const char *command_asks_rule(const struct command_args *args);

// Does the line speak to a database, and what destroys something there? Costly, so asked once of a
// command, not of each of the commands that it may run.
bool command_talks_sql(const struct shell_command *command);
bool command_destroys_sql(const struct shell_command *command);

// Is the program a shell? An interpreter of scripts, with its options that take one?
bool command_is_shell(const char *name);
bool command_reads_script(const struct command_args *args); // from what it is piped
