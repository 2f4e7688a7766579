#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tools/command_internal.h"

// What is known of programs. The names of rules are those of hermes-agent where it has the rule, as
// a `command_allowlist` of its holds them.

/* Never */

static bool deletes_tree(const struct command_args *args)
{
    return strcmp(command_name(args), "rm") == 0 &&
           (command_has_short(args, "rR") || command_has_long(args, "--recursive", 3));
}

static bool deletes_root(const struct command_args *args)
{
    if (strcmp(command_name(args), "find") == 0)
        return command_has_word(args, "-delete") && args->count > 1 &&
               command_is_root(args->words[1].text);
    return deletes_tree(args) &&
           (command_has_long(args, "--no-preserve-root", 5) || command_any(args, command_is_root));
}

static bool makes_file_system(const struct command_args *args)
{
    const char *name = command_name(args);
    return command_begins(name, "mkfs") ||
           IS_ONE_OF(name, "mke2fs", "mkswap", "wipefs", "blkdiscard", "mkntfs", "mkdosfs");
}

static bool formats_device(const struct command_args *args)
{
    return makes_file_system(args) && command_any(args, command_is_device);
}

static bool is_output_device(const char *word)
{
    return command_begins(word, "of=") && command_is_device(word + 3);
}

static bool copies_onto_device(const struct command_args *args)
{
    const char *name = command_name(args);
    if (strcmp(name, "dd") == 0)
        return command_any(args, is_output_device);
    if (IS_ONE_OF(name, "tee", "shred"))
        return command_any(args, command_is_device);
    return IS_ONE_OF(name, "cp", "mv", "install") && args->count > 1 &&
           command_is_device(args->words[args->count - 1].text);
}

/* Asks */

static bool deletes_absolute(const struct command_args *args)
{
    if (strcmp(command_name(args), "rm") != 0)
        return false;
    for (size_t i = 1; i < args->count; i++)
        if (args->words[i].text[0] == '/' || args->words[i].text[0] == '~')
            return true;
    return false;
}

static bool is_open_mode(const char *word)
{
    size_t digits = strspn(word, "01234567");
    if (digits >= 3 && !word[digits])
        return strchr("2367", word[digits - 1]) != NULL;
    const char *plus = strpbrk(word, "+=");
    if (!plus || !strchr(plus, 'w'))
        return false;
    for (const char *who = word; who < plus; who++)
        if (*who == 'o' || *who == 'a')
            return true;
    return plus == word;
}

static bool opens_to_all(const struct command_args *args)
{
    return strcmp(command_name(args), "chmod") == 0 && command_any(args, is_open_mode);
}

static bool is_root_owner(const char *word)
{
    return strcmp(word, "root") == 0 || command_begins(word, "root:");
}

static bool gives_to_root(const struct command_args *args)
{
    return strcmp(command_name(args), "chown") == 0 &&
           (command_has_short(args, "R") || command_has_long(args, "--recursive", 3)) &&
           command_any(args, is_root_owner);
}

static bool is_input(const char *word)
{
    return command_begins(word, "if=");
}

static bool copies_disk(const struct command_args *args)
{
    return strcmp(command_name(args), "dd") == 0 && command_any(args, is_input);
}

// `first` and `second` as words behind each other; a NULL ends the search at the first.
static const char *find_words(const char *text, const char *first, const char *second)
{
    for (const char *at = text; (at = strcasestr(at, first)); at++) {
        const char *rest = at + strlen(first);
        size_t blanks = strspn(rest, " \t\n");
        bool begins_word = at == text || strchr(" \t\n;\"'`(", at[-1]);
        if (!second && begins_word && (blanks || !*rest))
            return at;
        if (second && begins_word && blanks &&
            strncasecmp(rest + blanks, second, strlen(second)) == 0)
            return at;
    }
    return NULL;
}

static bool is_destructive_sql(const char *text)
{
    static const char *const kinds[] = {"table", "database", "schema", "index", "view", "user"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (find_words(text, "drop", kinds[i]))
            return true;
    const char *delete = find_words(text, "delete", "from");
    return find_words(text, "truncate", "table") || (delete &&!find_words(delete, "where", NULL));
}

bool command_talks_sql(const struct shell_command *command)
{
    static const char *const clients[] = {"psql",   "mysql",  "mariadb", "sqlite3",
                                          "sqlcmd", "duckdb", "usql"};
    for (size_t i = 0; i < command->count; i++) // of whatever runs it: sudo, docker exec
        if (command_is_one_of(command_base_of(command->words[i].text), clients, ARRAY_LEN(clients)))
            return true;
    return false;
}

bool command_destroys_sql(const struct shell_command *command)
{
    bool client = command_talks_sql(command);
    for (size_t i = 1; i < command->count; i++)
        if (is_destructive_sql(command->words[i].text) ||
            (client && find_words(command->words[i].text, "truncate", NULL)))
            return true;
    return command->input && is_destructive_sql(command->input);
}

static bool stops_service(const struct command_args *args)
{
    const char *name = command_name(args);
    static const char *const verbs[] = {"stop", "restart", "disable", "mask", "kill", "isolate"};
    for (size_t i = 1; IS_ONE_OF(name, "systemctl", "service", "rc-service") && i < args->count;
         i++)
        if (command_is_one_of(args->words[i].text, verbs, ARRAY_LEN(verbs)))
            return true;
    return IS_ONE_OF(name, "shutdown", "reboot", "poweroff", "halt", "telinit", "init");
}

// Which ones is known only then.
static bool empties_files(const struct command_args *args)
{
    for (size_t i = 1; strcmp(command_name(args), "truncate") == 0 && i < args->count; i++)
        if (args->words[i].pattern || args->words[i].open)
            return true;
    return false;
}

static bool kills_all(const struct command_args *args)
{
    const char *name = command_name(args);
    if (strcmp(name, "kill") == 0)
        for (size_t i = 2; i < args->count; i++)
            if (strcmp(args->words[i].text, "-1") == 0)
                return true;
    return IS_ONE_OF(name, "killall5");
}

static bool names_this_program(const char *word)
{
    return strcasestr(word, "hermes") || strcasestr(word, "gateway");
}

static bool kills_hard(const struct command_args *args)
{
    const char *name = command_name(args);
    if (IS_ONE_OF(name, "pgrep", "pidof"))
        return command_any(args, names_this_program);
    if (!IS_ONE_OF(name, "pkill", "killall", "skill"))
        return false;
    return command_has_word(args, "-9") || command_has_word(args, "-KILL") ||
           command_has_word(args, "-SIGKILL") || command_has_word(args, "9") ||
           command_has_word(args, "KILL") || command_any(args, names_this_program);
}

static bool controls_this_program(const struct command_args *args)
{
    const char *name = command_name(args);
    return strcmp(name, "hermes") == 0 && args->count > 1 &&
           IS_ONE_OF(args->words[1].text, "gateway", "run", "router", "pairing", "update");
}

static bool makes_alias(const struct command_args *args)
{
    return IS_ONE_OF(command_name(args), "alias", "unalias") && args->count > 1;
}

bool command_is_shell(const char *name)
{
    return IS_ONE_OF(name, "sh", "bash", "zsh", "ksh", "dash", "ash", "fish", "csh", "tcsh", "mksh",
                     "rbash");
}

static bool runs_shell_text(const struct command_args *args)
{
    const char *name = command_name(args);
    return (command_is_shell(name) &&
            (command_has_short(args, "c") || command_has_long(args, "--command", 4))) ||
           IS_ONE_OF(name, "eval");
}

static bool is_interpreter(const char *name)
{
    return command_begins(name, "python") || command_begins(name, "perl") ||
           command_begins(name, "ruby") || command_begins(name, "php") ||
           command_begins(name, "lua") ||
           IS_ONE_OF(name, "node", "nodejs", "bun", "deno", "pypy", "pypy3", "tclsh", "osascript");
}

static bool runs_script_text(const struct command_args *args)
{
    const char *name = command_name(args);
    if (!is_interpreter(name))
        return false;
    const char *letters = command_begins(name, "python") || command_begins(name, "pypy") ? "c"
                          : command_begins(name, "php")                                  ? "r"
                          : IS_ONE_OF(name, "node", "nodejs", "bun")                     ? "ep"
                                                                                         : "eE";
    return command_has_short(args, letters) || command_has_long(args, "--eval", 4) ||
           command_has_long(args, "--print", 4) ||
           (strcmp(name, "deno") == 0 && command_has_word(args, "eval"));
}

// With a file of its own, what it is piped is not its script.
bool command_reads_script(const struct command_args *args)
{
    const char *name = command_name(args);
    bool fed = args->whole && (args->whole->piped || args->whole->input);
    if (!fed || !(command_is_shell(name) || is_interpreter(name)))
        return false;
    for (size_t i = 1; i < args->count; i++)
        if (!command_is_option(args->words[i].text) && strcmp(args->words[i].text, "-") != 0)
            return command_has_short(args, "s") && command_is_shell(name);
    return true;
}

static bool runs_process(const struct command_args *args)
{
    const char *name = command_name(args);
    if (!command_is_shell(name) && !is_interpreter(name) && !IS_ONE_OF(name, "source", "."))
        return false;
    for (size_t i = 1; i < args->count; i++)
        if (args->words[i].processes)
            return true;
    for (size_t i = 0; args->whole && i < args->whole->redirect_count; i++)
        if (args->whole->redirects[i].target.processes)
            return true;
    return false;
}

static bool is_rm(const char *word)
{
    return strcmp(command_base_of(word), "rm") == 0;
}

static bool feeds_rm(const struct command_args *args)
{
    return IS_ONE_OF(command_name(args), "xargs", "parallel") && command_any(args, is_rm);
}

static bool finds_and_deletes(const struct command_args *args)
{
    if (strcmp(command_name(args), "find") != 0)
        return false;
    return command_has_word(args, "-delete") || command_any(args, is_rm);
}

static bool stops_containers(const struct command_args *args)
{
    static const char *const verbs[] = {"stop", "kill", "restart", "rm", "down", "prune", "pause"};
    const char *name = command_name(args);
    for (size_t i = 1;
         IS_ONE_OF(name, "docker", "podman", "docker-compose", "nerdctl") && i < args->count; i++)
        if (command_is_one_of(args->words[i].text, verbs, ARRAY_LEN(verbs)))
            return true;
    return false;
}

static bool reaches_other_containers(const struct command_args *args)
{
    static const char *const options[] = {"-H",           "--host",   "--context", "--url",
                                          "--connection", "--remote", "-c"};
    const char *name = command_name(args);
    for (size_t i = 1; IS_ONE_OF(name, "docker", "podman") && i < args->count; i++)
        for (size_t j = 0; j < ARRAY_LEN(options) && command_is_option(args->words[1].text); j++)
            if (command_begins(args->words[i].text, options[j]))
                return true;
    return false;
}

struct rule {
    const char *name;
    bool (*holds)(const struct command_args *args);
};

static const struct rule never[] = {
    {"delete the root filesystem", deletes_root},
    {"format filesystem", formats_device},
    {"write to a device", copies_onto_device},
};

static const struct rule asks[] = {
    {"recursive delete", deletes_tree},
    {"delete in root path", deletes_absolute},
    {"find -exec rm or -delete", finds_and_deletes},
    {"xargs with rm", feeds_rm},
    {"world/other-writable permissions", opens_to_all},
    {"recursive chown to root", gives_to_root},
    {"format filesystem", makes_file_system},
    {"disk copy", copies_disk},
    {"overwrite a protected file", command_overwrites_protected},
    {"stop/restart system service", stops_service},
    {"kill all processes", kills_all},
    {"force kill processes", kills_hard},
    {"empty files", empties_files},
    {"alias", makes_alias},
    {"control of this program", controls_this_program},
    {"shell command via -c/-lc flag", runs_shell_text},
    {"script execution via -e/-c flag", runs_script_text},
    {"program started by the loader", command_is_loader},
    {"pipe content to an interpreter", command_reads_script},
    {"execute remote script via process substitution", runs_process},
    {"stop/restart containers", stops_containers},
    {"containers of another machine", reaches_other_containers},
};

static const char *find_rule(const struct rule *rules, size_t count,
                             const struct command_args *args)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i].holds(args))
            return rules[i].name;
    return NULL;
}

const char *command_never_rule(const struct command_args *args)
{
    return find_rule(never, ARRAY_LEN(never), args);
}

const char *command_asks_rule(const struct command_args *args)
{
    const char *rule = find_rule(asks, ARRAY_LEN(asks), args);
    return rule ? rule : command_indirect_rule(args);
}
