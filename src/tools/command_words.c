#include <string.h>

#include "base/mem.h"
#include "tools/command_internal.h"

// How the words of a command are looked at, whatever program it is.

const char *command_base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

const char *command_name(const struct command_args *args)
{
    return command_base_of(args->words->text);
}

bool command_is_loader(const struct command_args *args)
{
    const char *name = command_name(args);
    return (command_begins(name, "ld-") || command_begins(name, "ld.so") ||
            command_begins(name, "ld64.so")) &&
           strstr(name, ".so");
}

bool command_is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, list[i]) == 0)
            return true;
    return false;
}

bool command_begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool command_is_option(const char *word)
{
    return word[0] == '-' && word[1];
}

// "-rf" has the short options r and f.
bool command_has_short(const struct command_args *args, const char *letters)
{
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text;
        if (strcmp(word, "--") == 0)
            break;
        if (command_is_option(word) && word[1] != '-' && strpbrk(word + 1, letters))
            return true;
    }
    return false;
}

// A long option may be cut short: --recurs.
bool command_has_long(const struct command_args *args, const char *option, size_t shortest)
{
    for (size_t i = 1; i < args->count; i++) {
        const char *word = args->words[i].text;
        size_t len = strcspn(word, "=");
        if (strcmp(word, "--") == 0)
            break;
        if (len >= shortest && command_begins(word, "--") && strncmp(word, option, len) == 0)
            return true;
    }
    return false;
}

bool command_has_word(const struct command_args *args, const char *word)
{
    for (size_t i = 1; i < args->count; i++)
        if (strcmp(args->words[i].text, word) == 0)
            return true;
    return false;
}

bool command_any(const struct command_args *args, bool (*is)(const char *word))
{
    for (size_t i = 1; i < args->count; i++)
        if (is(args->words[i].text))
            return true;
    return false;
}
