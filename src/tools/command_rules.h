#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/*
 * Judges a line of shell before it runs. This is no sandbox: who wants to hide what a command does
 * finds a way, and what it can reach is the sandbox's to say. It keeps honest mistakes from
 * happening unseen, and asks wherever what runs is only known then.
 */
enum command_verdict {
    COMMAND_PLAIN,
    COMMAND_ASKS,  // runs when somebody has approved it
    COMMAND_NEVER, // whoever approves it
};

enum {
    COMMAND_WHY_MAX = 320,           // bytes, with the terminating NUL
    COMMAND_LOOKED_AT_MAX = 1 << 20, // bytes, of one line; the judge runs between other work
};

struct command_judgement {
    enum command_verdict verdict;
    char why[COMMAND_WHY_MAX]; // "recursive delete: rm -r build"; "": plain
    size_t looked_at;          // bytes, those again that were judged again
};

// Globs of the owner, as fnmatch(3) in any case, for a whole simple command without its quotes.
// `allow` also has the names of rules, as in `why` before the colon.
struct command_globs {
    const char *const *deny, *const *allow;
    size_t deny_count, allow_count;
};

struct command_judgement command_judge(struct span line, const struct command_globs *globs);
// Of what is put into the input of a command, which may be a shell. What no shell could read, and
// may be meant for another program or go on later, asks.
struct command_judgement command_judge_input(struct span text, const struct command_globs *globs);

// Is it a file whose text the agent obeys in later conversations, by any path to it?
bool command_is_instruction_file(const char *path);
bool command_is_env_file(const char *path); // .env, .env.local, ...
