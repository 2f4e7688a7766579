#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/desk_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/session.h"

// A conversation's side of a turn: what the agent tells goes on to the channel, or to who waits.

static void on_step(void *context)
{
    struct talk *talk = context;
    talk->waited = false;
    if (talk->via && talk->via->channel->on_step)
        talk->via->channel->on_step(talk->via->context, talk->chat, talk->turn_name);
    else if (talk->sink && talk->sink->on_step)
        talk->sink->on_step(talk->context);
}

static void on_text(void *context, struct span delta)
{
    struct talk *talk = context;
    if (talk->waited)
        on_step(talk);
    if (talk->via && talk->via->channel->on_text)
        talk->via->channel->on_text(talk->via->context, talk->chat, talk->turn_name, delta);
    else if (talk->sink)
        talk->sink->on_text(talk->context, delta);
}

static void on_call(void *context, const char *name, const char *arguments)
{
    struct talk *talk = context;
    if (talk->sink)
        talk->sink->on_call(talk->context, name, arguments);
}

static void on_result(void *context, const char *name, bool failed, struct span text)
{
    struct talk *talk = context;
    if (talk->sink)
        talk->sink->on_result(talk->context, name, failed, text);
}

// Shown in the place of the answer, which then begins anew.
static void on_wait(void *context, const char *sentence)
{
    struct talk *talk = context;
    if (talk->via) {
        CLEANUP(mem_cleanup) char *shown = mem_printf("⏳ %s", sentence);
        on_text(talk, span_of(shown));
        talk->waited = true;
    } else if (talk->sink && talk->sink->on_wait) {
        talk->sink->on_wait(talk->context, sentence);
    }
}

// What the model read of the steered messages is done; the others wait again, before all else.
static void unsteer(struct talk *talk, const struct turn_outcome *outcome)
{
    struct list *place = talk->waiting.next;
    list_for_each(link, &talk->steered) {
        struct waiting *message = list_entry(link, struct waiting, link);
        bool unheard = false;
        for (size_t i = 0; i < outcome->unheard_count; i++)
            unheard |= outcome->unheard[i] == message->number;
        list_remove(link);
        message->acting = unheard ? ACTING_NOT : ACTING_TURN;
        message->patient = true;
        list_append(place, link); // before `place`
    }
}

static void on_end(void *context, const struct turn_outcome *outcome)
{
    struct talk *talk = context;
    struct desk *desk = talk->desk;
    bool lost = !outcome->begun && talk->via;
    talk->turn = 0;
    talk->waited = false;
    loop_cancel(desk->env.loop, talk->stopping);
    talk->stopping = 0;
    if (talk->via && talk->via->channel->on_turn_end)
        talk->via->channel->on_turn_end(talk->via->context, talk->chat, talk->turn_name);
    unsteer(talk, outcome);
    if (!outcome->begun && !talk->session->stored) // part of it may be; another one is certain
        desk_close_session(talk);
    if (lost) {
        struct error err = ERROR_INIT;
        error_set(&err, outcome->code, "%s", outcome->error);
        desk_retry(talk, ACTING_TURN, &err);
    } else {
        desk_acted(talk, ACTING_TURN);
        desk_tell_outbox(talk);
    }
    const struct turn_sink *sink = talk->sink;
    talk->sink = NULL;
    if (sink)
        sink->on_end(talk->context, outcome);
    desk_go_on(talk);
    desk_ended(desk);
}

static const struct turn_sink talk_sink = {on_step, on_text, on_call, on_result, on_end, on_wait};

static void began(struct talk *talk)
{
    struct desk *desk = talk->desk;
    snprintf(talk->turn_name, sizeof talk->turn_name, "%s",
             agent_turn_name(desk->env.agent, talk->turn));
    talk->turn_ms = loop_now(desk->env.loop);
    talk->turn_wall_ms = loop_wall(desk->env.loop);
    list_for_each(link, &talk->waiting)
        list_entry(link, struct waiting, link)->patient = true;
    if (talk->via && talk->via->channel->on_turn)
        talk->via->channel->on_turn(talk->via->context, talk->chat, talk->turn_name);
    if (STEAL(talk->stop_wanted))
        desk_interrupt(talk);
}

void desk_close_session(struct talk *talk)
{
    agent_session_destroy(talk->session);
    talk->session = NULL;
}

static void ignore_session(void *context, const struct store_session *session)
{
    (void)context, (void)session;
}

// `hermes sessions delete` may have taken the conversation that is kept here; then the next one
// begins.
static bool is_deleted(const struct talk *talk)
{
    const struct agent_session *session = talk->session;
    return session && session->stored && !session->busy &&
           store_read_session(talk->desk->env.store, span_of(session->id), ignore_session, NULL,
                              NULL) == STORE_NOT_FOUND;
}

int desk_open_session(struct talk *talk, struct error *err)
{
    if (is_deleted(talk))
        desk_close_session(talk);
    if (talk->session)
        return 0;
    int r = agent_session_load(talk->desk->env.store, SPAN_ABSENT, span_of(talk->channel),
                               span_of(talk->chat), &talk->session, err);
    // Whoever waits himself gets an answer also from a store that is not there.
    if (r == STORE_NOT_FOUND || (r < 0 && !talk->via)) {
        talk->session = agent_session_create(talk->channel, talk->chat);
        r = 0;
    }
    return r;
}

int desk_begin_turn(struct talk *talk, struct span text, struct span drop_turn, struct error *err)
{
    int64_t numbers[DESK_PIECES_MAX];
    struct turn_request request = {
        .text = text,
        .inbox = numbers,
        .inbox_count = desk_acting(talk, ACTING_TURN, numbers),
        .drop_turn = drop_turn,
        .deliver = talk->via != NULL,
    };
    int r = desk_open_session(talk, err);
    if (r == 0)
        r = agent_turn_start(talk->desk->env.agent, talk->session, &request, &talk_sink, talk,
                             &talk->turn, err);
    if (r == 0)
        began(talk);
    return r;
}

int desk_resume_turn(struct talk *talk, const struct store_turn_row *row, struct error *err)
{
    struct agent_session *session = NULL;
    int r = agent_session_load(talk->desk->env.store, row->session, SPAN_ABSENT, SPAN_ABSENT,
                               &session, err);
    if (r != 0)
        return r < 0 ? r : error_set(err, -ENOENT, "its conversation is gone");
    desk_close_session(talk);
    talk->session = session;
    r = agent_turn_resume(talk->desk->env.agent, session, row, talk->via != NULL, &talk_sink, talk,
                          &talk->turn, err);
    if (r == 0)
        began(talk);
    return r;
}

static void on_stopping(void *context)
{
    struct talk *talk = context;
    talk->stopping = 0;
    agent_turn_cancel(talk->desk->env.agent, talk->turn);
}

// Not at once: whoever asks may be inside a callback of this very turn.
void desk_interrupt(struct talk *talk)
{
    if (talk->turn && !talk->stopping)
        talk->stopping = loop_defer(talk->desk->env.loop, on_stopping, talk);
}

void desk_steer(struct talk *talk, struct waiting *message)
{
    struct span text = span_make(message->text, message->len);
    if (agent_turn_steer(talk->desk->env.agent, talk->turn, text, message->number) < 0)
        return; // it is ending; then the message is next
    LOG_EVENT(LOG_INFO, "message.steers", talk->turn_name, LOG_NUMBER("message", message->number));
    list_remove(&message->link);
    message->acting = ACTING_TURN;
    list_append(&talk->steered, &message->link);
    desk_go_on(talk);
}
