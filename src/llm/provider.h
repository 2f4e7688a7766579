#pragma once

#include "base/error.h"
#include "llm/chat.h"

/*
 * A provider turns a chat_request into a reply: the router, or the offline model. Each has a struct
 * chat_provider as its first member; calls in flight are named by id.
 */
typedef uint64_t chat_call_id; // 0 is none

struct chat_provider;

struct chat_provider_ops {
    const char *name; // for people: "router", "offline"
    int (*start)(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err);
    void (*cancel)(struct chat_provider *provider, chat_call_id id);
    // NULL: its replies have no notices.
    void (*end_work)(struct chat_provider *provider, const char *work, bool told);
    void (*destroy)(struct chat_provider *provider);
    // What that model, or with NULL any of its models, is known to take, in bits of enum
    // chat_media. NULL: nothing.
    unsigned (*media)(const struct chat_provider *provider, const char *model);
    // Tokens that a model, or (NULL) that of a slot, reads at most. NULL, 0: not known.
    int64_t (*window)(const struct chat_provider *provider, const char *model, const char *slot);
};

struct chat_provider {
    const struct chat_provider_ops *ops;
};

static inline int chat_provider_start(struct chat_provider *provider,
                                      const struct chat_request *request,
                                      const struct chat_sink *sink, void *context,
                                      chat_call_id *ret_id, struct error *err)
{
    return provider->ops->start(provider, request, sink, context, ret_id, err);
}

// No callback comes after this. Stale ids and 0 do nothing.
static inline void chat_provider_cancel(struct chat_provider *provider, chat_call_id id)
{
    provider->ops->cancel(provider, id);
}

// The piece of work (chat_origin) has ended, on the disk too. `told`: the notices of its replies
// have reached the user; else they go out with a later reply, as when the program was killed before
// the end.
static inline void chat_provider_end_work(struct chat_provider *provider, const char *work,
                                          bool told)
{
    if (provider->ops->end_work)
        provider->ops->end_work(provider, work, told);
}

static inline unsigned chat_provider_media(const struct chat_provider *provider, const char *model)
{
    return provider->ops->media ? provider->ops->media(provider, model) : 0;
}

static inline int64_t chat_provider_window(const struct chat_provider *provider, const char *model,
                                           const char *slot)
{
    return provider->ops->window ? provider->ops->window(provider, model, slot) : 0;
}

static inline void chat_provider_destroy(struct chat_provider *provider)
{
    if (provider)
        provider->ops->destroy(provider);
}
