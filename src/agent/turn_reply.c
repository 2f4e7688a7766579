#include <stdlib.h>
#include <string.h>

#include "agent/outside.h"
#include "agent/turn.h"
#include "agent/turn_log.h"
#include "base/mem.h"
#include "codec/money.h"

// What is said with the answer of a turn besides its text: what it cost, notices, and news.

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

// Of more than can be told the last ones count.
void turn_keep_notice(struct turn *turn, struct chat_reply *reply)
{
    char **place = turn->notices;
    if (!reply->notice)
        return;
    turn_log_notice(turn, reply->notice);
    while (*place && place < turn->notices + TURN_NOTICES_MAX - 1)
        place++;
    if (*place) {
        free(turn->notices[0]);
        turn->notices[0] = *place;
    }
    *place = STEAL(reply->notice);
}

void turn_take_news(struct turn *turn)
{
    const struct outside *outside = turn->agent->env.outside;
    if (outside && strcmp(turn->terms.origin, "api") != 0) // there a program reads
        turn->news = outside->news(outside->owner);
}

void turn_tell_notices(struct turn *turn, struct buf *out)
{
    const struct outside *outside = turn->agent->env.outside;
    for (size_t i = 0; i < TURN_NOTICES_MAX && turn->notices[i]; i++)
        buf_printf(out, "%s%s", out->len ? "; " : "", turn->notices[i]);
    if (!turn->news)
        return;
    buf_printf(out, "%s%s", out->len ? "; " : "", turn->news);
    outside->told(outside->owner);
}

void turn_drop_notices(struct turn *turn)
{
    for (size_t i = 0; i < TURN_NOTICES_MAX; i++)
        free(STEAL(turn->notices[i]));
    free(STEAL(turn->news));
}
