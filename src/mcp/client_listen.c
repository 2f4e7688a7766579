/*
 * The modern era's notifications come on a stream of their own, the long answer to
 * subscriptions/listen. It ends now and then, and is opened again; what changed in between nobody
 * said, so the owner is told then that the tools may have.
 */
#include "base/random.h"
#include "base/wait.h"
#include "mcp/client_call.h"

enum {
    AGAIN_MS = 1000,          // after the stream has ended
    AGAIN_MAX_MS = 60 * 1000, // after it has ended soon, again and again; 64 s in fact
};

static void listen_now(void *context);

static void on_end(void *context, const struct mcp_reply *reply)
{
    struct mcp_client *client = context;
    const struct mcp_failure *failure = client->failure;
    unsigned char jitter;
    client->listen.number = 0;
    if (reply->trouble == MCP_ERROR || reply->trouble == MCP_DENIED ||
        (failure && failure->status >= 400 && failure->status < 500))
        return; // it does not want to
    if (loop_now(client->env.loop) - client->listen.since_ms >= AGAIN_MAX_MS)
        client->listen.failures = 0;
    int64_t ms = (int64_t)AGAIN_MS << client->listen.failures;
    client->listen.failures += ms < AGAIN_MAX_MS;
    random_bytes(&jitter, sizeof jitter);
    client->listen.timer = loop_timer_after(
        client->env.loop, wait_scaled(ms + ms * jitter / UINT8_MAX / 4), listen_now, client);
}

static void listen_now(void *context)
{
    struct mcp_client *client = context;
    const struct mcp_request request = {
        .method = "subscriptions/listen",
        .params = SPAN_LITERAL("{\"notifications\":{\"toolsListChanged\":true}}"),
        .timeout_ms = MCP_NO_TIMEOUT,
    };
    client->listen.timer = 0;
    client->listen.acknowledged = false;
    client->listen.since_ms = loop_now(client->env.loop);
    struct mcp_call *call = mcp_call_start(client, &request, true, on_end, client, NULL);
    client->listen.number = call ? call->wire : 0;
}

void mcp_listen_start(struct mcp_client *client)
{
    listen_now(client);
}

void mcp_listen_acknowledged(struct mcp_client *client)
{
    bool again = client->listen.before;
    if (!client->listen.number || client->listen.acknowledged)
        return;
    client->listen.acknowledged = client->listen.before = true;
    if (again)
        client->events->on_notification(client->context, "notifications/tools/list_changed",
                                        JSON_VALUE_ABSENT);
}

void mcp_listen_cancelled(struct mcp_client *client, struct json_value id)
{
    int64_t number;
    if (!json_int64(id, &number) || number <= 0 || (uint64_t)number != client->listen.number)
        return;
    struct mcp_call *call = mcp_call_of(client, client->listen.number);
    if (!call)
        return;
    call->wire = 0;
    mcp_call_end(call, &(struct mcp_reply){.trouble = MCP_GONE});
}
