#include <stdarg.h>
#include <stdio.h>

#include "codec/utf8.h"
#include "daemon/page.h"
#include "daemon/probe.h"

enum { LINE_MAX_BYTES = 4096 };

static const struct {
    const char *word, *colour;
} levels[] = {
    [REPORT_OK] = {"ok", "\033[32m"},
    [REPORT_WARNING] = {"warn", "\033[33m"},
    [REPORT_FAILED] = {"FAIL", "\033[31m"},
};

void report_line(struct report *report, enum report_level level, const char *subject,
                 const char *fmt, ...)
{
    report->warnings += level == REPORT_WARNING;
    report->failures += level == REPORT_FAILED;
    printf("%s%-4s%s  %-13s ", page_colour(levels[level].colour), levels[level].word,
           page_colour("\033[0m"), subject);
    // A server's words may be among them.
    char text[LINE_MAX_BYTES];
    BUF_AUTO clean = BUF_INIT((size_t)LINE_MAX_BYTES * UTF8_BYTES_MAX);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    page_clean(span_of(text), true, &clean);
    puts(buf_text(&clean));
    fflush(stdout);
}
