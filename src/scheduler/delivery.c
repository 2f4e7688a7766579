#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "channels/target.h"
#include "scheduler/scheduler_internal.h"
#include "store/session.h"

/*
 * Where an answer goes: "origin" is the chat in which the job was made, "local" nowhere (the answer
 * is kept in cron/output), a target as of target_resolve(), or "all" of these; several, with
 * commas between them.
 */
void deliveries_finish(struct deliveries *deliveries)
{
    for (size_t i = 0; i < deliveries->count; i++) {
        free(deliveries->all[i].channel);
        free(deliveries->all[i].chat);
        free(deliveries->all[i].thread);
    }
    deliveries->count = 0;
}

static char *copy(struct span text)
{
    return text.len ? mem_strndup(text.data, text.len) : NULL;
}

static bool is_there(const struct deliveries *all, struct span channel, struct span chat,
                     struct span thread)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct delivery *one = &all->all[i];
        if (span_is(channel, one->channel) && span_is(chat, one->chat) &&
            span_is(thread, one->thread ? one->thread : ""))
            return true;
    }
    return false;
}

static int add(const struct scheduler *scheduler, struct span channel, struct span chat,
               struct span thread, struct deliveries *ret, struct error *err)
{
    if (!scheduler->env.dispatcher || !dispatcher_delivers(scheduler->env.dispatcher, channel))
        return error_set(err, -ENOTCONN,
                         "nothing can be delivered to %.*s: no such channel is set up",
                         (int)channel.len, channel.data);
    if (is_there(ret, channel, chat, thread))
        return 0;
    if (ret->count == STORE_RUN_REPLIES_MAX)
        return error_set(err, -E2BIG, "a job answers in at most %d chats", STORE_RUN_REPLIES_MAX);
    ret->all[ret->count++] = (struct delivery){copy(channel), copy(chat), copy(thread)};
    return 0;
}

static int add_target(const struct scheduler *scheduler, const struct job *job, struct span target,
                      struct deliveries *ret, struct error *err)
{
    struct target found;
    if (span_is(target, "local") || (span_is(target, "origin") && !job->platform))
        return 0;
    if (span_is(target, "origin"))
        return add(scheduler, span_of(job->platform), span_of(job->chat), span_of(job->thread), ret,
                   err);
    if (span_is(target, "all"))
        target = SPAN_LITERAL("telegram");
    if (!scheduler->env.targets)
        return error_set(err, -ENOTCONN, "nothing is delivered from here");
    int r = target_resolve(scheduler->env.targets, target, &found, err);
    return r < 0 ? r
                 : add(scheduler, span_of(found.channel), span_of(found.chat),
                       span_of(found.thread), ret, err);
}

int deliveries_find(const struct scheduler *scheduler, const struct job *job, const char *targets,
                    struct deliveries *ret, struct error *err)
{
    struct span rest = span_of(targets && *targets ? targets : "origin");
    int r = 0;
    while (rest.len && r == 0) {
        struct span target = span_trim(span_cut(&rest, ','));
        if (target.len)
            r = add_target(scheduler, job, target, ret, err);
    }
    return r;
}

struct origin {
    const struct scheduler *scheduler;
    char **chat, **thread;
    bool found;
};

static void on_session(void *context, const struct store_session *row)
{
    struct origin *origin = context;
    struct dispatcher *dispatcher = origin->scheduler->env.dispatcher;
    if (!dispatcher || !dispatcher_delivers(dispatcher, row->channel))
        return;
    origin->found = true;
    *origin->chat = copy(row->chat);
    *origin->thread = copy(row->thread);
}

bool scheduler_origin_of(const struct scheduler *scheduler, const char *session, char **ret_chat,
                         char **ret_thread)
{
    struct origin origin = {scheduler, ret_chat, ret_thread, false};
    store_read_session(store_view(scheduler->env.store), span_of(session), on_session, &origin,
                       NULL);
    return origin.found;
}
