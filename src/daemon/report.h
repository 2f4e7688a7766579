#pragma once

#include <stdbool.h>

/*
 * What `hermes doctor` prints: a line a finding, each with what to do about it. Lines go to
 * standard output at once, since some checks take a while.
 */
enum report_level { REPORT_OK, REPORT_WARNING, REPORT_FAILED };

struct report {
    bool colours;
    unsigned warnings, failures;
};

void report_init(struct report *report);
void report_line(struct report *report, enum report_level level, const char *subject,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
