#include "support/store_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { TEXT_MAX = 256 };

static struct outcome wait_for(struct store *store, int64_t job, struct outcome *outcome)
{
    assert_true(job > 0);
    store_wait(store);
    assert_true(outcome->called);
    return *outcome;
}

struct talk talk;

int talk_setup(void **state)
{
    (void)state;
    fixture_make_home(talk.home);
    snprintf(talk.path, sizeof talk.path, "%s", fixture_path(talk.home, "state.db"));
    talk.store = fixture_open(talk.home, NULL);
    return 0;
}

int talk_setup_session(void **state)
{
    talk_setup(state);
    talk_create(talk.store, "a");
    return 0;
}

int talk_teardown(void **state)
{
    (void)state;
    store_close(talk.store);
    fixture_remove_home(talk.home);
    return 0;
}

struct outcome talk_create(struct store *store, const char *session)
{
    struct outcome outcome = {0};
    struct store_session row = {
        .id = span_of(session), .channel = TALK_CHANNEL, .chat = TALK_CHAT, .created_ms = 1000};
    int64_t job = store_session_create(store, &row, STORE_DURABLE, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_receive(struct store *store, const char *external_id, const char *text)
{
    struct outcome outcome = {0};
    struct store_inbound message = {.channel = TALK_CHANNEL,
                                    .chat = TALK_CHAT,
                                    .external_id = span_of(external_id),
                                    .sender = SPAN_LITERAL("owner"),
                                    .text = span_of(text),
                                    .sent_ms = 1500,
                                    .received_ms = 2000};
    int64_t job = store_inbox_add(store, (struct store_queue){.channel = TALK_CHANNEL}, 1, &message,
                                  1, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_begin(struct store *store, const char *turn, int64_t inbox, const char *drop)
{
    char text[TEXT_MAX];
    struct outcome outcome = {0};
    snprintf(text, sizeof text, "%s asks", turn);
    struct store_turn row = {.id = span_of(turn),
                             .session = SPAN_LITERAL("a"),
                             .terms.origin = TALK_CHANNEL,
                             .started_ms = 3000,
                             .inbox = &inbox,
                             .inbox_count = inbox != 0,
                             .drop_turn = span_of(drop)};
    struct store_message question = {.role = SPAN_LITERAL("user"), .content = span_of(text)};
    int64_t job =
        store_turn_begin(store, &row, &question, 1, STORE_DURABLE, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_advance(struct store *store, const struct store_turn_step *step)
{
    struct outcome outcome = {0};
    int64_t job = store_turn_advance(store, step, STORE_DURABLE, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_finish(struct store *store, const char *turn, enum store_turn_state state,
                           const char *text, bool only_if_open)
{
    char answer[TEXT_MAX];
    struct outcome outcome = {0};
    snprintf(answer, sizeof answer, "%s answers", turn);
    struct store_message message = {.role = SPAN_LITERAL("assistant"), .content = span_of(answer)};
    struct store_reply reply = {.channel = TALK_CHANNEL,
                                .chat = TALK_CHAT,
                                .text = span_of(text),
                                .only_if_open = only_if_open};
    struct store_turn_step step = {.turn = span_of(turn),
                                   .state = state,
                                   .iteration = 1,
                                   .now_ms = 4000,
                                   .messages = &message,
                                   .message_count = 1,
                                   .reply = text ? &reply : NULL};
    int64_t job = store_turn_finish(store, &step, STORE_DURABLE, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_open(struct store *store, const char *turn)
{
    struct outcome outcome = {0};
    int64_t job = store_outbox_open(
        store, span_of(turn), (struct store_address){.channel = TALK_CHANNEL, .chat = TALK_CHAT},
        3500, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_change(struct store *store, const struct store_delivery_change *change)
{
    struct outcome outcome = {0};
    int64_t job = store_outbox_change(store, change, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

struct outcome talk_settle(struct store *store, const struct store_settlement *settlement)
{
    struct outcome outcome = {0};
    int64_t job = store_settle(store, settlement, fixture_done, &outcome, NULL);
    return wait_for(store, job, &outcome);
}

static bool add_message(void *context, const struct store_message *message)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 4096 - used, "%.*s|", (int)message->content.len, message->content.data);
    return true;
}

const char *talk_messages(struct store *store, const char *session)
{
    static char text[4096];
    text[0] = '\0';
    assert_int_equal(
        store_read_messages(store_view(store), span_of(session), 100, add_message, text, NULL), 0);
    return text;
}
