#pragma once

#include "agent/dispatcher.h"
#include "base/list.h"
#include "base/metrics.h"
#include "channels/pairing.h"
#include "channels/telegram.h"
#include "channels/telegram_answer.h"
#include "channels/telegram_api.h"
#include "channels/telegram_pace.h"
#include "channels/telegram_update.h"
#include "loop/loop.h"
#include "store/outbox.h"

/*
 * Private to the channel: what its files share. telegram_api.c asks, telegram_poll.c takes in,
 * telegram_access.c knows who may talk, telegram_stream.c shows an answer while it is written,
 * telegram_send.c delivers the outbox, both by telegram_delivery.c.
 *
 * The dispatcher's callbacks come in the middle of its work, often from inside a model's transfer:
 * so they only note what is to be done, and timers or deferred calls do it.
 */
enum {
    TELEGRAM_CHAT_MAX = 64,       // bytes of a chat's name, with the NUL
    TELEGRAM_MESSAGE_ID_MAX = 24, // bytes, with the NUL
    TELEGRAM_THREAD_MAX = 24,     // bytes of a topic's id, with the NUL
    TELEGRAM_TURN_MAX = 64,       // bytes of a turn's id, with the NUL
    TELEGRAM_IN_FLIGHT_MAX = 8,   // messages and edits at a time
    TELEGRAM_REMEMBERED_MAX = 64, // strangers, chats that are not private, pressed messages
};

struct telegram_remembered { // of the last ones, so that a log is not flooded
    int64_t id;
    int64_t at_ms;
};

struct telegram_poller {
    const char *state; // as in telegram_status
    char detail[TELEGRAM_ANSWER_TEXT_MAX];
    int64_t last_poll_ms; // wall clock
    telegram_call_id call;
    loop_id timer;
    int64_t job;      // of the store
    bool placed;      // `offset` was looked up
    int64_t offset;   // 0: none yet
    int64_t next;     // offset once `job` is done
    int64_t asked_ms; // monotonic
    int limit;        // updates in one answer
    bool quick;       // asked without waiting, to see whether it works
    bool webhook_dropped;
    int failures;     // in a row
    int64_t since_ms; // monotonic, of the first of them
};

struct telegram_hello { // getMe and setMyCommands
    telegram_call_id call;
    int attempts, menu_attempts;
    char username[64];
};

struct telegram_chat { // while something is to be sent, and until its pace has recovered
    struct list link;  // telegram::chats
    char id[TELEGRAM_CHAT_MAX];
    struct telegram_pace pace, edits;
    int64_t not_before_ms; // monotonic: after a failure
    int64_t stuck;         // number of the delivery that a warning was given for
    int deliveries;        // that point here
    bool busy;             // the sender has one of them
    bool seen;             // in the outbox, at the last look
};

struct telegram {
    struct telegram_env env;
    const struct telegram_config *config; // borrowed
    char *token, *api;                    // owned; `api` is "<base>/bot<token>/"
    struct pairing pairing;
    struct dispatcher_channel channel;
    bool draining;
    loop_id starter; // waits for the store
    int start_attempts;
    struct list calls;
    telegram_call_id last_call;
    struct telegram_poller poller;
    struct telegram_hello hello;
    struct telegram_remembered strangers[TELEGRAM_REMEMBERED_MAX];
    struct telegram_remembered elsewhere[TELEGRAM_REMEMBERED_MAX];
    size_t stranger_count, elsewhere_count; // ever; the newest take the place of the oldest
    size_t pressed_count;                   // in `pressed`
    struct list chats, deliveries, streams, pressed, fetches, reactions;
    uint64_t last_fetch;
    struct telegram_pace pace;
    int64_t not_before_ms; // monotonic: after a 429
    int replies;           // in `deliveries`
    int files;             // of these: one at a time, since they share the way up
    int in_flight;         // messages and edits that were handed to Telegram
    loop_id pump;          // looks into the outbox
    int64_t updates, sent;
    int64_t *updates_metric;
};

// telegram_poll.c
void telegram_poll_start(struct telegram *telegram);
void telegram_poll_stop(struct telegram *telegram);

// telegram_hello.c
void telegram_hello_start(struct telegram *telegram); // for the bot's name and its menu

// telegram_access.c
bool telegram_access_listed(const struct telegram_config *config, struct span user);
bool telegram_access_pairs(const struct telegram_config *config);
bool telegram_access_allows(struct telegram *telegram, const struct telegram_update *update);
void telegram_access_refuse(struct telegram *telegram, const struct telegram_update *update);

// telegram_group.c: is what was written in a group for us, by somebody who may?
bool telegram_group_takes(struct telegram *telegram, const struct telegram_update *update);

// telegram_fetch.c: as of struct dispatcher_channel.
uint64_t telegram_fetch(void *context, struct span media, attachment_found_fn *done, void *of);
void telegram_fetch_leave(void *context, uint64_t fetch);
void telegram_fetch_stop(struct telegram *telegram);

// telegram_chat.c
// One that is remembered from now on; NULL when there are too many, or the name is none.
struct telegram_chat *telegram_chat_get(struct telegram *telegram, struct span id);
// The instant from which one more message may go to the chat.
int64_t telegram_chat_next(const struct telegram *telegram, const struct telegram_chat *chat);
void telegram_chat_take(struct telegram *telegram, struct telegram_chat *chat, bool edit);
void telegram_chat_limit(struct telegram *telegram, struct telegram_chat *chat, int64_t wait_ms);
// Frees the chats of which nothing is left to remember; the instant when the next one can go.
int64_t telegram_chats_sweep(struct telegram *telegram);
void telegram_chats_stop(struct telegram *telegram);

// telegram_press.c: the press of a button is confirmed to the person, and its row goes.
void telegram_press(struct telegram *telegram, const struct telegram_update *update);
void telegram_press_stop(struct telegram *telegram);

// telegram_react.c
void telegram_react_event(struct telegram *telegram, const struct turn_event *event);
void telegram_react_stop(struct telegram *telegram);

// telegram_send.c
void telegram_send_soon(struct telegram *telegram); // looks into the outbox after this pass
void telegram_send_drain(struct telegram *telegram);
void telegram_send_stop(struct telegram *telegram);

// telegram_stream.c
void telegram_stream_event(void *context, const struct turn_event *event); // of a turn
void telegram_stream_drain(struct telegram *telegram);
bool telegram_stream_busy(const struct telegram *telegram); // something is under way
void telegram_stream_stop(struct telegram *telegram);
