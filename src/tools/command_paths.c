#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tools/command_internal.h"

// Which files a command writes, and which of them matter.

// Without what a path may have and mean the same: "//", "/./", "a/../", a "/" or "/." at the end.
static void normalise(const char *path, struct buf *out)
{
    bool absolute = *path == '/';
    while (*path) {
        size_t len = strcspn(path, "/");
        bool up = len == 2 && command_begins(path, "..");
        if (up) {
            const char *slash = out->len ? memrchr(out->data, '/', out->len) : NULL;
            buf_truncate(out, slash ? (size_t)(slash - out->data) : 0);
        } else if (len && !(len == 1 && *path == '.'))
            buf_printf(out, "%s%.*s", out->len || absolute ? "/" : "", (int)len, path);
        path += len + (path[len] == '/');
    }
    if (absolute && out->len == 0)
        buf_append_char(out, '/');
}

bool command_is_device(const char *path)
{
    BUF_AUTO text = BUF_INIT(SHELL_LINE_MAX);
    normalise(path, &text);
    const char *name = buf_text(&text) + strlen("/dev/");
    return command_begins(buf_text(&text), "/dev/") && !command_begins(name, "fd/") &&
           !command_begins(name, "pts/") && !command_begins(name, "shm/") &&
           !command_begins(name, "tcp/") && !command_begins(name, "udp/") &&
           !IS_ONE_OF(name, "null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout",
                      "stderr", "ptmx");
}

// The root, a directory of the system or of a user, or all that is in it.
bool command_is_root(const char *path)
{
    static const char *const roots[] = {"/",     "/bin",   "/boot", "/dev",  "/etc",  "/home",
                                        "/lib",  "/lib64", "/opt",  "/proc", "/root", "/run",
                                        "/sbin", "/srv",   "/sys",  "/usr",  "/var",  "~",
                                        "$HOME", "/mnt",   "/media"};
    BUF_AUTO text = BUF_INIT(SHELL_LINE_MAX);
    normalise(path, &text);
    while (text.len > 1 && strchr("*./", text.data[text.len - 1])) // "/*" is all that is in it
        buf_truncate(&text, text.len - 1);
    return command_is_one_of(buf_text(&text), roots, ARRAY_LEN(roots));
}

bool command_is_instruction_file(const char *path)
{
    static const char *const names[] = {"AGENTS.md", "SOUL.md", "CLAUDE.md"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcasecmp(command_base_of(path), names[i]) == 0)
            return true;
    return false;
}

bool command_is_env_file(const char *path)
{
    return strncasecmp(command_base_of(path), ".env", 4) == 0;
}

bool command_writes_protected(const char *path)
{
    BUF_AUTO buffer = BUF_INIT(SHELL_LINE_MAX);
    normalise(path, &buffer);
    const char *text = buf_text(&buffer);
    return command_begins(text, "/etc/") || strcmp(text, "/etc") == 0 || strstr(text, "/.ssh") ||
           command_begins(text, ".ssh/") || strstr(text, "/.hermes/") || strstr(text, "/sudoers") ||
           command_is_instruction_file(text) || command_is_env_file(text);
}

// Could an expansion make it one? Not when what it ends with says otherwise: "$f.new", "$x/a.log".
static bool may_become_protected(const char *path)
{
    const char *base = command_base_of(path), *dot = strrchr(base, '.');
    return !dot || dot[1] == '\0' || strcasecmp(dot, ".md") == 0 || strchr(dot, '$') ||
           command_is_env_file(dot);
}

static bool matches_protected(const char *pattern)
{
    static const char *const names[] = {"AGENTS.md", "SOUL.md",    "CLAUDE.md",
                                        ".env",      ".env.local", ".env.production"};
    const char *base = command_base_of(pattern);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (fnmatch(base, names[i], FNM_CASEFOLD | FNM_PERIOD) == 0)
            return true;
    return strchr(pattern, '{') && may_become_protected(pattern); // {AGENTS,x}.md
}

// `text` is the word's, or what stands behind the "of=" in it.
static bool may_write(const struct shell_word *word, const char *text)
{
    return command_writes_protected(text) || (word->open && may_become_protected(text)) ||
           (word->pattern && matches_protected(text));
}

bool command_may_write_protected(const struct shell_word *word)
{
    return may_write(word, word->text);
}

// dd of=..., sort -o ... and its like, with the option's own word or behind it.
static bool writes_by_option(const struct command_args *args)
{
    static const struct {
        const char *program, *option;
    } known[] = {{"dd", "of="},
                 {"sort", "-o"},
                 {"sort", "--output="},
                 {"curl", "-o"},
                 {"wget", "-O"},
                 {"curl", "--output="},
                 {"curl", "--output"},
                 {"sort", "--output"},
                 {"patch", "-o"},
                 {"gcc", "-o"},
                 {"cp", "-t"},
                 {"mv", "-t"},
                 {"install", "-t"},
                 {"ln", "-t"},
                 {"shuf", "-o"},
                 {"wget", "-o"},
                 {"wget", "--output-document="}};
    const char *name = command_name(args);
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        for (size_t i = 1; strcmp(name, known[k].program) == 0 && i < args->count; i++) {
            const struct shell_word *word = &args->words[i];
            const char *option = known[k].option, *value = word->text + strlen(option);
            if (!command_begins(word->text, option))
                continue;
            if (*value && may_write(word, value))
                return true;
            if (!*value && i + 1 < args->count && command_may_write_protected(word + 1))
                return true;
        }
    return false;
}

// Of a program in whose words the first that is no option is a script, unless options bring it.
static size_t first_file(const struct command_args *args)
{
    size_t first = 1;
    if (command_has_short(args, "ef") || command_has_long(args, "--expression", 5))
        return first;
    while (first < args->count && command_is_option(args->words[first].text))
        first++;
    return first + 1;
}

static bool any_may_write(const struct command_args *args, size_t first)
{
    for (size_t i = first; i < args->count; i++)
        if (!command_is_option(args->words[i].text) && command_may_write_protected(&args->words[i]))
            return true;
    return false;
}

static bool removes_protected(const struct command_args *args)
{
    for (size_t i = 1; i < args->count; i++) {
        const struct shell_word *word = &args->words[i];
        bool all = strcmp(command_base_of(word->text), "*") == 0;
        if (command_writes_protected(word->text) ||
            (word->pattern && !all && matches_protected(word->text)))
            return true;
    }
    return false;
}

bool command_overwrites_protected(const struct command_args *args)
{
    const char *name = command_name(args);
    bool in_place = IS_ONE_OF(name, "sed", "perl", "ruby") &&
                    (command_has_short(args, "i") || command_has_long(args, "--in-place", 4));
    if (in_place && any_may_write(args, first_file(args)))
        return true;
    if (IS_ONE_OF(name, "tee", "sponge") && any_may_write(args, 1))
        return true;
    if (IS_ONE_OF(name, "truncate", "rm", "unlink", "shred", "touch"))
        return removes_protected(args);
    if (writes_by_option(args))
        return true;
    if (!IS_ONE_OF(name, "cp", "mv", "install", "ln", "rsync", "scp") || args->count < 2)
        return false;
    const struct shell_word *last = &args->words[args->count - 1];
    for (const struct shell_word *word = args->words + 1; word < last; word++)
        if (!command_is_option(word->text) && // into a directory, it keeps its name
            (command_is_instruction_file(word->text) || command_is_env_file(word->text)))
            return true;
    return command_may_write_protected(last);
}
