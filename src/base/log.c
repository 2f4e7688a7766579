#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/colour.h"

enum { LINE_MAX_BYTES = 2048 };

static enum log_level max_level = LOG_INFO;

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_ERROR] = {"error", "\033[31m"},
    [LOG_WARNING] = {"warning", "\033[33m"},
    [LOG_INFO] = {"info", ""},
    [LOG_DEBUG] = {"debug", "\033[2m"},
};

void log_set_level(enum log_level level)
{
    max_level = level;
}

bool log_parse_level(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(levels[i].name, name) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

// What others wrote may stand in a line; none of it may move a terminal's cursor.
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > max_level)
        return;
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    clean(text);

    const char *on = colour_wanted(STDERR_FILENO) ? levels[level].colour : "";
    const char *off = *on ? "\033[0m" : "";
    if (level == LOG_INFO)
        fprintf(stderr, "hermes: %s\n", text);
    else
        fprintf(stderr, "hermes: %s%s:%s %s\n", on, levels[level].name, off, text);
}
