#pragma once

// Of calls that wait for room at a provider, the most urgent first.
enum chat_priority { CHAT_INTERACTIVE, CHAT_API, CHAT_CRON, CHAT_BACKGROUND, CHAT_PRIORITIES };

// The asker, and the work it is for: this decides about priorities and budgets, and stands in the
// ledger. NULL is not said.
struct chat_origin {
    const char *slot;    // "main", "title", "cron", ...: what kind of work
    const char *session; // its id
    const char *job;     // of the schedule
    const char *work;    // the one id of this piece of work
    enum chat_priority priority;
};
