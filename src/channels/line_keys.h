#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * What the keys of a terminal mean to a line editor: decodes the bytes of xterm, VT, Linux console
 * and rxvt keyboards. Bytes may come in any pieces.
 */
enum line_command {
    LINE_DO_NOTHING,
    LINE_DO_INSERT, // the rune: printable, or line feed or tab out of a paste
    LINE_DO_ENTER,
    LINE_DO_INTERRUPT,
    LINE_DO_DELETE_OR_END,
    LINE_DO_DELETE_LEFT,
    LINE_DO_DELETE_RIGHT,
    LINE_DO_LEFT,
    LINE_DO_RIGHT,
    LINE_DO_WORD_LEFT,
    LINE_DO_WORD_RIGHT,
    LINE_DO_HOME,
    LINE_DO_END,
    LINE_DO_KILL_TO_START,
    LINE_DO_KILL_TO_END,
    LINE_DO_KILL_BLANK_LEFT, // back to the last blank
    LINE_DO_KILL_WORD_LEFT,
    LINE_DO_KILL_WORD_RIGHT,
    LINE_DO_YANK,
    LINE_DO_CLEAR_SCREEN,
    LINE_DO_OLDER,
    LINE_DO_NEWER,
    LINE_DO_SEARCH,
};

enum { LINE_SEQUENCE_MAX = 32 }; // bytes of an escape sequence

struct line_key {
    enum line_command command;
    uint32_t rune; // of LINE_DO_INSERT
};

struct line_keys {                   // zeroed to begin with
    char pending[LINE_SEQUENCE_MAX]; // the bytes of a key that is not complete
    size_t pending_len;
    bool pasting;
    bool after_return; // so that a line feed belongs to the carriage return before it
};

// Takes the next key off the front of *input; false when that is used up.
bool line_keys_next(struct line_keys *keys, struct span *input, struct line_key *ret_key);
