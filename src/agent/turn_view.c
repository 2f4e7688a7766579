#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/turn.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/money.h"

// What the files of a turn ask of it.

const struct turn *turn_named(const struct agent *agent, const char *name)
{
    list_for_each(link, &agent->turns) {
        const struct turn *turn = list_entry(link, struct turn, link);
        if (strcmp(turn->name, name) == 0)
            return turn;
    }
    return NULL;
}

// Of the calls of the present iteration.
const struct chat_message *turn_asking_message(const struct turn *turn)
{
    const struct chat_history *history = &turn->session->history;
    for (size_t i = history->count; i-- > 0;)
        if (history->messages[i].call_count)
            return &history->messages[i];
    return NULL;
}

char *turn_prompt(const struct turn *turn)
{
    const struct agent_session *session = turn->session;
    const char *more = session->instructions;
    return mem_printf("%s%s%s", session->prompt ? session->prompt : "", more ? "\n\n" : "",
                      more ? more : "");
}

const char *turn_answer(const struct turn *turn)
{
    const struct chat_history *history = turn->session ? &turn->session->history : NULL;
    if (turn->state == TURN_DONE && history && history->count &&
        history->messages[history->count - 1].text)
        return history->messages[history->count - 1].text;
    if (turn->state == TURN_WAITING && history && turn_asking_message(turn)->text)
        return turn_asking_message(turn)->text;
    return buf_text(&turn->partial);
}

const char *turn_chosen_model(const struct turn *turn)
{
    return turn->terms.model ? turn->terms.model : turn->session->model;
}

const char *turn_model(const struct turn *turn)
{
    const char *chosen = turn_chosen_model(turn);
    return chosen ? chosen : turn->agent->env.model;
}

void turn_report(struct turn *turn, struct turn_event event)
{
    event.turn = turn->name;
    event.channel = turn->terms.reply_channel;
    event.chat = turn->terms.reply_chat ? turn->terms.reply_chat : "";
    event.thread = turn->terms.reply_thread ? turn->terms.reply_thread : "";
    turn->on_event(turn->context, &event);
}

int64_t turn_limit_ms(const struct turn *turn)
{
    return turn->terms.limit_ms ? turn->terms.limit_ms : turn->agent->env.config->turn_limit_ms;
}

int64_t turn_left_ms(const struct turn *turn)
{
    return turn->started_ms + turn_limit_ms(turn) - clock_monotonic_ms(turn->agent->env.clock);
}

void turn_tell_time(struct turn *turn)
{
    int64_t elapsed = turn_limit_ms(turn) - turn_left_ms(turn);
    error_set(&turn->error, -ETIMEDOUT, "stopped after %" PRId64 " seconds without an answer%s",
              (elapsed + 500) / 1000, turn->terms.limit_ms ? "" : "; raise agent.gateway_timeout");
}

bool turn_is_past_a_limit(struct turn *turn)
{
    const struct agent_config *config = turn->agent->env.config;
    const struct turn_terms *terms = &turn->terms;
    int64_t iterations = terms->iterations_max ? terms->iterations_max : config->max_turns;
    if (turn->iteration >= iterations)
        error_set(&turn->error, -ELOOP, "stopped after %d steps without an answer%s",
                  turn->iteration,
                  terms->iterations_max ? "" : "; raise agent.max_turns or HERMES_MAX_ITERATIONS");
    else if (turn_limit_ms(turn) && turn_left_ms(turn) <= 0)
        turn_tell_time(turn);
    else if (terms->parent && config->child_cents &&
             turn->usage.cost_pico >= config->child_cents * (MONEY_DOLLAR / 100))
        error_set(&turn->error, -EDQUOT,
                  "stopped: this has cost delegation.max_cost_cents, %" PRId64,
                  config->child_cents);
    else if (turn->repeats >= TURN_REPEATS_MAX)
        error_set(&turn->error, -ELOOP,
                  "stopped: the model made the same call %d times and got the same result",
                  turn->repeats);
    else
        return false;
    return true;
}

struct turn *turn_find(const struct agent *agent, turn_id id)
{
    list_for_each(link, &agent->turns) {
        struct turn *turn = list_entry(link, struct turn, link);
        if (turn->id == id)
            return turn;
    }
    return NULL;
}

size_t turn_find_question(const struct turn *turn)
{
    const struct chat_history *history = &turn->session->history;
    for (size_t i = history->count; i-- > 0;) {
        const struct chat_message *message = &history->messages[i];
        if (message->role == CHAT_USER && strcmp(message->text, turn->text) == 0)
            return i;
    }
    return history->count;
}
