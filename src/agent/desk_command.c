#include "agent/desk_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/*
 * Commands: a slash, a word, and what follows. Each says what it does to the store and what it
 * answers; both, and that its message is handled, are one transaction (store_settle()), so a
 * command is obeyed exactly once, whenever the program is killed.
 */
struct span desk_first_word(struct span text)
{
    size_t len = 0;
    while (len < text.len && !strchr(" \t\r\n", text.data[len]))
        len++;
    return span_make(text.data, len);
}

// "/new@my_bot" is "/new": Telegram adds the bot's name where there are several.
static const struct command_entry *find(struct span text)
{
    struct span word = desk_first_word(text);
    ptrdiff_t at = span_find(word, SPAN_LITERAL("@"));
    if (at > 0)
        word.len = (size_t)at;
    size_t count;
    const struct command_entry *table = desk_command_table(&count);
    for (size_t i = 0; i < count; i++)
        if (word.len == strlen(table[i].name) &&
            strncasecmp(word.data, table[i].name, word.len) == 0)
            return &table[i];
    return NULL;
}

// A path ("/etc/hosts is empty") is no command.
bool desk_is_command(struct span text)
{
    struct span word = desk_first_word(text);
    return word.len > 1 && word.data[0] == '/' && !memchr(word.data + 1, '/', word.len - 1);
}

bool desk_knows_command(struct span text)
{
    return desk_is_command(text) && find(text);
}

static bool has_flag(struct span text, unsigned flag)
{
    const struct command_entry *entry = desk_is_command(text) ? find(text) : NULL;
    return entry && entry->flags & flag;
}

bool desk_is_urgent(struct span text)
{
    return has_flag(text, COMMAND_URGENT);
}

bool desk_ends_turn(struct span text)
{
    return has_flag(text, COMMAND_ENDS_TURN);
}

static void effect_finish(struct effect *effect)
{
    buf_finish(&effect->reply);
    free(effect->title);
    free(effect->model);
    free(effect->prompt);
    free(effect->dropped);
    free(effect->again);
}

// Tells somebody who waits himself.
static void tell(struct talk *talk, const char *text)
{
    const struct turn_sink *sink = talk->sink;
    void *context = talk->context;
    talk->sink = NULL;
    talk->stop_wanted = false;
    if (!sink)
        return;
    struct turn_outcome outcome = {.begun = true,
                                   .state = TURN_DONE,
                                   .text = text,
                                   .error = "",
                                   .remark = "",
                                   .usage = CHAT_USAGE_UNKNOWN};
    sink->on_text(context, span_of(text));
    sink->on_end(context, &outcome);
}

static void obeyed(struct talk *talk)
{
    CLEANUP(mem_cleanup) char *reply = STEAL(talk->reply);
    if (talk->fresh && !talk->turn)
        desk_close_session(talk);
    talk->fresh = false;
    desk_acted(talk, ACTING_COMMAND);
    desk_tell_outbox(talk);
    tell(talk, reply);
    desk_go_on(talk);
}

// Somebody waits, and hears of it; what was to be done is not.
static void not_saved(struct talk *talk, const struct error *err)
{
    free(talk->reply);
    talk->reply = mem_printf("This could not be saved: %s", err->text);
}

static void on_settled(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct talk *talk = context;
    talk->job = 0;
    if (result < 0 && talk->via) {
        desk_retry(talk, ACTING_COMMAND, err);
        return;
    }
    if (result < 0)
        not_saved(talk, err);
    if (result == STORE_DUPLICATE)
        desk_read_again(talk->desk);
    obeyed(talk);
}

static void on_soon(void *context)
{
    struct talk *talk = context;
    talk->soon = 0;
    obeyed(talk);
}

static void settle(struct talk *talk, struct effect *effect)
{
    int64_t numbers[DESK_PIECES_MAX];
    struct store_reply reply = {.channel = span_of(talk->channel),
                                .chat = span_of(talk->chat),
                                .text = buf_span(&effect->reply)};
    struct error err = ERROR_INIT;
    effect->settlement.inbox = numbers;
    effect->settlement.inbox_count = desk_acting(talk, ACTING_COMMAND, numbers);
    effect->settlement.reply = talk->via ? &reply : NULL;
    effect->settlement.now_ms = loop_wall(talk->desk->env.loop);
    talk->fresh = effect->fresh;
    free(talk->reply);
    talk->reply = buf_take_text(&effect->reply);
    reply.text = span_of(talk->reply);
    if (!talk->via && !effect->changes) {
        talk->soon = loop_defer(talk->desk->env.loop, on_soon, talk);
        return;
    }
    int64_t job = store_settle(talk->desk->env.store, &effect->settlement, on_settled, talk, &err);
    if (job > 0) {
        talk->job = job;
    } else if (talk->via) {
        desk_retry(talk, ACTING_COMMAND, &err);
    } else {
        not_saved(talk, &err);
        talk->soon = loop_defer(talk->desk->env.loop, on_soon, talk);
    }
}

static void mark_as_question(struct talk *talk)
{
    list_for_each(link, &talk->waiting) {
        struct waiting *message = list_entry(link, struct waiting, link);
        if (message->acting == ACTING_COMMAND)
            message->acting = ACTING_TURN;
    }
}

// /retry: the turn that answers takes the place of the one that is left out.
static void answer_again(struct talk *talk, struct effect *effect)
{
    struct error err = ERROR_INIT;
    mark_as_question(talk);
    desk_close_session(talk);
    if (desk_begin_turn(talk, span_of(effect->again), span_of(effect->dropped), &err) < 0)
        desk_retry(talk, ACTING_TURN, &err);
}

static void log_command(const struct talk *talk, const struct command_entry *entry)
{
    int64_t numbers[DESK_PIECES_MAX];
    bool known = desk_acting(talk, ACTING_COMMAND, numbers) > 0;
    LOG_EVENT(LOG_INFO, "command", "", LOG_TEXT("name", entry->name),
              LOG_TEXT("channel", talk->channel), LOG_TEXT("chat", talk->chat),
              LOG_COUNT("message", known ? numbers[0] : -1));
}

void desk_obey(struct talk *talk, struct span text)
{
    struct effect effect = {.reply = BUF_INIT(DESK_REPLY_MAX)};
    struct error err = ERROR_INIT;
    const struct command_entry *entry = find(text);
    struct span rest = span_trim(span_skip(text, desk_first_word(text).len));
    int r = desk_open_session(talk, &err);
    if (r < 0) {
        desk_retry(talk, ACTING_COMMAND, &err);
        return;
    }
    if (!entry)
        buf_printf(&effect.reply, "There is no command %.*s; see /help.",
                   (int)desk_first_word(text).len, text.data);
    else
        r = entry->fn(talk, rest, &effect, &err);
    if (r < 0)
        buf_printf(&effect.reply, "That failed: %s", err.text);
    if (entry)
        log_command(talk, entry);
    if (effect.again)
        answer_again(talk, &effect);
    else
        settle(talk, &effect);
    effect_finish(&effect);
}
