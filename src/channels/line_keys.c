/*
 * A terminal sends a key as a character, a control character or an escape sequence; nothing tells
 * the Escape key from the start of a sequence but the time that passes, and there is no clock here.
 * So an escape waits for the next byte: a letter makes it Alt with that letter, a control character
 * drops it and counts itself. The same holds for every unfinished sequence: the first byte that
 * cannot belong to it ends it and starts afresh, so that Enter and Ctrl-C work in any state.
 *
 * Sequences follow ECMA-48, 5.4: CSI or SS3, parameter bytes, a final byte. String sequences (OSC,
 * DCS) only come as answers, and nothing is asked here, so "ESC ]" is Alt with a bracket.
 *
 * Within a paste only its end and Ctrl-C are commands. Ctrl-C is one so that a lost end, as happens
 * on a serial line, does not leave a terminal that takes no command any more.
 */
#include "channels/line_keys.h"

#include "base/mem.h"
#include "codec/utf8.h"

enum {
    ESCAPE = 0x1b,
    RUBOUT = 0x7f,
    PARAMETERS = 2, // that are looked at
    PASTE_BEGIN = 200,
    PASTE_END = 201,
};

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == RUBOUT;
}

static enum line_command control_command(unsigned char c)
{
    static const unsigned char commands[0x20] = {
        ['A' - '@'] = LINE_DO_HOME,          ['B' - '@'] = LINE_DO_LEFT,
        ['C' - '@'] = LINE_DO_INTERRUPT,     ['D' - '@'] = LINE_DO_DELETE_OR_END,
        ['E' - '@'] = LINE_DO_END,           ['F' - '@'] = LINE_DO_RIGHT,
        ['H' - '@'] = LINE_DO_DELETE_LEFT,   ['J' - '@'] = LINE_DO_ENTER,
        ['K' - '@'] = LINE_DO_KILL_TO_END,   ['L' - '@'] = LINE_DO_CLEAR_SCREEN,
        ['M' - '@'] = LINE_DO_ENTER,         ['N' - '@'] = LINE_DO_NEWER,
        ['P' - '@'] = LINE_DO_OLDER,         ['R' - '@'] = LINE_DO_SEARCH,
        ['U' - '@'] = LINE_DO_KILL_TO_START, ['W' - '@'] = LINE_DO_KILL_BLANK_LEFT,
        ['Y' - '@'] = LINE_DO_YANK,
    };
    return c == RUBOUT ? LINE_DO_DELETE_LEFT : (enum line_command)commands[c];
}

// The numbers between ESC [ and the final byte; what is missing or not a number is 0.
static void read_parameters(struct span sequence, uint64_t numbers[PARAMETERS])
{
    struct span rest = span_skip(sequence, 2);
    for (size_t i = 0; i < PARAMETERS; i++) {
        struct span number = span_cut(&rest, ';');
        numbers[i] = 0;
        span_to_u64(number, &numbers[i]);
    }
}

// `sequence` is without its final byte. Modifiers are 1 + (1 Shift, 2 Alt, 4 Ctrl).
static enum line_command sequence_command(struct span sequence, const uint64_t *numbers,
                                          unsigned char final)
{
    static const unsigned char numbered[][2] = {
        [1] = {LINE_DO_HOME, LINE_DO_HOME}, [3] = {LINE_DO_DELETE_RIGHT, LINE_DO_KILL_WORD_RIGHT},
        [4] = {LINE_DO_END, LINE_DO_END},   [7] = {LINE_DO_HOME, LINE_DO_HOME},
        [8] = {LINE_DO_END, LINE_DO_END},
    };
    static const unsigned char finals[0x80][2] = {
        ['A'] = {LINE_DO_OLDER, LINE_DO_OLDER},      ['B'] = {LINE_DO_NEWER, LINE_DO_NEWER},
        ['C'] = {LINE_DO_RIGHT, LINE_DO_WORD_RIGHT}, ['D'] = {LINE_DO_LEFT, LINE_DO_WORD_LEFT},
        ['H'] = {LINE_DO_HOME, LINE_DO_HOME},        ['F'] = {LINE_DO_END, LINE_DO_END},
    };
    static const unsigned char keypad[0x80] = {
        // the letters are rxvt's arrows with Ctrl
        ['M'] = LINE_DO_ENTER,
        ['c'] = LINE_DO_WORD_RIGHT,
        ['d'] = LINE_DO_WORD_LEFT,
    };
    bool by_word = numbers[1] >= 3 && numbers[1] <= 8;
    if (final == '~')
        return numbers[0] < ARRAY_LEN(numbered) ? numbered[numbers[0]][by_word] : LINE_DO_NOTHING;
    if (sequence.data[1] == 'O' && keypad[final])
        return keypad[final];
    return finals[final][by_word];
}

static void finish_sequence(struct line_keys *keys, unsigned char final, struct line_key *key)
{
    struct span sequence = {keys->pending, keys->pending_len};
    uint64_t numbers[PARAMETERS];
    read_parameters(sequence, numbers);
    keys->pending_len = 0;
    bool function_key = sequence.len == 3 && sequence.data[2] == '['; // Linux: ESC [ [ A
    if (function_key)
        return;
    if (final == '~' && (numbers[0] == PASTE_BEGIN || numbers[0] == PASTE_END))
        keys->pasting = numbers[0] == PASTE_BEGIN;
    else if (!keys->pasting)
        key->command = sequence_command(sequence, numbers, final);
}

static void keep(struct line_keys *keys, unsigned char c)
{
    if (keys->pending_len < sizeof keys->pending)
        keys->pending[keys->pending_len++] = (char)c;
    else
        keys->pending_len = 0;
}

// Each of these takes one byte, or gives up what is pending and returns false for the byte to be
// tried again.

static bool take_character(struct line_keys *keys, unsigned char c, struct line_key *key)
{
    size_t escape = keys->pending_len && keys->pending[0] == ESCAPE; // with Alt: swallowed
    keep(keys, c);
    struct span bytes = span_skip(span_make(keys->pending, keys->pending_len), escape);
    if (utf8_incomplete_tail(bytes) == bytes.len)
        return true;
    size_t len = bytes.len;
    keys->pending_len = 0;
    if (utf8_valid(bytes)) {
        utf8_decode(bytes, &key->rune);
        key->command = escape ? LINE_DO_NOTHING : LINE_DO_INSERT;
        return true;
    }
    return len == 1;
}

static bool take_alt(struct line_keys *keys, unsigned char c, struct line_key *key)
{
    static const unsigned char commands[0x80] = {
        ['b'] = LINE_DO_WORD_LEFT,
        ['f'] = LINE_DO_WORD_RIGHT,
        ['d'] = LINE_DO_KILL_WORD_RIGHT,
        [RUBOUT] = LINE_DO_KILL_WORD_LEFT,
        ['H' - '@'] = LINE_DO_KILL_WORD_LEFT,
    };
    if (c == '[' || c == 'O') {
        keep(keys, c);
        return true;
    }
    if (c >= 0x80)
        return take_character(keys, c, key);
    key->command = keys->pasting ? LINE_DO_NOTHING : commands[c];
    keys->pending_len = 0;
    return !is_control(c) || key->command != LINE_DO_NOTHING;
}

static bool take_sequence(struct line_keys *keys, unsigned char c, struct line_key *key)
{
    bool parameter = c >= 0x20 && c <= 0x3f;
    bool second_bracket = keys->pending_len == 2 && keys->pending[1] == '[' && c == '[';
    if (is_control(c) || c >= 0x80) {
        keys->pending_len = 0;
        return false;
    }
    if (parameter || second_bracket)
        keep(keys, c);
    else
        finish_sequence(keys, c, key);
    return true;
}

static void take_control(struct line_keys *keys, unsigned char c, struct line_key *key)
{
    bool repeated = c == '\n' && keys->after_return;
    keys->after_return = c == '\r';
    if (c == ESCAPE)
        keep(keys, c);
    else if (repeated)
        return;
    else if (!keys->pasting || c == 'C' - '@')
        key->command = control_command(c);
    else if (c == '\r' || c == '\n' || c == '\t')
        *key = (struct line_key){LINE_DO_INSERT, c == '\t' ? '\t' : '\n'};
}

static bool take(struct line_keys *keys, unsigned char c, struct line_key *key)
{
    bool sequence = keys->pending_len > 0 && keys->pending[0] == ESCAPE;
    if (sequence && keys->pending_len == 1)
        return take_alt(keys, c, key);
    if (sequence && (unsigned char)keys->pending[1] < 0x80)
        return take_sequence(keys, c, key);
    if (keys->pending_len > 0 || !is_control(c)) {
        keys->after_return = false;
        return take_character(keys, c, key);
    }
    take_control(keys, c, key);
    return true;
}

bool line_keys_next(struct line_keys *keys, struct span *input, struct line_key *ret_key)
{
    struct line_key key = {LINE_DO_NOTHING, 0};
    while (input->len > 0 && key.command == LINE_DO_NOTHING) {
        if (take(keys, (unsigned char)input->data[0], &key))
            *input = span_skip(*input, 1);
    }
    if (key.command == LINE_DO_NOTHING)
        return false;
    if (key.command == LINE_DO_INTERRUPT && keys->pasting) {
        keys->pasting = false;
        *input = span_skip(*input, input->len);
    }
    *ret_key = key;
    return true;
}
