#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

/*
 * What a line of shell would run, as far as that can be said without running it: its simple
 * commands, those of substitutions, subshells and here-documents' substitutions among them, in no
 * particular order. Written for whoever judges a command, so it takes more for a command than a
 * shell would, never less. What shells read differently, and what is too rare to be read as each of
 * them would, is not read as one of them would: `unsure` says so, and somebody has to look.
 */
enum {
    SHELL_LINE_MAX = 64 * 1024, // bytes
    SHELL_DEPTH_MAX = 16,       // substitutions and subshells within each other
    SHELL_COMMANDS_MAX = 1024,
    SHELL_WORDS_MAX = 16 * 1024, // of all commands
};

struct shell_word {
    char *text;     // owned; without its quotes, "$NAME" where that is expanded
    size_t sure;    // bytes of it that stand before the first expansion
    bool open;      // an expansion decides what else is in it
    bool pattern;   // "*", "?", "[", "{": it stands for what it matches
    bool quoted;    // a part of it was
    bool processes; // a substitution of a process: <(...)
};

struct shell_redirect {
    struct shell_word target;
    bool writes;
};

struct shell_command {
    struct shell_word *words; // the name and its arguments, without assignments before them
    size_t count, capacity;
    struct shell_word *assignments;
    size_t assignment_count, assignment_capacity;
    struct shell_redirect *redirects;
    size_t redirect_count, redirect_capacity;
    char *input;     // owned: of its here-document or here-string; NULL: none
    bool piped;      // reads what another wrote
    bool background; // nobody waits for it
};

struct shell_line {
    struct shell_command *commands;
    size_t count, capacity, words;
    const char *unsure; // what in it shells may read differently; static; NULL: nothing
    bool bomb;          // a function calls itself side by side with itself
};

// Negative: the text is no whole line, and no shell would run it.
int shell_line_parse(struct span text, struct shell_line *ret_line, struct error *err);
void shell_line_finish(struct shell_line *line); // accepts zeroed
