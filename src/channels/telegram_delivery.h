#pragma once

#include "channels/telegram_internal.h"
#include "store/outbox.h"

struct telegram_delivery;
typedef void telegram_answered_fn(struct telegram_delivery *delivery,
                                  const struct telegram_answer *answer);
typedef void telegram_written_fn(struct telegram_delivery *delivery, bool found);

/*
 * A row of the outbox on its way to Telegram: of the message that grows while its turn runs, of the
 * sender from then on. What the row must say about it is written down until the disk takes it, and
 * nothing else happens to the row meanwhile.
 *
 * A message is sent at least once: that it is about to be handed over is on disk before it is, and
 * that it arrived is on disk before the next one goes. What lies between the two after a crash, or
 * when a connection breaks before the answer, may or may not be there. It is sent again, and the
 * log says that this could not be known. An edit may be repeated, so it needs no such care.
 */
struct telegram_delivery {
    struct list link; // telegram::streams while its turn runs, then telegram::deliveries
    struct telegram *telegram;
    struct telegram_chat *chat;
    int64_t number; // of the row; 0: none yet
    char turn[TELEGRAM_TURN_MAX];
    char thread[TELEGRAM_THREAD_MAX];
    char message_id[TELEGRAM_MESSAGE_ID_MAX]; // "": a new message
    bool in_flight;                           // the row says that a message is under way
    bool editing;                             // and the call an edit
    enum telegram_sent sent;                  // what it counts as
    int attempts;                             // that failed
    telegram_call_id call;
    telegram_answered_fn *answered;
    int64_t job;   // of the store
    loop_id again; // a write that the disk refused
    int write_failures;
    struct store_delivery_change change;
    telegram_written_fn *written;
};

void telegram_delivery_init(struct telegram_delivery *delivery, struct telegram *telegram,
                            struct telegram_chat *chat, struct span turn, struct span thread);
void telegram_delivery_finish(struct telegram_delivery *delivery); // whatever is under way

struct telegram_delivery *telegram_delivery_of(const struct list *head, struct span turn);
bool telegram_delivery_busy(const struct telegram_delivery *delivery); // a call, or a write

// What the row says; a warning when it is not known what became of its message.
void telegram_delivery_take(struct telegram_delivery *delivery, const struct store_delivery *row);
void telegram_delivery_uncertain(const struct telegram_delivery *delivery, const char *why);

// A change to be filled in and written, with the message's id and the attempts as they are.
struct store_delivery_change *telegram_delivery_change(struct telegram_delivery *delivery,
                                                       bool in_flight);
// `written` hears whether there still is such a row.
void telegram_delivery_write(struct telegram_delivery *delivery, telegram_written_fn *written);

// A new message, or an edit where there is one; `message` as it is to be, but for its place.
void telegram_delivery_send(struct telegram_delivery *delivery, struct telegram_message message,
                            telegram_answered_fn *answered);
