#include "agent/turn_compress.h"

#include <stdlib.h>
#include <string.h>

#include "agent/compression_call.h"
#include "agent/turn.h"
#include "agent/turn_log.h"
#include "base/mem.h"

/*
 * Before a model is asked, and once more when it says that the conversation is too long: at most
 * one of these in a turn, whatever comes of it, so that no turn can go round in circles here. A
 * summary that cannot be had is not waited for: then what is oldest goes without one.
 */
enum { GAIN_LEAST = 10 }; // of a hundred of what is allowed; less is not worth a call

static void finish(struct turn *turn, const char *summary, const char *trouble)
{
    struct turn_compressing *own = &turn->compressing;
    struct chat_history *history = &turn->session->history;
    size_t before = history->count, bytes = compression_bytes(history, 0, before);
    struct compression_plan plan = summary ? compression_shorten(history, own->cut, own->room)
                                           : compression_fall_back(history, own->cut, own->room);
    own->row = compression_apply(turn->session, plan, summary);
    // What is left, in the measure in which it was too much: a provider's count, if there is one.
    size_t left = compression_bytes(history, 0, history->count);
    int64_t gone = compression_tokens_of(bytes > left ? bytes - left : 0);
    turn_log_compressed(turn, own->tokens, own->tokens > gone ? own->tokens - gone : 0, before,
                        trouble);
    turn_store_summary(turn, own->next);
}

static void on_done(void *context, struct chat_reply *reply, const char *trouble)
{
    struct turn *turn = context;
    struct turn_compressing *own = &turn->compressing;
    CLEANUP(mem_cleanup) char *summary = NULL;
    own->call = NULL;
    if (reply) {
        turn_add_usage(&turn->usage, &reply->usage);
        turn_add_usage(&turn->unsaved, &reply->usage);
        turn_keep_notice(turn, reply);
        summary = compression_summary(&turn->session->history, own->cut, reply, &trouble);
    }
    finish(turn, summary, summary ? "" : trouble);
}

static int ask(struct turn *turn, struct error *err)
{
    struct turn_compressing *own = &turn->compressing;
    return compression_call(turn->agent,
                            &(struct compression_request){turn->session, own->cut, SPAN_ABSENT,
                                                          turn->name,
                                                          (enum chat_priority)turn->terms.priority},
                            on_done, turn, &own->call, err);
}

bool turn_compress(struct turn *turn, bool too_long, turn_next_fn *next)
{
    const struct agent_config *config = turn->agent->env.config;
    const struct chat_history *history = &turn->session->history;
    struct turn_compressing *own = &turn->compressing;
    if (!config->compression || own->done || turn->agent->env.replays)
        return false;
    struct compression_limits limits =
        compression_limits_of(&turn->agent->env, turn_chosen_model(turn), turn->terms.slot);
    int64_t tokens = compression_tokens(&turn->agent->env, turn->session);
    if (!too_long && tokens < limits.most)
        return false;
    if (too_long && tokens < limits.most) { // then the model is smaller than is known
        limits.tail = limits.most ? limits.tail * tokens / limits.most : 0;
        limits.most = tokens;
    }
    size_t bytes = compression_bytes(history, 0, history->count);
    int64_t fixed = tokens - compression_tokens_of(bytes);
    own->cut = compression_cut(history, (size_t)config->compression_last, limits.tail);
    if (!own->cut) // then all but the question
        own->cut = compression_cut(history, 1, 0);
    own->room = limits.most / 2 - (fixed > 0 ? fixed : 0);
    own->tokens = tokens;
    own->next = next;
    struct compression_plan plan = compression_fall_back(history, own->cut, 0);
    int64_t gain = compression_gain(history, plan);
    if (too_long ? gain == 0 : gain * 100 < limits.most * GAIN_LEAST)
        return false;
    own->done = true;
    struct error err = ERROR_INIT;
    buf_clear(&turn->partial);
    if (!own->cut)
        finish(turn, NULL, "");
    else if (ask(turn, &err) < 0)
        finish(turn, NULL, err.text);
    return true;
}

void turn_compress_forget(struct turn *turn)
{
    side_call_cancel(STEAL(turn->compressing.call));
    free(STEAL(turn->compressing.row.text));
}
