#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * What came in from the channels. A message is here before its sender's server is told that it
 * arrived, and stays unhandled until the transaction that acts on it (a turn's begin or step, or
 * store_settle()) names it; so none is lost between the two, and none is acted upon twice. An edit
 * that is handled takes along what it edits.
 */
struct store_queue { // what a server numbers its messages in
    struct span channel;
    struct span name; // of the queue within the channel (Telegram: the bot's id); "" or absent: one
};

enum store_inbound_kind {
    STORE_INBOUND_TEXT,
    STORE_INBOUND_BUTTON,  // one under a message was pressed; the text is the button's data
    STORE_INBOUND_EDIT,    // the message of that external id was changed to that text
    STORE_INBOUND_COMMAND, // chosen from a menu of the channel; the text is the command
    STORE_INBOUND_EVENT,   // nobody wrote it; the text is for the model
};

struct store_inbound {
    int64_t number; // given by the store; the order of arrival
    struct span channel, chat;
    struct span thread;      // of the chat, such as a forum's topic; absent or "": it has none
    struct span external_id; // the server's own id
    struct span sender;      // the server's id of the person
    bool grouped;            // the chat has several senders
    enum store_inbound_kind kind;
    struct span text;
    // JSON of the channel's own; absent or "": none. Of a message that may be edited it changes
    // with the text, and is kept when that is gone.
    struct span payload;
    // What came with it and is to be fetched: JSON of the channel's own, of which only "group"
    // means something to others (agent/attachment.h). Kept until it is handled; "": nothing.
    struct span media;
    bool cut;        // the channel probably cut a longer text here: the rest follows at once
    bool tainted;    // nobody vouches for a part of the text: it was quoted, or passed on
    int64_t sent_ms; // as the server says; never used to order
    int64_t received_ms;
};

enum {
    STORE_INBOUND_ROWS_MAX = 128,             // messages of one call
    STORE_INBOUND_KEEP_MS = 7 * 86400 * 1000, // handled ones, so that duplicates are recognised
};

/*
 * Submits, durable: the messages that are not known yet, and the queue's cursor (Telegram: the next
 * offset), together or not at all. A message is known when one of the same queue and external id
 * was sent at the same time: servers begin their ids anew. An edit is left out when what it edits
 * is not known, or had the same payload after its last edit; it is sent when it is made. Handled
 * messages older than STORE_INBOUND_KEEP_MS are forgotten along the way, a few at a time. The
 * completion's rowid is the number of new ones. Returns as store_session_create() does.
 */
int64_t store_inbox_add(struct store *store, struct store_queue queue, int64_t cursor,
                        const struct store_inbound *messages, size_t count, store_done_fn *done,
                        void *context, struct error *err);

/*
 * Submits, durable: the cursor and the messages that the channel had before queues were told apart
 * become this queue's. Nothing happens when there are none. Returns as store_session_create() does.
 */
int64_t store_inbox_adopt(struct store *store, struct store_queue queue, store_done_fn *done,
                          void *context, struct error *err);

// Synchronous. STORE_NOT_FOUND when the queue never had one.
int store_read_cursor(struct store *store, struct store_queue queue, int64_t *ret_cursor,
                      struct error *err);

// Synchronous: the external id of the newest message that a turn has taken. STORE_NOT_FOUND: none.
int store_read_turn_message(struct store *store, struct span turn, struct buf *ret_external,
                            struct error *err);

// False stops the reading.
typedef bool store_inbound_fn(void *context, const struct store_inbound *message);

// Synchronous: the unhandled messages with a number above `after`, in order, at most
// STORE_READ_ROWS_MAX.
int store_read_inbox(struct store *store, int64_t after, store_inbound_fn *row, void *context,
                     struct error *err);
