#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/json.h"

/*
 * What getUpdates brought, as messages. It comes from the network: every size has a bound, what is
 * odd is left out, and what is left out still counts for the offset.
 */
enum {
    TELEGRAM_BATCH_MAX = 100,         // updates that are taken of one answer, the lowest ids first
    TELEGRAM_UPDATES_MAX = 1024,      // of one answer; more is not an answer
    TELEGRAM_MESSAGE_MAX = 64 * 1024, // bytes of one message's text
    TELEGRAM_QUOTE_MAX = 500,         // characters of the message that is replied to
    TELEGRAM_CUT_UNITS = 4000,        // from here on a client has probably cut a longer text
    TELEGRAM_BUTTON_MAX = 64,         // bytes of a button's data, as the Bot API has it
    TELEGRAM_NUMBER_MAX = 24,         // bytes of an id as text, with the NUL
};

enum telegram_update_kind {
    TELEGRAM_NOTHING,   // nothing that could be answered
    TELEGRAM_ELSEWHERE, // a message in a channel, or a group that is not answered
    TELEGRAM_MESSAGE,   // somebody wrote, privately or in a group
    TELEGRAM_EDIT,      // and changed it later; the text is the new one
    TELEGRAM_BUTTON,    // somebody pressed one under a message of ours; the text is its data
};

struct telegram_update {
    int64_t id;
    enum telegram_update_kind kind;
    int64_t chat, user;
    struct {
        char external[2 * TELEGRAM_NUMBER_MAX]; // of a message's edits that of the message
        char chat[TELEGRAM_NUMBER_MAX], user[TELEGRAM_NUMBER_MAX];
        char thread[TELEGRAM_NUMBER_MAX]; // the topic's message_thread_id; "": none
        char message[TELEGRAM_NUMBER_MAX];
        char press[64]; // of TELEGRAM_BUTTON, to be answered
    } ids;
    char name[128], username[64]; // of the sender; "" when not given
    int64_t sent_ms;
    bool cut;
    bool tainted;       // a part of the text is not the sender's: quoted, or forwarded
    bool grouped;       // it is a group: the text begins with who wrote it, unless it is a command
    int64_t replied_to; // of a group: who wrote what it replies to; 0: nobody
    char *plain;        // owned, of a group: the text without who wrote it, or a quote; else NULL
    char *buttons;      // owned, of TELEGRAM_BUTTON: the rows that stay of those it showed, as JSON
    char *text;         // owned; NULL unless TELEGRAM_MESSAGE, TELEGRAM_EDIT or TELEGRAM_BUTTON
    char *media;        // owned: what is to be fetched (telegram_media.h); NULL: nothing
    char hash[24];      // JSON; another one when the text is another, or the file
};

struct telegram_updates {
    struct telegram_update *rows; // owned; by id, each id once
    size_t count;
};

// Negative when `result` is no list of updates.
int telegram_updates_read(struct json_value result, struct telegram_updates *ret_updates,
                          struct error *err);
// On the heap: the rows of an inline keyboard but for those with a button of that data.
char *telegram_rows_without(struct span rows, const char *data);
void telegram_updates_finish(struct telegram_updates *updates); // accepts zeroed
