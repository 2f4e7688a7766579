#pragma once

#include <stdbool.h>
#include <stdint.h>

struct store_turn_terms;

// A copy of struct store_turn_terms.
struct turn_terms {
    char *origin;
    char *parent; // NULL: no turn began it
    char *slot;
    char *model;                                     // NULL: not pinned
    char *tools;                                     // NULL: all
    char *reply_channel, *reply_chat, *reply_thread; // NULL: the answer goes nowhere
    char *asker;                                     // NULL: who is in the chat
    int64_t iterations_max, limit_ms;                // 0: as configured
    int priority;                                    // enum chat_priority
    bool unattended, interactive;
};

extern const char turn_child_withheld[]; // tools that no child has

void turn_terms_init(struct turn_terms *terms, const struct store_turn_terms *from);
void turn_terms_finish(struct turn_terms *terms);
