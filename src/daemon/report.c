#include "daemon/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *word, *colour;
} levels[] = {
    [REPORT_OK] = {"ok", "\033[32m"},
    [REPORT_WARNING] = {"warn", "\033[33m"},
    [REPORT_FAILED] = {"FAIL", "\033[31m"},
};

void report_init(struct report *report)
{
    const char *no_color = getenv("NO_COLOR");
    *report = (struct report){.colours = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
}

void report_line(struct report *report, enum report_level level, const char *subject,
                 const char *fmt, ...)
{
    report->warnings += level == REPORT_WARNING;
    report->failures += level == REPORT_FAILED;
    printf("%s%-4s%s  %-13s ", report->colours ? levels[level].colour : "", levels[level].word,
           report->colours ? "\033[0m" : "", subject);
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}
