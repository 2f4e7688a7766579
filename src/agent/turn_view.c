#include "agent/turn.h"
#include "codec/money.h"

// What the files of a turn ask of it.

// Of the calls of the present iteration.
const struct chat_message *turn_asking_message(const struct turn *turn)
{
    const struct chat_history *history = &turn->session->history;
    for (size_t i = history->count; i-- > 0;)
        if (history->messages[i].call_count)
            return &history->messages[i];
    return NULL;
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

static void add_to(int64_t *sum, int64_t value)
{
    if (value >= 0)
        *sum = (*sum > 0 ? *sum : 0) + value;
}

void turn_add_usage(struct chat_usage *sum, const struct chat_usage *usage)
{
    add_to(&sum->prompt_tokens, usage->prompt_tokens);
    add_to(&sum->completion_tokens, usage->completion_tokens);
    add_to(&sum->cached_tokens, usage->cached_tokens);
    add_to(&sum->cache_write_tokens, usage->cache_write_tokens);
    add_to(&sum->reasoning_tokens, usage->reasoning_tokens);
    if (usage->cost_pico >= 0)
        sum->cost_pico = money_add(sum->cost_pico > 0 ? sum->cost_pico : 0, usage->cost_pico);
}
