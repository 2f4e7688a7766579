#pragma once

#include <stdbool.h>

#include "agent/agent.h"

/*
 * Prints a turn as it goes: text to standard output, tool calls and remarks to standard error, each
 * coloured only where it is a terminal and NO_COLOR is not set.
 *
 * A model's text is not trusted with the terminal: what rune_is_unsafe() names, line feed and
 * tab aside, is shown as U+FFFD there, so that no escape sequence gets through and nothing turns a
 * line around. A pipe gets it all.
 */
struct printer {
    bool out_is_terminal, err_is_terminal, colours;
    bool line_open; // standard output is in the middle of a line
};

void printer_init(struct printer *printer);
void printer_text(struct printer *printer, struct span text);
void printer_call(struct printer *printer, const char *name, const char *arguments);
void printer_result(struct printer *printer, const char *name, bool failed, struct span text);
void printer_end_line(struct printer *printer);
// A sentence on standard error: "hermes: ...".
void printer_say(struct printer *printer, const char *colour, const char *text);

extern const char printer_red[], printer_yellow[], printer_dim[];
