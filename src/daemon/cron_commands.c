#include "daemon/cron_commands.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/outbox.h"

enum { REPLY_MAX = 48 * 1024 }; // bytes

static char *copy(struct span text)
{
    return text.len ? mem_strndup(text.data, text.len) : NULL;
}

static void ask(void *owner, struct span command, struct span rest,
                const struct store_address *from, outside_reply_fn *fn, void *context)
{
    struct cron_commands *cron = owner;
    BUF_AUTO reply = BUF_INIT(REPLY_MAX);
    struct error err = ERROR_INIT;
    if (!span_is(command, "/cron")) {
        cron->rest->ask(cron->rest->owner, command, rest, from, fn, context);
        return;
    }
    CLEANUP(mem_cleanup) char *channel = from ? copy(from->channel) : NULL;
    CLEANUP(mem_cleanup) char *chat = from ? copy(from->chat) : NULL;
    CLEANUP(mem_cleanup) char *thread = from ? copy(from->thread) : NULL;
    struct scheduler_origin origin = {channel, chat, thread};
    int r = cron->scheduler
                ? scheduler_ask_words(cron->scheduler, rest, from ? &origin : NULL, &reply, &err)
                : error_set(&err, -1, "no jobs are kept here");
    if (r < 0) {
        buf_clear(&reply);
        buf_printf(&reply, "That failed: %s", err.text);
    } else if (buf_is_full(&reply)) {
        buf_clear(&reply);
        buf_append_text(&reply, "That is too long for here; hermes cron shows it.");
    }
    fn(context, buf_span(&reply), SPAN_ABSENT);
}

static void forget(void *owner, const void *context)
{
    const struct outside *rest = ((struct cron_commands *)owner)->rest;
    rest->forget(rest->owner, context);
}

static char *news(void *owner)
{
    const struct outside *rest = ((struct cron_commands *)owner)->rest;
    return rest->news(rest->owner);
}

static void told(void *owner)
{
    const struct outside *rest = ((struct cron_commands *)owner)->rest;
    rest->told(rest->owner);
}

void cron_commands_init(struct cron_commands *cron, const struct outside *rest)
{
    *cron = (struct cron_commands){.rest = rest, .outside = {ask, forget, news, told, cron}};
}

// Where neither the settings nor TZ name one: the system's, by the file that it links to.
static struct zone system_zone(void)
{
    static const char files[] = "/zoneinfo/";
    char path[PATH_MAX];
    struct zone zone = ZONE_UTC;
    const char *name = realpath("/etc/localtime", path) ? strstr(path, files) : NULL;
    if (name)
        zone_find(span_of(name + strlen(files)), &zone, NULL);
    return zone;
}

void cron_settings(const struct settings *settings, struct scheduler_env *env)
{
    env->config = &settings->values.scheduler;
    if (!tool_find_zone(&settings->values.tool, config_variable(settings->config, "TZ"),
                        &env->zone))
        env->zone = system_zone();
}
