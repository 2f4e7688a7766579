#include <string.h>

#include "agent/dispatcher_internal.h"
#include "base/mem.h"
#include "tools/sent_file.h"
#include "tools/toolbox.h"

// The conversations in memory and the channels that deliver.

void dispatcher_attach(struct dispatcher *dispatcher, const struct dispatcher_channel *channel,
                       void *context)
{
    struct attached_channel *attached = mem_new(struct attached_channel);
    attached->channel = channel;
    attached->context = context;
    list_append(&dispatcher->host.channels, &attached->link);
    list_for_each(cursor, &dispatcher->conversations) { // of an earlier channel of this name
        struct conversation *conversation = list_entry(cursor, struct conversation, link);
        if (strcmp(conversation->channel, channel->name) == 0)
            conversation->via = attached;
        if (conversation->via == attached && !list_empty(&conversation->pending))
            conversation_wake(conversation); // what the earlier one was about to fetch
    }
}

void dispatcher_detach(struct dispatcher *dispatcher, const char *name)
{
    struct attached_channel *attached = conversation_channel(&dispatcher->host, span_of(name));
    if (!attached)
        return;
    static const struct dispatcher_channel nobody = {.name = ""};
    attached->channel = &nobody; // conversations still point at it
}

int dispatcher_open_file(struct dispatcher *dispatcher, struct span what,
                         void (*done)(void *context, int fd, int64_t size, struct span first,
                                      const char *why),
                         void *context, struct sent_file **ret_file, struct error *err)
{
    const struct agent_env *env = agent_env(dispatcher->env.agent);
    return sent_file_start(toolbox_env(env->toolbox), what, done, context, ret_file, err);
}

void dispatcher_leave_file(struct sent_file *file)
{
    sent_file_cancel(file);
}

void dispatcher_outbox_grew(struct dispatcher *dispatcher)
{
    list_for_each(link, &dispatcher->host.channels) {
        const struct attached_channel *to = list_entry(link, struct attached_channel, link);
        if (to->channel->on_outbox)
            to->channel->on_outbox(to->context);
    }
}

struct conversation *dispatcher_find(struct dispatcher *dispatcher,
                                     const struct store_session_key *key)
{
    list_for_each(link, &dispatcher->conversations) {
        struct conversation *conversation = list_entry(link, struct conversation, link);
        struct store_session_key own = conversation_key(conversation);
        if (span_equal(key->channel, own.channel) && span_equal(key->chat, own.chat) &&
            span_equal(key->thread, own.thread) && span_equal(key->sender, own.sender))
            return conversation;
    }
    return NULL;
}

struct conversation *dispatcher_conversation(struct dispatcher *dispatcher,
                                             const struct store_session_key *key)
{
    struct conversation *conversation = dispatcher_find(dispatcher, key);
    if (conversation)
        return conversation;
    conversation = conversation_create(&dispatcher->host, key);
    conversation->via = conversation_channel(&dispatcher->host, key->channel);
    list_append(&dispatcher->conversations, &conversation->link);
    return conversation;
}

static bool is_idle(const struct conversation *conversation)
{
    return !conversation->via && !conversation->on_event && !conversation->turn &&
           !conversation->waiting && !conversation->job && list_empty(&conversation->pending);
}

// A history is read again when its other end says more, which is cheaper than to keep it: whatever
// stays between two crowds holds on to the pages that the first one left.
void dispatcher_rest(struct dispatcher *dispatcher, struct conversation *conversation)
{
    if (conversation->waiting) {
        conversation_close_session(conversation);
        return;
    }
    bool unsaved = conversation->session && conversation->session->unsaved;
    if (conversation->via || (!conversation->on_event && !unsaved)) {
        conversation_destroy(conversation);
        return;
    }
    struct list *all = &dispatcher->conversations;
    list_remove(&conversation->link);
    list_append(all, &conversation->link);
    size_t kept = 0;
    for (struct list *link = all->prev, *before; link != all; link = before) {
        struct conversation *other = list_entry(link, struct conversation, link);
        before = link->prev;
        if (is_idle(other) && ++kept > DISPATCHER_UNSAVED_MAX)
            conversation_destroy(other);
    }
}
