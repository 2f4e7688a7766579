#pragma once

#include "tools/tool.h"

/*
 * The tool by which a model asks whoever it works for. It runs nothing: the agent asks in its place
 * and waits, and what was said is the result. Called, it says why nobody was asked.
 */
enum {
    CLARIFY_CHOICES_MAX = 4,
    CLARIFY_QUESTION_MAX = 2000, // bytes
    CLARIFY_CHOICE_MAX = 300,    // bytes
    CLARIFY_LABEL_MAX = 60,      // bytes of a choice on a button
    CLARIFY_TEXT_MAX = 2 * (CLARIFY_QUESTION_MAX + CLARIFY_CHOICES_MAX * CLARIFY_CHOICE_MAX),
};

extern const char clarify_tool_name[];

struct clarification {
    char *question; // owned
    char *choices[CLARIFY_CHOICES_MAX];
    size_t count;
};

// Negative, with a sentence for whoever chose the arguments: it asks nothing.
int clarify_read(struct span arguments, struct clarification *ret, struct error *err);
void clarify_finish(struct clarification *clarification); // accepts zeroed

// The question, and its choices by number, a line each.
void clarify_write(const struct clarification *clarification, struct buf *out);
// Buttons behind those that are there, an even number: {"text", "data"}, "/answer CODE NUMBER".
void clarify_write_buttons(const struct clarification *clarification, const char *code,
                           struct buf *out);
// The choice of that number, or whose text it is; else what was said.
struct span clarify_choose(const struct clarification *clarification, struct span said);
