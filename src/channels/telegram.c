#include "channels/telegram.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "codec/url.h"

#define FIELD(name) offsetof(struct telegram_config, name)

enum {
    STORE_LOOK_MS = 20, // how often it is looked whether the store is ready, at first
    STORE_LOOK_MAX_MS = 1000,
};

const struct option telegram_options[] = {
    {.key = "platforms.telegram.enabled",
     .aliases = "gateway.platforms.telegram.enabled",
     .type = OPTION_BOOL,
     .offset = FIELD(enabled),
     .fallback = "true",
     .help = "no: no Telegram, even with a token"},
    {.key = "platforms.telegram.token",
     .aliases = "telegram.token,gateway.platforms.telegram.token",
     .type = OPTION_STRING,
     .offset = FIELD(token),
     .env = "TELEGRAM_BOT_TOKEN",
     .flags = OPTION_SECRET,
     .help = "the bot's token, from @BotFather; without one there is no Telegram"},
    {.key = "platforms.telegram.extra.base_url",
     .aliases = "telegram.extra.base_url,gateway.platforms.telegram.extra.base_url",
     .type = OPTION_STRING,
     .offset = FIELD(base_url),
     .env = "TELEGRAM_API_BASE",
     .fallback = "https://api.telegram.org",
     .help = "the Bot API's address, such as your own server's"},
    {.key = "platforms.telegram.extra.allow_from",
     .aliases = "telegram.allowed_users,telegram.extra.allow_from,"
                "gateway.platforms.telegram.extra.allow_from",
     .type = OPTION_LIST,
     .offset = FIELD(allowed_users),
     .env = "TELEGRAM_ALLOWED_USERS,GATEWAY_ALLOWED_USERS",
     .help = "numeric ids of the users who get answers; \"*\": everybody"},
    {.key = "platforms.telegram.extra.allow_all",
     .aliases = "telegram.allow_all_users",
     .type = OPTION_BOOL,
     .offset = FIELD(allow_all),
     .env = "TELEGRAM_ALLOW_ALL_USERS,GATEWAY_ALLOW_ALL_USERS",
     .fallback = "false",
     .help = "answer everybody"},
    {.key = "platforms.telegram.extra.group_allowed_chats",
     .aliases = "telegram.allowed_chats,telegram.group_allowed_chats",
     .type = OPTION_LIST,
     .offset = FIELD(group_chats),
     .env = "TELEGRAM_GROUP_ALLOWED_CHATS,TELEGRAM_ALLOWED_CHATS",
     .help = "numeric ids of the groups that are answered; \"*\": all; none: private chats only"},
    {.key = "platforms.telegram.extra.group_allow_from",
     .aliases = "telegram.group_allowed_users",
     .type = OPTION_LIST,
     .offset = FIELD(group_users),
     .env = "TELEGRAM_GROUP_ALLOWED_USERS",
     .help = "users who get answers in these groups, besides those of allow_from"},
    {.key = "telegram.require_mention",
     .aliases = "platforms.telegram.extra.require_mention",
     .type = OPTION_BOOL,
     .offset = FIELD(require_mention),
     .env = "TELEGRAM_REQUIRE_MENTION",
     .fallback = "false",
     .help = "in groups answer only what names the bot, or replies to it"},
    {.key = "telegram.reactions",
     .type = OPTION_BOOL,
     .offset = FIELD(reactions),
     .env = "TELEGRAM_REACTIONS",
     .fallback = "false",
     .help = "show at a message that it is worked on, and how that ended"},
    {.key = "telegram.free_response_chats",
     .type = OPTION_LIST,
     .offset = FIELD(free_chats),
     .env = "TELEGRAM_FREE_RESPONSE_CHATS",
     .help = "groups where that is not needed"},
    {.key = "telegram.mention_patterns",
     .type = OPTION_LIST,
     .offset = FIELD(mention_patterns),
     .env = "TELEGRAM_MENTION_PATTERNS",
     .help = "regular expressions that name the bot as well, in any case"},
    {.key = "telegram.ignored_threads",
     .type = OPTION_LIST,
     .offset = FIELD(ignored_threads),
     .env = "TELEGRAM_IGNORED_THREADS",
     .help = "topics of groups that are not answered"},
    {.key = "platforms.telegram.home_channel.chat_id",
     .type = OPTION_STRING,
     .offset = FIELD(home_chat),
     .env = "TELEGRAM_HOME_CHANNEL",
     .help = "number of the chat for what no chat asked for; /sethome takes precedence"},
    {.key = "platforms.telegram.home_channel.thread_id",
     .type = OPTION_STRING,
     .offset = FIELD(home_thread),
     .env = "TELEGRAM_CRON_THREAD_ID,TELEGRAM_HOME_CHANNEL_THREAD_ID",
     .help = "number of its topic"},
    {.key = "unauthorized_dm_behavior",
     .type = OPTION_STRING,
     .offset = FIELD(strangers),
     .fallback = "auto",
     .choices = "auto,pair,ignore",
     .help = "what strangers get: a pairing code or nothing; auto: a code if no users are listed"},
    {.key = "streaming.enabled",
     .aliases = "gateway.streaming.enabled",
     .type = OPTION_BOOL,
     .offset = FIELD(streaming),
     .fallback = "true",
     .help = "show answers while they are written"},
    {.key = "streaming.edit_interval",
     .aliases = "gateway.streaming.edit_interval",
     .type = OPTION_DURATION,
     .offset = FIELD(edit_interval_ms),
     .fallback = "1.2",
     .min = 100,
     .max = 60000,
     .help = "time between edits of a growing message; Telegram refuses less than 1s"},
    {.key = "display.tool_progress",
     .type = OPTION_STRING,
     .offset = FIELD(tool_progress),
     .fallback = "off",
     .choices = "off,new,all,verbose,log",
     .help = "calls of tools that Telegram shows while a turn runs; new: when it is another tool, "
             "verbose: with what it is given; off, log: none"},
    {.key = "platforms.telegram.extra.poll_timeout",
     .type = OPTION_DURATION,
     .offset = FIELD(poll_timeout_ms),
     .fallback = "50",
     .min = 0,
     .max = 300000,
     .help = "how long Telegram may hold a poll for new messages"},
    {.key = "platforms.telegram.extra.split_delay",
     .type = OPTION_DURATION,
     .offset = FIELD(split_delay_ms),
     .env = "HERMES_TELEGRAM_TEXT_BATCH_SPLIT_DELAY_SECONDS",
     .fallback = "2.0",
     .min = 0,
     .max = 60000,
     .help = "how long to wait for the rest of a long text that comes in pieces"},
    {.key = "platforms.telegram.extra.disable_link_previews",
     .aliases = "telegram.extra.disable_link_previews,"
                "gateway.platforms.telegram.extra.disable_link_previews",
     .type = OPTION_BOOL,
     .offset = FIELD(disable_link_previews),
     .fallback = "true",
     .help = "no previews, for which Telegram would fetch the links of an answer"},
};

const size_t telegram_option_count = ARRAY_LEN(telegram_options);

// Beginning and end.

static void start_when_ready(void *context)
{
    struct telegram *telegram = context;
    struct loop *loop = telegram->env.loop;
    telegram->starter = 0;
    if (telegram->draining)
        return;
    if (store_state(telegram->env.store) != STORE_READY) {
        int64_t wait_ms =
            telegram_backoff_ms(++telegram->start_attempts, STORE_LOOK_MS, STORE_LOOK_MAX_MS);
        telegram->starter = loop_timer_after(loop, wait_ms, start_when_ready, telegram);
        return;
    }
    telegram_poll_start(telegram);
    telegram_hello_start(telegram);
    telegram_send_soon(telegram);
}

static void on_event(void *context, const struct turn_event *event)
{
    telegram_react_event(context, event);
    telegram_stream_event(context, event);
}

static void on_outbox(void *context)
{
    telegram_send_soon(context);
}

// "<digits>:<letters, digits, - and _>": it becomes part of a path.
static bool is_token(struct span token)
{
    struct span number = span_cut(&token, ':');
    if (number.len == 0 || token.len == 0)
        return false;
    for (size_t i = 0; i < number.len; i++)
        if (!isdigit((unsigned char)number.data[i]))
            return false;
    for (size_t i = 0; i < token.len; i++)
        if (!isalnum((unsigned char)token.data[i]) && token.data[i] != '-' && token.data[i] != '_')
            return false;
    return true;
}

static struct span without_end(struct span text, const char *end)
{
    if (span_ends_with(text, end))
        text.len -= strlen(end);
    return text;
}

// python-telegram-bot's base URLs end in "/bot", hermes-agent's users have those.
int telegram_address(const struct telegram_config *config, char **ret_token, char **ret_api,
                     struct error *err)
{
    struct span token = span_trim(span_of(config->token ? config->token : ""));
    struct span base = span_trim(span_of(config->base_url ? config->base_url : ""));
    if (!is_token(token))
        return error_set(err, -EINVAL,
                         "TELEGRAM_BOT_TOKEN is not a bot token such as 123456789:ABCdef; get it "
                         "from @BotFather");
    struct url url;
    int r = url_parse(base, &url, err);
    if (r < 0)
        return error_wrap(err, "the Bot API's address (TELEGRAM_API_BASE)");
    if (url.query.data || url.fragment.data)
        return error_set(err, -EINVAL,
                         "the Bot API's address (TELEGRAM_API_BASE) must not have a ? or #");
    base = without_end(base, "/");
    base = without_end(base, "/bot");
    base = without_end(base, "/");
    *ret_token = mem_strndup(token.data, token.len);
    *ret_api = mem_printf("%.*s/bot%s/", (int)base.len, base.data, *ret_token);
    return 0;
}

static double gauge_waiting(void *context)
{
    struct store_outbox_summary summary;
    if (store_read_outbox_summary(context, SPAN_LITERAL("telegram"), &summary, NULL) != 0)
        return 0;
    return (double)summary.waiting;
}

static double gauge_oldest(void *context)
{
    struct store_outbox_summary summary;
    if (store_read_outbox_summary(context, SPAN_LITERAL("telegram"), &summary, NULL) != 0 ||
        !summary.oldest_ms)
        return 0;
    int64_t age_ms = clock_wall_ms(&clock_system) - summary.oldest_ms;
    return age_ms > 0 ? (double)age_ms / 1000 : 0;
}

// The gauges ask the store, which outlives any channel.
static void add_metrics(struct telegram *telegram)
{
    struct metrics *metrics = telegram->env.metrics;
    telegram->updates_metric =
        metrics_counter(metrics, "hermes_telegram_updates_total", "", "Updates from Telegram");
    if (!metrics)
        return;
    metrics_gauge(metrics, "hermes_outbox_waiting", "channel=\"telegram\"",
                  "Replies not yet delivered", gauge_waiting, telegram->env.store);
    metrics_gauge(metrics, "hermes_outbox_oldest_seconds", "channel=\"telegram\"",
                  "Age of the oldest reply not yet delivered", gauge_oldest, telegram->env.store);
}

bool telegram_is_wanted(const struct telegram_config *config)
{
    return config->enabled && config->token && *config->token;
}

int telegram_create(const struct telegram_env *env, struct telegram **ret_telegram,
                    struct error *err)
{
    char *token, *api;
    int r = telegram_address(env->config, &token, &api, err);
    if (r < 0)
        return r;
    struct telegram *telegram = mem_new(struct telegram);
    telegram->env = *env;
    telegram->config = env->config;
    telegram->token = token;
    telegram->api = api;
    telegram->poller.state = "connecting";
    telegram->pairing = (struct pairing){env->home, "telegram", loop_clock(env->loop)};
    list_init(&telegram->calls);
    list_init(&telegram->chats);
    list_init(&telegram->deliveries);
    list_init(&telegram->streams);
    list_init(&telegram->pressed);
    list_init(&telegram->fetches);
    list_init(&telegram->reactions);
    add_metrics(telegram);
    telegram->channel = (struct dispatcher_channel){
        .name = "telegram",
        .cut_wait_ms = env->config->split_delay_ms,
        .on_event = on_event,
        .on_outbox = on_outbox,
        .fetch = telegram_fetch,
        .leave = telegram_fetch_leave,
    };
    dispatcher_attach(env->dispatcher, &telegram->channel, telegram);
    telegram->starter = loop_defer(env->loop, start_when_ready, telegram);
    *ret_telegram = telegram;
    return 0;
}

void telegram_destroy(struct telegram *telegram)
{
    if (!telegram)
        return;
    dispatcher_detach(telegram->env.dispatcher, "telegram");
    loop_cancel(telegram->env.loop, telegram->starter);
    telegram_poll_stop(telegram);
    store_forget(telegram->env.store, telegram->poller.job);
    telegram_stream_stop(telegram);
    telegram_send_stop(telegram);
    telegram_chats_stop(telegram);
    telegram_press_stop(telegram);
    telegram_fetch_stop(telegram);
    telegram_react_stop(telegram);
    telegram_api_stop(telegram);
    free(telegram->token);
    free(telegram->api);
    free(telegram);
}

void telegram_configure(struct telegram *telegram, const struct telegram_config *config)
{
    telegram->config = config;
    telegram->channel.cut_wait_ms = config->split_delay_ms;
    telegram_send_soon(telegram);
}

void telegram_drain(struct telegram *telegram)
{
    if (telegram->draining)
        return;
    telegram->draining = true;
    telegram_poll_stop(telegram);
    telegram_send_drain(telegram);
    telegram_stream_drain(telegram);
}

bool telegram_drained(const struct telegram *telegram)
{
    return telegram->draining && !telegram->poller.job && list_empty(&telegram->deliveries) &&
           !telegram_stream_busy(telegram);
}

void telegram_status(const struct telegram *telegram, struct telegram_status *ret_status)
{
    *ret_status = (struct telegram_status){
        .state = telegram->poller.state,
        .detail = telegram->poller.detail,
        .failing_ms = telegram->poller.failures
                          ? loop_now(telegram->env.loop) - telegram->poller.since_ms + 1
                          : 0,
        .username = telegram->hello.username,
        .last_poll_ms = telegram->poller.last_poll_ms,
        .updates = telegram->updates,
        .sent = telegram->sent,
    };
}
