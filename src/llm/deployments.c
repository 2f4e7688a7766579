#include "llm/deployments.h"

#include <stdlib.h>

#include "base/mem.h"
#include "llm/endpoint.h"
#include "llm/model_list.h"

/*
 * A call's id is that of the provider that makes it, with the number of that provider below: so a
 * call is found again without a list of calls, and stale ids stay stale. Places 0 and 1 are for
 * names that do not stand in the list, which mean the offline model or the one other server that
 * the settings speak of.
 */
enum {
    PLACE_OFFLINE,
    PLACE_OTHER,
    PLACE_FIRST, // of the list
    PLACES = PLACE_FIRST + MODEL_LIST_MAX,
    PLACE_BITS = 8,
};

_Static_assert(PLACES <= 1 << PLACE_BITS, "a place must fit below a call's id");

struct deployments {
    struct chat_provider provider;
    struct llm_config config; // of which the texts are borrowed
    struct loop *loop;
    struct http_client *http;
    struct chat_provider *places[PLACES]; // NULL: not asked yet
};

static size_t place_of(const struct endpoint *endpoint)
{
    if (endpoint->listed)
        return PLACE_FIRST + endpoint->deployment;
    return endpoint->kind == ENDPOINT_OFFLINE ? PLACE_OFFLINE : PLACE_OTHER;
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    struct deployments *deployments = CONTAINER_OF(provider, struct deployments, provider);
    struct endpoint endpoint;
    chat_call_id id;
    int r = endpoint_choose_model(&deployments->config, request->model, &endpoint, err);
    if (r < 0)
        return r;
    size_t place = place_of(&endpoint);
    if (!deployments->places[place])
        r = endpoint_open(&endpoint, &deployments->config, deployments->loop, deployments->http,
                          &deployments->places[place], err);
    struct chat_request inner = *request;
    inner.model = endpoint.model;
    if (r == 0)
        r = chat_provider_start(deployments->places[place], &inner, sink, context, &id, err);
    if (r == 0)
        *ret_id = id << PLACE_BITS | place;
    return r;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct deployments *deployments = CONTAINER_OF(provider, struct deployments, provider);
    size_t place = id & ((1 << PLACE_BITS) - 1);
    if (place < PLACES && deployments->places[place])
        chat_provider_cancel(deployments->places[place], id >> PLACE_BITS);
}

static void destroy(struct chat_provider *provider)
{
    struct deployments *deployments = CONTAINER_OF(provider, struct deployments, provider);
    for (size_t i = 0; i < PLACES; i++)
        chat_provider_destroy(deployments->places[i]);
    free(deployments);
}

void deployments_create(const struct llm_config *config, struct loop *loop,
                        struct http_client *http, struct chat_provider **ret_provider)
{
    static const struct chat_provider_ops ops = {"model_list", start, cancel, destroy};
    struct deployments *deployments = mem_new(struct deployments);
    deployments->provider.ops = &ops;
    deployments->config = *config;
    deployments->loop = loop;
    deployments->http = http;
    *ret_provider = &deployments->provider;
}
