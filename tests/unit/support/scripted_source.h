#pragma once

#include "tools/tool_source.h"

/*
 * A source of tools as a server would be one: it comes and goes while calls run, and answers when
 * the test says so, or never. Its tools are "at_once", "no" (refuses), and those that wait for the
 * test: "slow" (not repeatable), "look" (repeatable, tainted), "ping" (lets something out) and
 * "ring" (needs approval).
 */
enum { SCRIPTED_CALLS_MAX = 16 };
#define SCRIPTED_SCHEMA "{\"type\":\"object\",\"properties\":{}}"

struct scripted_source {
    struct tool_source source;
    const struct tool_description *tools; // ends with one that has no name
    int started, cancelled;
    struct tool_run *runs[SCRIPTED_CALLS_MAX]; // by number; NULL: ended, or cancelled
    bool tainted[SCRIPTED_CALLS_MAX];
    char arguments[SCRIPTED_CALLS_MAX][64];
};

extern const struct tool_description scripted_tools[];

void scripted_source_init(struct scripted_source *source, const struct tool_description *tools);
// As a server's answer to call `number`, from 0; whoever cancelled it hears nothing of it.
void scripted_source_answer(struct scripted_source *source, int number, const char *text,
                            bool failed);
