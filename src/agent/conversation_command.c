#include <stdlib.h>

#include "agent/command_word.h"
#include "agent/commands.h"
#include "agent/conversation_compress.h"
#include "agent/outside.h"
#include "agent/skill_block.h"
#include "base/log.h"
#include "base/mem.h"
#include "tools/toolbox.h"

/*
 * Carries out a command's effect. What it does to the store, what it answers, and that its message
 * is handled are one transaction (store_settle()), so a command runs exactly once, whenever the
 * program is killed.
 */
static void command_done(struct conversation *conversation)
{
    CLEANUP(mem_cleanup) char *reply = STEAL(conversation->reply);
    struct turn_outcome outcome = {.begun = true,
                                   .state = TURN_DONE,
                                   .text = reply,
                                   .error = "",
                                   .remark = "",
                                   .refused = STEAL(conversation->refused),
                                   .usage = CHAT_USAGE_UNKNOWN};
    if (STEAL(conversation->session_changed) && !conversation->turn)
        conversation_close_session(conversation);
    conversation_done(conversation, MESSAGE_IN_COMMAND);
    conversation_notify_outbox(conversation);
    conversation->host->answered |= STEAL(conversation->answered);
    if (STEAL(conversation->takes_up) && !conversation->via)
        return; // somebody who waits hears the rest of the turn instead
    conversation_report(conversation, &outcome);
}

// Reported to somebody who waits; the effect is given up.
static void not_saved(struct conversation *conversation, const struct error *err)
{
    conversation->takes_up = false;
    conversation->refused = true;
    free(conversation->reply);
    conversation->reply = mem_printf("This could not be saved: %s", err->text);
}

static void on_settled(void *context, int result, const struct error *err, int64_t rowid)
{
    struct conversation *conversation = context;
    conversation->job = 0;
    if (result < 0 && conversation->via) {
        conversation_retry(conversation, MESSAGE_IN_COMMAND, err);
        return;
    }
    if (result < 0)
        not_saved(conversation, err);
    if (result == STORE_DUPLICATE)
        conversation->host->reread = true;
    CLEANUP(mem_cleanup) char *stopped = STEAL(conversation->stopped);
    if (stopped && result == 0)
        toolbox_forget(agent_env(conversation->host->agent)->toolbox, stopped);
    command_done(conversation);
}

static void commit(struct conversation *conversation, struct command_effect *effect)
{
    int64_t numbers[CONVERSATION_PIECES_MAX];
    struct store_reply reply = {.channel = span_of(conversation->channel),
                                .chat = span_of(conversation->chat),
                                .thread = span_of(conversation->thread),
                                .text = buf_span(&effect->reply),
                                .buttons = effect->buttons};
    struct error err = ERROR_INIT;
    effect->settlement.inbox = numbers;
    effect->settlement.inbox_count =
        conversation_in_progress(conversation, MESSAGE_IN_COMMAND, numbers);
    effect->settlement.reply = conversation->via ? &reply : NULL;
    effect->settlement.now_ms = loop_wall(conversation->host->loop);
    conversation->session_changed = effect->session_changed;
    conversation->takes_up = effect->takes_up;
    conversation->refused = effect->refused;
    free(conversation->stopped);
    conversation->stopped = effect->settlement.cancel ? mem_strdup(effect->asking) : NULL;
    conversation->answered = conversation->waiting || effect->asking;
    free(conversation->reply);
    conversation->reply = buf_take_text(&effect->reply);
    reply.text = span_of(conversation->reply);
    if (!conversation->via && !effect->changes) {
        command_done(conversation);
        return;
    }
    int64_t job = store_settle(conversation->host->store, &effect->settlement, on_settled,
                               conversation, &err);
    if (job > 0) {
        conversation->job = job;
    } else if (conversation->via) {
        conversation_retry(conversation, MESSAGE_IN_COMMAND, &err);
    } else {
        not_saved(conversation, &err);
        command_done(conversation);
    }
}

static void say_failed(struct command_effect *effect, const struct error *err)
{
    effect->refused = true;
    buf_printf(&effect->reply, "That failed: %s", err->text);
}

static void find_effect(const struct conversation *conversation, struct span text,
                        struct command_effect *effect)
{
    struct error err = ERROR_INIT;
    struct span word = text, rest = SPAN_ABSENT;
    const struct slash_command *command = slash_command_find(text);
    bool words = !command_word_read(text, &word, &rest); // which a question waits for
    if (words && command_answer(conversation, text, effect, &err) < 0)
        say_failed(effect, &err);
    if (words)
        return;
    BUF_AUTO question = BUF_INIT(CONVERSATION_TEXT_MAX);
    int loaded = command ? 0
                         : skill_command_expand(agent_env(conversation->host->agent)->skills, text,
                                                &question, &effect->again_tainted, &err);
    if (loaded > 0) {
        effect->again = buf_take_text(&question);
        return;
    }
    if (loaded < 0) {
        say_failed(effect, &err);
        return;
    }
    if (!command) {
        effect->refused = true;
        buf_printf(&effect->reply, "There is no command %.*s; see /help.", (int)word.len,
                   word.data);
        return;
    }
    if (command->fn(conversation, rest, effect, &err) < 0)
        say_failed(effect, &err);
    int64_t numbers[CONVERSATION_PIECES_MAX];
    bool known = conversation_in_progress(conversation, MESSAGE_IN_COMMAND, numbers) > 0;
    LOG_EVENT(LOG_INFO, "command", "", LOG_TEXT("name", command->name),
              LOG_TEXT("channel", conversation->channel), LOG_TEXT("chat", conversation->chat),
              LOG_COUNT("message", known ? numbers[0] : -1));
}

static void on_outside(void *context, struct span text, struct span buttons)
{
    struct conversation *conversation = context;
    conversation->asking = false;
    free(conversation->outside_buttons);
    conversation->outside_buttons = mem_strndup(buttons.len ? buttons.data : "", buttons.len);
    conversation->outside = mem_strndup(text.len ? text.data : "", text.len);
    conversation_wake(conversation);
}

void conversation_ask_outside(struct conversation *conversation,
                              const struct pending_message *message)
{
    const struct outside *outside = conversation->host->outside;
    struct store_address from = {span_of(conversation->channel), span_of(conversation->chat),
                                 span_of(conversation->thread)};
    struct span word, rest;
    command_word_read(span_make(message->text, message->len), &word, &rest);
    conversation->asking = true;
    if (message->tainted)
        on_outside(conversation,
                   SPAN_LITERAL("Not done: the message quotes or forwards something. "
                                "Type the command by itself."),
                   SPAN_ABSENT);
    else if (outside)
        outside->ask(outside->owner, word, rest, conversation->via ? &from : NULL, on_outside,
                     conversation);
    else
        on_outside(conversation, SPAN_LITERAL("There is nothing here that could do that."),
                   SPAN_ABSENT);
}

void conversation_run_command(struct conversation *conversation,
                              const struct pending_message *message)
{
    struct command_effect effect = {.reply = BUF_INIT(COMMAND_REPLY_MAX),
                                    .sender = message->sender,
                                    .passed_on = message->tainted};
    struct span text = span_make(message->text, message->len);
    bool outside = slash_command_has_flag(text, COMMAND_OUTSIDE);
    bool compresses = slash_command_has_flag(text, COMMAND_COMPRESSES);
    find_effect(conversation, text, &effect); // the message may be gone behind this
    if (effect.stop) {
        conversation_stop_compressing(conversation);
        conversation_interrupt(conversation);
    }
    if (effect.again) { // the turn that answers takes the place of the one that is left out
        struct error err = ERROR_INIT;
        conversation_progress(conversation, MESSAGE_IN_COMMAND, MESSAGE_IN_TURN);
        if (effect.again_tainted)
            conversation_taint(conversation);
        if (conversation_begin_turn(conversation, span_of(effect.again), span_of(effect.dropped),
                                    &err) < 0)
            conversation_retry(conversation, MESSAGE_IN_TURN, &err);
    } else {
        commit(conversation, &effect);
    }
    command_effect_finish(&effect);
    if (compresses)
        conversation_forget_compressing(conversation);
    free(STEAL(conversation->sums));
    if (outside)
        free(STEAL(conversation->outside));
}
