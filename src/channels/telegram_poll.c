/*
 * getUpdates to the inbox. One request is under way at any time, and the next one, whose offset
 * tells Telegram to forget what came, starts only when the store has said that it is on disk. So a
 * stop of the program at any moment costs nothing but a second delivery, which the inbox knows.
 *
 * The offset follows what comes, downwards too: after a week without updates Telegram chooses the
 * next id at random, and an offset that is above all of them confirms nothing there. Each bot has
 * one of its own.
 *
 * The first request, and the first after a failure, does not wait for a message: it shows within a
 * moment whether the token and the way there are good. Except after a conflict, where an answer
 * within a moment would prove nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/wait.h"
#include "channels/telegram_internal.h"
#include "codec/document.h"
#include "store/inbox.h"

enum {
    POLL_ANSWER_MAX = 4 << 20, // bytes of one answer
    POLL_EXTRA_MS = 15 * 1000, // that an answer may take beyond the wait that was asked for
    POLL_PAUSE_MS = 1000,      // between answers that bring nothing new and did not wait for it
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 60 * 1000,
    CONFLICT_STEP_MS = 10 * 1000,
    UNAUTHORIZED_FIRST_MS = 60 * 1000,
    UNAUTHORIZED_MAX_MS = 600 * 1000,
    REQUEST_MAX = 1024,
};

static void poll_ask(void *context);

// Of this bot, whose id is what its token begins with.
static struct store_queue queue_of(const struct telegram *telegram)
{
    struct span token = span_of(telegram->token);
    return (struct store_queue){SPAN_LITERAL("telegram"), span_cut(&token, ':')};
}

static void poll_after(struct telegram *telegram, int64_t wait_ms)
{
    struct telegram_poller *poller = &telegram->poller;
    loop_cancel(telegram->env.loop, poller->timer);
    poller->timer = loop_timer_after(telegram->env.loop, wait_ms, poll_ask, telegram);
}

static bool is_state(const struct telegram_poller *poller, const char *state)
{
    return strcmp(poller->state, state) == 0;
}

static const char *lasted(int64_t ms, char *text, size_t size)
{
    long long seconds = (long long)(ms / 1000);
    if (seconds < 120)
        snprintf(text, size, "%lld s", seconds);
    else if (seconds < 7200)
        snprintf(text, size, "%lld min", seconds / 60);
    else
        snprintf(text, size, "%lld h", seconds / 3600);
    return text;
}

// Waits and asks again. Said when it begins and when it becomes something else, not each time.
static void trouble(struct telegram *telegram, const char *state, const char *sentence,
                    int64_t wait_ms)
{
    struct telegram_poller *poller = &telegram->poller;
    bool news = poller->failures == 0 || !is_state(poller, state);
    if (poller->failures++ == 0)
        poller->since_ms = loop_now(telegram->env.loop);
    poller->state = state;
    snprintf(poller->detail, sizeof poller->detail, "%s", sentence);
    if (news)
        log_warning("telegram: not receiving messages: %s; retrying until it works", sentence);
    poll_after(telegram, wait_ms);
}

static int64_t backoff(const struct telegram_poller *poller)
{
    return telegram_backoff_jitter_ms(poller->failures + 1, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
}

static void on_webhook_deleted(void *context, const struct telegram_answer *answer)
{
    struct telegram *telegram = context;
    telegram->poller.call = 0;
    if (answer->outcome != TELEGRAM_OK) {
        telegram->poller.webhook_dropped = false;
        trouble(telegram, "waiting", answer->text, backoff(&telegram->poller));
        return;
    }
    log_info("telegram: the webhook that took this bot's messages was removed");
    poll_after(telegram, 0);
}

static int64_t wait_after(const struct telegram_poller *poller, const char *state,
                          const struct telegram_answer *answer)
{
    int tries = is_state(poller, state) ? poller->failures + 1 : 1;
    int64_t step_ms = (int64_t)tries * CONFLICT_STEP_MS;
    switch (answer->outcome) {
    case TELEGRAM_WEBHOOK:
    case TELEGRAM_CONFLICT:
        return wait_scaled(step_ms < BACKOFF_MAX_MS ? step_ms : BACKOFF_MAX_MS);
    case TELEGRAM_UNAUTHORIZED:
        return telegram_backoff_ms(tries, UNAUTHORIZED_FIRST_MS, UNAUTHORIZED_MAX_MS);
    case TELEGRAM_LIMITED:
        return answer->retry_after_ms;
    default:
        return backoff(poller);
    }
}

static void poll_failed(struct telegram *telegram, const struct telegram_answer *answer)
{
    struct telegram_poller *poller = &telegram->poller;
    const char *state = "waiting", *sentence = answer->text;
    char refused[TELEGRAM_ANSWER_TEXT_MAX];
    if (answer->oversized && poller->limit > 1) {
        poller->limit = poller->limit > 4 ? poller->limit / 4 : 1;
        poll_after(telegram, 0);
        return;
    }
    // Once: if it comes back, somebody else wants it, and fighting over it helps nobody.
    if (answer->outcome == TELEGRAM_WEBHOOK && !poller->webhook_dropped) {
        struct telegram_ask ask = {.method = "deleteWebhook",
                                   .body = SPAN_LITERAL("{\"drop_pending_updates\":false}")};
        poller->webhook_dropped = true;
        poller->call = telegram_api_ask(telegram, &ask, on_webhook_deleted, telegram);
        return;
    }
    if (answer->outcome == TELEGRAM_WEBHOOK) {
        state = "conflict";
        sentence = "a webhook takes this bot's messages again; another program uses the same token";
    } else if (answer->outcome == TELEGRAM_CONFLICT) {
        state = "conflict";
        sentence = "another program reads this bot's messages with the same token; each message "
                   "goes to only one of the two, so stop the other";
    } else if (answer->outcome == TELEGRAM_UNAUTHORIZED) {
        state = "unauthorized";
        snprintf(refused, sizeof refused,
                 "the bot token is refused (%.200s); check TELEGRAM_BOT_TOKEN", answer->text);
        sentence = refused;
    }
    trouble(telegram, state, sentence, wait_after(poller, state, answer));
}

// On to the next request; not at full speed with a server that answers at once and says nothing.
static void poll_next(struct telegram *telegram, bool progress)
{
    struct telegram_poller *poller = &telegram->poller;
    int64_t early_ms = poller->asked_ms + POLL_PAUSE_MS - loop_now(telegram->env.loop);
    bool wait = !progress && !poller->quick && early_ms > 0;
    char text[32];
    if (poller->failures)
        log_info("telegram: receiving messages again, after %s",
                 lasted(loop_now(telegram->env.loop) - poller->since_ms, text, sizeof text));
    poller->failures = 0;
    poller->state = "polling";
    poller->detail[0] = '\0';
    poller->limit = TELEGRAM_BATCH_MAX;
    poll_after(telegram, wait ? early_ms : 0);
}

static void on_stored(void *context, int result, const struct error *err, int64_t added)
{
    struct telegram *telegram = context;
    struct telegram_poller *poller = &telegram->poller;
    poller->job = 0;
    if (result < 0) { // the offset stays, so Telegram will tell all of it again
        trouble(telegram, "waiting", err->text, backoff(poller));
        return;
    }
    bool progress = poller->next != poller->offset; // less where the ids start anew
    poller->offset = poller->next;
    if (added > 0)
        dispatcher_wake(telegram->env.dispatcher);
    poll_next(telegram, progress);
}

static struct store_inbound inbound_of(const struct telegram_update *update, int64_t wall_ms)
{
    static const enum store_inbound_kind kinds[] = {
        [TELEGRAM_MESSAGE] = STORE_INBOUND_TEXT,
        [TELEGRAM_EDIT] = STORE_INBOUND_EDIT,
        [TELEGRAM_BUTTON] = STORE_INBOUND_BUTTON,
    };
    return (struct store_inbound){
        .chat = span_of(update->ids.chat),
        .thread = span_of(update->ids.thread),
        .external_id = span_of(update->ids.external),
        .sender = span_of(update->ids.user),
        .grouped = update->grouped,
        .kind = kinds[update->kind],
        .text = span_of(update->text),
        .payload = span_of(update->hash),
        .media = span_of(update->media ? update->media : ""),
        .cut = update->cut,
        .tainted = update->tainted,
        .sent_ms = update->sent_ms,
        .received_ms = wall_ms,
    };
}

// True when it goes into the inbox.
static bool let_in(struct telegram *telegram, const struct telegram_update *update)
{
    if (update->grouped && update->kind >= TELEGRAM_MESSAGE) {
        if (!telegram_group_takes(telegram, update))
            return false;
    } else if (update->kind < TELEGRAM_MESSAGE || !telegram_access_allows(telegram, update)) {
        telegram_access_refuse(telegram, update);
        return false;
    }
    if (update->kind == TELEGRAM_BUTTON)
        telegram_press(telegram, update);
    if (update->kind == TELEGRAM_EDIT)
        LOG_EVENT(LOG_INFO, "telegram.edited", "", LOG_TEXT("chat", update->ids.chat),
                  LOG_TEXT("done", "taken in, if it changed the text"));
    return true;
}

static void take_in(struct telegram *telegram, const struct telegram_updates *updates)
{
    struct telegram_poller *poller = &telegram->poller;
    struct error err = ERROR_INIT;
    if (updates->count == 0) {
        poll_next(telegram, false);
        return;
    }
    CLEANUP(mem_cleanup) struct store_inbound *rows = mem_zalloc(updates->count * sizeof *rows);
    int64_t wall_ms = loop_wall(telegram->env.loop);
    size_t count = 0;
    for (size_t i = 0; i < updates->count; i++)
        if (let_in(telegram, &updates->rows[i]))
            rows[count++] = inbound_of(&updates->rows[i], wall_ms);
    poller->next = updates->rows[updates->count - 1].id + 1;
    telegram->updates += (int64_t)updates->count;
    *telegram->updates_metric += (int64_t)updates->count;
    int64_t job = store_inbox_add(telegram->env.store, queue_of(telegram), poller->next, rows,
                                  count, on_stored, telegram, &err);
    if (job > 0)
        poller->job = job;
    else
        trouble(telegram, "waiting", err.text, backoff(poller));
}

static void on_poll(void *context, const struct telegram_answer *answer)
{
    struct telegram *telegram = context;
    struct telegram_poller *poller = &telegram->poller;
    struct telegram_answer failed = *answer;
    struct telegram_updates updates;
    struct error err = ERROR_INIT;
    poller->call = 0;
    telegram_api_count_poll(telegram, answer->outcome);
    if (answer->outcome != TELEGRAM_OK) {
        poll_failed(telegram, answer);
        return;
    }
    if (telegram_updates_read(answer->result, &updates, &err) < 0) {
        failed.outcome = TELEGRAM_UNKNOWN;
        snprintf(failed.text, sizeof failed.text, "%.*s", (int)sizeof failed.text - 1, err.text);
        poll_failed(telegram, &failed);
        return;
    }
    poller->last_poll_ms = loop_wall(telegram->env.loop);
    if (!telegram->hello.username[0])
        telegram_hello_start(telegram);
    if (!telegram->draining)
        take_in(telegram, &updates);
    telegram_updates_finish(&updates);
}

static void write_request(const struct telegram_poller *poller, int64_t wait_ms, struct buf *out)
{
    static const char *const wanted[] = {"message", "edited_message", "callback_query"};
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node request = document_object(&doc);
    if (poller->offset)
        node_add_int(request, "offset", poller->offset);
    node_add_int(request, "limit", poller->limit);
    node_add_int(request, "timeout", wait_ms / 1000);
    struct node kinds = node_add_array(request, "allowed_updates");
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        node_add_text(kinds, NULL, wanted[i]);
    document_print(&doc, out, NULL);
}

// True when the offset is what it will be: also when it cannot be read, since all that Telegram
// still has comes again then, and the inbox knows it.
static bool read_offset(struct telegram *telegram)
{
    struct telegram_poller *poller = &telegram->poller;
    struct error err = ERROR_INIT;
    int r = store_read_cursor(telegram->env.store, queue_of(telegram), &poller->offset, &err);
    if (r < 0)
        log_error("telegram: the position in the queue cannot be read: %s", err.text);
    return r != STORE_NOT_FOUND;
}

static void on_adopted(void *context, int result, const struct error *err, int64_t rowid)
{
    struct telegram *telegram = context;
    telegram->poller.job = 0;
    if (result < 0) {
        trouble(telegram, "waiting", err->text, backoff(&telegram->poller));
        return;
    }
    read_offset(telegram);
    telegram->poller.placed = true;
    poll_ask(telegram);
}

// A bot that has no place in its queue yet may have had one when there was one place for all.
static void find_place(struct telegram *telegram)
{
    struct telegram_poller *poller = &telegram->poller;
    struct error err = ERROR_INIT;
    poller->placed = read_offset(telegram);
    if (poller->placed) {
        poll_ask(telegram);
        return;
    }
    int64_t job =
        store_inbox_adopt(telegram->env.store, queue_of(telegram), on_adopted, telegram, &err);
    if (job > 0)
        poller->job = job;
    else
        trouble(telegram, "waiting", err.text, backoff(poller));
}

static void poll_ask(void *context)
{
    struct telegram *telegram = context;
    struct telegram_poller *poller = &telegram->poller;
    poller->timer = 0;
    if (telegram->draining || poller->call)
        return;
    if (!poller->placed) {
        find_place(telegram);
        return;
    }
    poller->quick = !is_state(poller, "polling") && !is_state(poller, "conflict");
    poller->asked_ms = loop_now(telegram->env.loop);
    int64_t wait_ms = poller->quick ? 0 : telegram->config->poll_timeout_ms;
    BUF_AUTO body = BUF_INIT(REQUEST_MAX);
    write_request(poller, wait_ms, &body);
    struct telegram_ask ask = {.method = "getUpdates",
                               .body = buf_span(&body),
                               .first_byte_ms = wait_ms + POLL_EXTRA_MS,
                               .answer_max = POLL_ANSWER_MAX,
                               .long_poll = true};
    poller->call = telegram_api_ask(telegram, &ask, on_poll, telegram);
}

void telegram_poll_start(struct telegram *telegram)
{
    telegram->poller.limit = TELEGRAM_BATCH_MAX;
    poll_ask(telegram);
}

void telegram_poll_stop(struct telegram *telegram)
{
    struct telegram_poller *poller = &telegram->poller;
    loop_cancel(telegram->env.loop, poller->timer);
    telegram_api_cancel(telegram, poller->call);
    poller->timer = 0;
    poller->call = 0;
}
