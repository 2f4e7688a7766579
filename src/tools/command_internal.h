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
    const char *fed; // in whose place what xargs or find found is put; NULL: nothing is put there
};

struct command_args { // a simple command from its name on
    const struct shell_word *words;
    size_t count;
    const struct shell_command *whole;
};

// command_words.c
const char *command_base_of(const char *path);             // without its directory
const char *command_name(const struct command_args *args); // of the program, without its directory
bool command_is_loader(const struct command_args *args);   // of programs: ld.so, ld-linux.so.2 ...
bool command_is_one_of(const char *text, const char *const *list, size_t count);
bool command_begins(const char *text, const char *prefix);
bool command_is_option(const char *word);
bool command_has_short(const struct command_args *args, const char *letters); // any of them
bool command_has_long(const struct command_args *args, const char *option, size_t shortest);
bool command_has_word(const struct command_args *args, const char *word);
bool command_any(const struct command_args *args, bool (*is)(const char *word));
#define IS_ONE_OF(text, ...)                                    \
    command_is_one_of(text, (const char *const[]){__VA_ARGS__}, \
                      ARRAY_LEN(((const char *[]){__VA_ARGS__})))

// command_paths.c
bool command_writes_protected(const char *path); // where other programs look for orders
bool command_may_write_protected(const struct shell_word *word); // once it is expanded
bool command_overwrites_protected(const struct command_args *args);
bool command_is_device(const char *path); // of which a write destroys something
bool command_is_root(const char *path);   // the root, or a directory of the system or of a user

// What the table says of the command. A rule's name, or NULL: nothing.
const char *command_never_rule(const struct command_args *args);
const char *command_asks_rule(const struct command_args *args);

// command_indirect.c: of what the program runs by an option, a script or a variable.
const char *command_indirect_rule(const struct command_args *args);
const char *command_assignment_rule(const struct shell_word *word);

// Does the line speak to a database, and what destroys something there? Costly, so asked once of a
// command, not of each of the commands that it may run.
bool command_talks_sql(const struct shell_command *command);
bool command_destroys_sql(const struct shell_command *command);

// Is the program a shell? An interpreter of scripts, with its options that take one?
bool command_is_shell(const char *name);
bool command_reads_script(const struct command_args *args); // from what it is piped
