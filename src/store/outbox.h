#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * What is to go out to the channels: one row per reply, whatever number of messages the channel
 * makes of it. A reply is here in the same transaction that ends its turn or settles its command,
 * and leaves in order, chat by chat, at least once.
 *
 * The row of a reply that is shown while it is being written exists before the first message of it
 * is sent (store_outbox_open()), so that after a crash the same message is finished.
 */
struct store_address { // where a reply goes
    struct span channel, chat;
    struct span thread; // absent or "": none
};

enum store_reply_kind {
    STORE_REPLY_ANSWER,
    STORE_REPLY_QUESTION, // which its turn waits for; the turn's answer is another row
    STORE_REPLY_FILE,     // of the workspace; the text is "SIZE\nPATH\nCAPTION"
};

// A reply that goes into the outbox with the transaction that names it.
struct store_reply {
    struct span channel, chat;
    struct span thread; // absent or "": none
    struct span text;
    enum store_reply_kind kind;
    struct span buttons; // under it: [{"text": ..., "data": ...}, ...]; absent or "": none
    bool only_if_open;   // nothing new is sent: a message that was begun is finished with this text
};

enum store_delivery_state {
    STORE_DELIVERY_OPEN,    // its turn runs; the text is not final
    STORE_DELIVERY_PENDING, // to be delivered
    STORE_DELIVERY_SENT,
    STORE_DELIVERY_FAILED, // given up; `error` says why
};

struct store_delivery {
    int64_t number; // given by the store; the order of delivery
    struct span channel, chat;
    struct span thread; // of the chat; "": none
    struct span turn;   // absent: a command's reply
    struct span text;   // as the model wrote it; "" while open
    enum store_reply_kind kind;
    struct span buttons; // JSON, as in struct store_reply; "": none
    enum store_delivery_state state;
    bool in_flight; // a message was handed to the channel's server and its answer is not known
    int part;       // messages of it that are delivered
    struct span message_id; // of the message that part number `part` is in already, to be edited;
                            // absent: it is to be sent
    int attempts;           // that failed, of the present part
    int64_t next_ms;        // wall clock: not before; 0: at once
    struct span error;      // of the last attempt; absent: none
    int64_t created_ms;
};

enum { STORE_SENT_KEEP_MS = 7 * 86400 * 1000 };

/*
 * Submits, durable: the row of an answer that is about to be shown while its turn runs, with
 * in_flight set. The completion's rowid is its number; STORE_DUPLICATE when the turn has one
 * already (which is left as it is; rowid is its number). -ENOENT: no such turn, -EALREADY: it has
 * ended without one. Returns as store_session_create() does.
 */
int64_t store_outbox_open(struct store *store, struct span turn, struct store_address address,
                          int64_t now_ms, store_done_fn *done, void *context, struct error *err);

enum { STORE_DELIVERY_KEEP = -1 };

struct store_delivery_change {
    int64_t number;
    int state; // enum store_delivery_state, or STORE_DELIVERY_KEEP
    bool in_flight;
    int part;               // or STORE_DELIVERY_KEEP
    struct span message_id; // absent: as it is; "": none
    int attempts;
    int64_t next_ms;
    struct span error; // absent: none
    int64_t now_ms;
};

// Submits, durable. No change makes a row OPEN again. Outcome STORE_NOT_FOUND. Rows SENT longer ago
// than STORE_SENT_KEEP_MS are forgotten along the way, a few at a time.
int64_t store_outbox_change(struct store *store, const struct store_delivery_change *change,
                            store_done_fn *done, void *context, struct error *err);

// False stops the reading.
typedef bool store_delivery_fn(void *context, const struct store_delivery *delivery);

// Synchronous: rows of a channel that are OPEN or PENDING with a number above `after`, in order.
int store_read_outbox(struct store *store, struct span channel, int64_t after,
                      store_delivery_fn *row, void *context, struct error *err);

struct store_outbox_summary {
    int64_t waiting; // PENDING
    int64_t failed;
    int64_t oldest_ms; // created_ms of the oldest PENDING; 0: none
};
int store_read_outbox_summary(struct store *store, struct span channel,
                              struct store_outbox_summary *ret_summary, struct error *err);
