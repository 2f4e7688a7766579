#pragma once

#include <stdbool.h>

#include "agent/turn_event.h"
#include "base/error.h"
#include "base/span.h"

/*
 * The console: one question with its answer, or a conversation in a terminal. It is given keys and
 * signals and prints; where they come from is its owner's business, and so is who answers. Answers
 * go to standard output and everything else to standard error.
 */
struct console;
struct loop;

// Who answers: a dispatcher in this process, or one that is asked over a socket. A backend that is
// lost in mid-answer ends the turn as failed, with a sentence.
struct console_backend {
    // As dispatcher_say(): the answer, a command's as well, comes as events.
    int (*say)(void *context, struct span text, turn_event_fn *on_event, void *event_context,
               struct error *err);
    void (*stop)(void *context); // ends the answer that is on its way, with its last event
    void *context;
};

enum console_exit { // of the process
    CONSOLE_OK = 0,
    CONSOLE_FAILED = 1,
    CONSOLE_USAGE = 2,
    CONSOLE_CANCELLED = 130, // 128 + SIGINT, as shells expect
};

enum {
    CONSOLE_MESSAGE_MAX = 1024 * 1024, // bytes of one message
    CONSOLE_AHEAD_MAX = 64 * 1024,     // bytes typed while an answer comes in
};

struct console_options {
    struct loop *loop;                                        // borrowed
    struct console_backend backend;                           // what it points at is borrowed
    unsigned columns;                                         // of the terminal
    void (*on_exit)(void *context, enum console_exit status); // last, exactly once
    void *context;
};

struct console *console_create(const struct console_options *options);
void console_destroy(struct console *console); // no callback comes after this; accepts NULL

// One message; the console exits with its answer.
void console_ask(struct console *console, struct span message);

// Begins a conversation, which ends with /quit or the end of input.
void console_converse(struct console *console);
void console_keys(struct console *console, struct span bytes); // from a terminal in raw mode
void console_resize(struct console *console, unsigned columns);
void console_hang_up(struct console *console); // no more keys will come

// Ctrl-C: cancels what runs; in a conversation the conversation stays.
void console_interrupt(struct console *console);
