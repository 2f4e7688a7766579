#pragma once

#include <stdint.h>

#include "store/inbox.h"
#include "store/outbox.h"
#include "store/turn.h"
#include "support/store_fixture.h"

// A conversation in a chat, one operation after the other: each submits, waits and tells how it
// went. All turns are of the session "a", in the chat "7" of the channel "telegram".

struct talk {
    char home[FIXTURE_PATH_MAX];
    char path[FIXTURE_PATH_MAX + 16]; // of the database
    struct store *store;
};
extern struct talk talk; // of the test at hand

// For cmocka: a home with an empty database, or one with the session "a".
int talk_setup(void **state);
int talk_setup_session(void **state);
int talk_teardown(void **state);

#define TALK_CHANNEL SPAN_LITERAL("telegram")
#define TALK_CHAT SPAN_LITERAL("7")

struct outcome talk_create(struct store *store, const char *session);
struct outcome talk_receive(struct store *store, const char *external_id, const char *text);

// `inbox` 0: none; `drop` NULL: none. The message of the turn is "<turn> asks".
struct outcome talk_begin(struct store *store, const char *turn, int64_t inbox, const char *drop);
struct outcome talk_advance(struct store *store, const struct store_turn_step *step);

// The message is "<turn> answers". `text` NULL: no reply.
struct outcome talk_finish(struct store *store, const char *turn, enum store_turn_state state,
                           const char *text, bool only_if_open);

struct outcome talk_open(struct store *store, const char *turn);
struct outcome talk_change(struct store *store, const struct store_delivery_change *change);
struct outcome talk_settle(struct store *store, const struct store_settlement *settlement);

// The session's messages, each followed by "|"; valid until the next call.
const char *talk_messages(struct store *store, const char *session);
