#include "daemon/cron_commands.h"

#include <errno.h>
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

// The scheduler's own words are for the model, which has them in its tool.
int cron_words_check(struct span word, bool has_job, struct error *err)
{
    static const char *const words[] = {"list", "add",    "history", "create", "runs",
                                        "show", "run",    "pause",   "resume", "remove",
                                        "edit", "update", "rm"};
    enum { NEED_JOB = 5 }; // from there on
    size_t i = 0;
    while (i < ARRAY_LEN(words) && !span_is(word, words[i]))
        i++;
    if (i == ARRAY_LEN(words))
        return error_set(err, -EINVAL,
                         "\"%.*s\" is not one of list, add, show, edit, run, pause, resume, "
                         "remove, history",
                         (int)(word.len < 64 ? word.len : 64), word.data);
    if (i >= NEED_JOB && !has_job)
        return error_set(
            err, -EINVAL,
            "which job? It is \"%s JOB\", with its id or its name, as the list shows it", words[i]);
    return 0;
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
    struct span words = rest, word = span_cut(&words, ' ');
    int r = cron->scheduler ? 0 : error_set(&err, -1, "no jobs are kept here");
    if (r == 0 && word.len)
        r = cron_words_check(word, span_trim(words).len > 0, &err);
    if (r == 0)
        r = scheduler_ask_words(cron->scheduler, rest, from ? &origin : NULL, &reply, &err);
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
