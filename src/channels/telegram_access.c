/*
 * Who may talk. Everybody else gets nothing, not even a refusal, by which the bot could be found;
 * save, where the owner wants that, one pairing code. Who knocked is in the log.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "channels/telegram_internal.h"

enum { STRANGER_PAUSE_MS = 60 * 1000 };

bool telegram_access_listed(const struct telegram_config *config, struct span user)
{
    if (config->allow_all)
        return true;
    for (size_t i = 0; i < config->allowed_users.count; i++) {
        struct span allowed = span_trim(span_of(config->allowed_users.items[i]));
        if (span_is(allowed, "*") || (allowed.len && span_equal(allowed, user)))
            return true;
    }
    return false;
}

bool telegram_access_pairs(const struct telegram_config *config)
{
    struct span wanted = span_of(config->strangers ? config->strangers : "auto");
    if (span_is(wanted, "auto")) // an allowlist is the owner's whole intention
        return config->allowed_users.count == 0;
    return span_is(wanted, "pair");
}

// True at most once a minute for each id; of the last TELEGRAM_REMEMBERED_MAX, that is.
static bool remember(struct telegram_remembered *ring, size_t *count, int64_t id, int64_t now_ms,
                     int64_t pause_ms)
{
    size_t used = *count < TELEGRAM_REMEMBERED_MAX ? *count : TELEGRAM_REMEMBERED_MAX;
    for (size_t i = 0; i < used; i++)
        if (ring[i].id == id) {
            bool due = now_ms - ring[i].at_ms >= pause_ms;
            if (due)
                ring[i].at_ms = now_ms;
            return due;
        }
    ring[(*count)++ % TELEGRAM_REMEMBERED_MAX] = (struct telegram_remembered){id, now_ms};
    return true;
}

bool telegram_access_allows(struct telegram *telegram, const struct telegram_update *update)
{
    struct span user = span_of(update->ids.user);
    return telegram_access_listed(telegram->config, user) ||
           pairing_is_approved(&telegram->pairing, user, NULL);
}

static void send_code(struct telegram *telegram, const struct telegram_update *update,
                      const char *code)
{
    char text[320];
    int len = snprintf(text, sizeof text,
                       "This is a private assistant. Your pairing code is %s. Within an hour its "
                       "owner can let you in with:\nhermes pairing approve telegram %s",
                       code, code);
    struct telegram_message message = {.place = {update->ids.chat, update->ids.thread},
                                       .message_id = "",
                                       .text = span_make(text, (size_t)len)};
    telegram_api_message(telegram, &message, NULL, NULL);
}

// A code is made only when the user can be told it; what was done, for the log.
static const char *offer_pairing(struct telegram *telegram, const struct telegram_update *update)
{
    char code[PAIRING_CODE_LENGTH + 1];
    struct error err = ERROR_INIT;
    if (!telegram_access_pairs(telegram->config))
        return "ignored";
    const char *name = *update->name ? update->name : update->username;
    int r =
        pairing_request(&telegram->pairing, span_of(update->ids.user), span_of(name), code, &err);
    if (r > 0)
        return "ignored: no pairing codes are issued now";
    if (r < 0) {
        log_warning("telegram: cannot issue a pairing code: %s", err.text);
        return "ignored: a pairing code could not be stored";
    }
    send_code(telegram, update, code);
    return "given a pairing code";
}

static void refuse_stranger(struct telegram *telegram, const struct telegram_update *update,
                            int64_t now_ms)
{
    if (!remember(telegram->strangers, &telegram->stranger_count, update->user, now_ms,
                  STRANGER_PAUSE_MS))
        return;
    const char *done = offer_pairing(telegram, update);
    struct error err = ERROR_INIT;
    if (!pairing_is_approved(&telegram->pairing, span_of(update->ids.user), &err) && err.code)
        log_warning("telegram: cannot read who is approved: %s", err.text);
    LOG_EVENT(LOG_WARNING, "telegram.unauthorized", "", LOG_TEXT("user", update->ids.user),
              LOG_TEXT("username", update->username), LOG_TEXT("name", update->name),
              LOG_TEXT("done", done));
}

void telegram_access_refuse(struct telegram *telegram, const struct telegram_update *update)
{
    int64_t now_ms = loop_now(telegram->env.loop);
    if (update->kind == TELEGRAM_MESSAGE)
        refuse_stranger(telegram, update, now_ms);
    else if (update->kind == TELEGRAM_ELSEWHERE &&
             remember(telegram->elsewhere, &telegram->elsewhere_count, update->chat, now_ms,
                      INT64_MAX))
        LOG_EVENT(LOG_WARNING, "telegram.not_private", "", LOG_NUMBER("chat", update->chat),
                  LOG_TEXT("done", "ignored: it is not in group_allowed_chats"));
}
