/*
 * Groups: only those that are listed, there only those who are allowed, and of what they write
 * what is meant for the bot. To everybody else it is silent, also about pairing.
 */
#include <ctype.h>
#include <regex.h>
#include <string.h>
#include <strings.h>

#include "channels/telegram_internal.h"

static bool lists(const struct option_list *list, const char *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        struct span item = span_trim(span_of(list->items[i]));
        if (span_is(item, "*") || (item.len && span_is(item, wanted)))
            return true;
    }
    return false;
}

// "@name", as a word of its own.
static bool names(struct span text, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; len && i + 1 + len <= text.len; i++)
        if (text.data[i] == '@' && strncasecmp(text.data + i + 1, name, len) == 0 &&
            (i + 1 + len == text.len ||
             (!isalnum((unsigned char)text.data[i + 1 + len]) && text.data[i + 1 + len] != '_')))
            return true;
    return false;
}

static bool matches(const struct option_list *patterns, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < patterns->count && !found; i++) {
        regex_t pattern;
        if (regcomp(&pattern, patterns->items[i], REG_EXTENDED | REG_NOSUB | REG_ICASE))
            continue; // one that is none matches nothing
        found = regexec(&pattern, text, 0, NULL, 0) == 0;
        regfree(&pattern);
    }
    return found;
}

static bool is_of_us(const struct telegram *telegram, const struct telegram_update *update)
{
    struct span token = span_of(telegram->token);
    int64_t us;
    return (span_to_i64(span_cut(&token, ':'), &us) && us == update->replied_to) ||
           names(span_of(update->plain), telegram->hello.username) ||
           matches(&telegram->config->mention_patterns, update->plain);
}

// "/status@other_bot"
static bool is_for_another(const struct telegram *telegram, const struct telegram_update *update)
{
    struct span text = span_of(update->plain), word = span_cut(&text, ' ');
    return span_starts_with(word, "/") && memchr(word.data, '@', word.len) &&
           !names(word, telegram->hello.username);
}

bool telegram_group_takes(struct telegram *telegram, const struct telegram_update *update)
{
    const struct telegram_config *config = telegram->config;
    if (!lists(&config->group_chats, update->ids.chat)) {
        struct telegram_update elsewhere = *update;
        elsewhere.kind = TELEGRAM_ELSEWHERE;
        telegram_access_refuse(telegram, &elsewhere);
        return false;
    }
    if (!lists(&config->group_users, update->ids.user) && !telegram_access_allows(telegram, update))
        return false;
    if (*update->ids.thread && lists(&config->ignored_threads, update->ids.thread))
        return false;
    if (update->kind == TELEGRAM_BUTTON)
        return true;
    if (is_for_another(telegram, update))
        return false;
    return !config->require_mention || lists(&config->free_chats, update->ids.chat) ||
           is_of_us(telegram, update);
}
