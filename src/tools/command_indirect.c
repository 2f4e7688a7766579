#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "tools/command_internal.h"

// Programs that run others through an option, a script of their own or a variable.

/* awk: print | "sh", "date" | getline, system("date") */

static bool is_awk_pipe(const char *text, const char *bar)
{
    const char *next = bar + 1 + (bar[1] == '&');
    bool blank = bar > text && strchr(" \t\n\"", bar[-1]);
    if (next[0] == '|' || (bar > text && bar[-1] == '|'))
        return false;
    next += strspn(next, " \t\n");
    return *next == '"' || strncmp(next, "getline", 7) == 0 ||
           (blank && (isalpha((unsigned char)*next) || *next == '(' || *next == '$'));
}

static bool is_awk_command(const char *text)
{
    for (const char *bar = text; (bar = strchr(bar, '|')); bar++)
        if (is_awk_pipe(text, bar))
            return true;
    for (const char *call = text; (call = strstr(call, "system")); call++)
        if (call[6 + strspn(call + 6, " \t")] == '(')
            return true;
    return false;
}

/* sed: 1e date, s/a/b/e, and "w" which writes */

static const char *skip_delimited(const char *at, char delimiter)
{
    for (; *at && *at != delimiter; at++)
        at += *at == '\\' && at[1];
    return at + (*at != '\0');
}

static const char *skip_address(const char *at)
{
    while (*at) {
        if (*at == '/')
            at = skip_delimited(at + 1, '/');
        else if (*at == '\\' && at[1])
            at = skip_delimited(at + 2, at[1]);
        else if (strchr("0123456789,$~+!{};IM \t\n", *at))
            at++;
        else
            break;
    }
    return at;
}

// Over-reads rather than under-reads: what follows a text (a, i, c) is looked at by lines.
static bool is_sed_command(const char *at)
{
    while (*(at = skip_address(at))) {
        char c = *at++;
        if (c == 'e' || c == 'w' || c == 'W')
            return true;
        if ((c == 's' || c == 'y') && *at) {
            char delimiter = *at++;
            at = skip_delimited(skip_delimited(at, delimiter), delimiter);
            size_t flags = strspn(at, "0123456789gpiIemMw");
            if (c == 's' && (memchr(at, 'e', flags) || memchr(at, 'w', flags)))
                return true;
            at += flags;
        } else
            at += strcspn(at, c == 'a' || c == 'i' || c == 'c' ? "\n" : "\n;}");
    }
    return false;
}

// With its options: a file's name may look like a script, and is none of its own.
static bool runs_from_sed(const struct command_args *args)
{
    bool given = false;
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text;
        bool follows = strcmp(word, "-e") == 0 || strcmp(word, "--expression") == 0;
        bool joined = command_begins(word, "--expression=");
        if (follows && i + 1 < args->count)
            word = args->words[++i].text;
        else if (joined)
            word += strlen("--expression=");
        else if (command_is_option(word) || given)
            continue;
        given = true;
        if (is_sed_command(word))
            return true;
    }
    return false;
}

/* git */

static bool is_harmless_setting(const char *setting)
{
    static const char *const begins[] = {"user.", "color.", "advice.", "init.defaultbranch="};
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        if (strncasecmp(setting, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static const char *git_rule(const struct command_args *args)
{
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text, *next = i + 1 < args->count ? word : NULL;
        next = next ? args->words[i + 1].text : "";
        bool setting = strcmp(word, "-c") == 0 && !is_harmless_setting(next);
        if (setting || *word == '!' || command_begins(word, "--config-env") ||
            command_begins(word, "--exec") || command_begins(word, "--upload-pack") ||
            command_begins(word, "--receive-pack") || command_begins(word, "--extcmd") ||
            (strcmp(word, "bisect") == 0 && strcmp(next, "run") == 0) ||
            (strcmp(word, "submodule") == 0 && strcmp(next, "foreach") == 0) ||
            strcmp(word, "filter-branch") == 0)
            return "git runs a command";
        if (strcmp(word, "clean") == 0 &&
            (command_has_short(args, "f") || command_has_long(args, "--force", 3)))
            return "git clean with force (deletes untracked files)";
        if (strcmp(word, "reset") == 0 && command_has_long(args, "--hard", 3))
            return "git reset --hard (destroys uncommitted changes)";
    }
    return NULL;
}

/* The rest */

static bool runs_from_tar(const struct command_args *args)
{
    static const char *const options[] = {
        "--checkpoint-action", "--to-command",  "--use-compress-program", "--info-script",
        "--new-volume-script", "--rmt-command", "--rsh-command"};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (command_has_long(args, options[i], 5))
            return true;
    return command_has_short(args, "IF");
}

const char *command_indirect_rule(const struct command_args *args)
{
    const char *name = command_name(args);
    if (IS_ONE_OF(name, "awk", "gawk", "mawk", "nawk") && command_any(args, is_awk_command))
        return "awk runs a command";
    if (strcmp(name, "sed") == 0 && runs_from_sed(args))
        return "sed runs a command, or writes a file";
    if (strcmp(name, "tar") == 0 && runs_from_tar(args))
        return "tar runs a command";
    return strcmp(name, "git") == 0 ? git_rule(args) : NULL;
}

// Variables of which other programs take what they run.
static bool is_command_variable(struct span name)
{
    static const char *const names[] = {"PAGER",      "MANPAGER",       "EDITOR",
                                        "VISUAL",     "BROWSER",        "BASH_ENV",
                                        "ENV",        "PATH",           "SHELL",
                                        "LD_PRELOAD", "LD_AUDIT",       "LD_LIBRARY_PATH",
                                        "PS4",        "PROMPT_COMMAND", "LESSOPEN",
                                        "LESSCLOSE",  "SSH_ASKPASS",    "PERL5OPT",
                                        "RUBYOPT",    "NODE_OPTIONS",   "PYTHONSTARTUP",
                                        "GIT_PAGER",  "GIT_EDITOR",     "GIT_SSH_COMMAND",
                                        "GIT_SSH",    "GIT_ASKPASS",    "GIT_PROXY_COMMAND"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_is(name, names[i]))
            return true;
    return span_is(name, "GIT_EXTERNAL_DIFF") || span_is(name, "GIT_SEQUENCE_EDITOR") ||
           span_starts_with(name, "GIT_CONFIG");
}

const char *command_assignment_rule(const struct shell_word *word)
{
    static const char *const hosts[] = {"DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT"};
    size_t len = strcspn(word->text, "=+");
    const char *value = strchr(word->text, '=');
    struct span name = {word->text, len};
    if (!value)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (span_is(name, hosts[i]))
            return "containers of another machine";
    if (is_command_variable(name) && !IS_ONE_OF(value + 1, "", "cat", "true", ":", "less"))
        return "a variable that other programs run, or find them by";
    // Its text, which no shell has expanded yet; some do where they calculate, or show a prompt.
    return strstr(value, "$(") || strchr(value, '`') ? "a command in the text of a variable" : NULL;
}
