#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/option.h"

struct dispatcher;
struct http_client;
struct loop;
struct metrics;
struct store;

/*
 * Telegram, by long polling, private: one poller, one sender, and a message that grows while an
 * answer is written. What comes in is in the store's inbox before its update is confirmed; what
 * goes out comes from the outbox. It does not know who answers.
 */
struct telegram;

struct telegram_config {
    bool enabled;                     // else the channel is off
    const char *token;                // NULL or "": the same
    const char *base_url;             // of the Bot API, without "/bot<token>"
    struct option_list allowed_users; // numeric ids; "*" is everybody
    bool allow_all;
    // Of groups: which are answered, who else in them, and where a mention is needed for that.
    struct option_list group_chats, group_users, free_chats, ignored_threads, mention_patterns;
    bool require_mention, reactions;
    const char *strangers; // "auto", "pair", "ignore"
    bool streaming;
    const char *tool_progress; // "off", "new", "all", "verbose", "log": of calls, while a turn runs
    int64_t edit_interval_ms;  // between two edits of one message, at least
    int64_t poll_timeout_ms;   // how long the server may hold a getUpdates
    int64_t split_delay_ms;    // how long the rest of a cut text is waited for
    bool disable_link_previews;
    const char *home_chat, *home_thread; // the home channel, until /sethome; NULL: none
};

extern const struct option telegram_options[];
extern const size_t telegram_option_count;

struct telegram_env { // borrowed; outlives the channel
    struct loop *loop;
    struct store *store;
    struct http_client *http;
    struct dispatcher *dispatcher;
    struct metrics *metrics;
    const char *home; // where pairing/ lies
    const struct telegram_config *config;
};

bool telegram_is_wanted(const struct telegram_config *config);

// Starts once the store is ready. Fails only for what a person must mend (a token that cannot be
// one, a base URL); whatever the network does is tried again for ever.
int telegram_create(const struct telegram_env *env, struct telegram **ret_telegram,
                    struct error *err);
void telegram_destroy(struct telegram *telegram); // accepts NULL

// The token, and "<base>/bot<token>/", before the name of a method; both on the heap, and both
// secrets. The sentence says what to mend.
int telegram_address(const struct telegram_config *config, char **ret_token, char **ret_api,
                     struct error *err);

// After a reload: who may talk, the pace, previews. A new token or base URL wants a new channel.
void telegram_configure(struct telegram *telegram, const struct telegram_config *config);

/*
 * For a stop of the program: nothing further is asked of Telegram, and what was handed to it is
 * waited for, because a message whose answer is not known is sent again after the next start.
 */
void telegram_drain(struct telegram *telegram);
bool telegram_drained(const struct telegram *telegram);

struct telegram_status {   // texts live until the next call
    const char *state;     // "connecting", "polling", "waiting", "conflict", "unauthorized"
    const char *detail;    // the last error as a sentence, or ""
    int64_t failing_ms;    // for how long no messages come in; 0 while they do
    const char *username;  // of the bot, or ""
    int64_t last_poll_ms;  // wall clock of the last answer to getUpdates; 0: none yet
    int64_t updates, sent; // since the start
};
void telegram_status(const struct telegram *telegram, struct telegram_status *ret_status);
