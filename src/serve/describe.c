#include "serve/describe.h"

#include <sys/statvfs.h>

#include "agent/model_health.h"
#include "channels/telegram.h"
#include "llm/endpoint.h"
#include "store/outbox.h"
#include "store/store.h"

bool describe_ready(struct store *store)
{
    enum store_state state = store_state(store);
    return state == STORE_CHECKING || state == STORE_READY;
}

void describe_store(struct node parent, struct store *store)
{
    static const char *const states[] = {
        [STORE_OPENING] = "opening",
        [STORE_CHECKING] = "checking",
        [STORE_READY] = "ready",
        [STORE_FAILED] = "failed",
    };
    struct node own = node_add_object(parent, "store");
    node_add_text(own, "state", states[store_state(store)]);
    node_add_text(own, "detail", store_describe(store));
    node_add_text(own, "trouble", store_trouble(store));
    node_add_text(own, "note", store_note(store));
}

// Absent, and null in the parent, where nothing is known: what is added to it goes nowhere.
static struct node add(struct node parent, const char *key, bool known)
{
    if (known)
        return node_add_object(parent, key);
    node_add_null(parent, key);
    return NODE_ABSENT;
}

void describe_telegram(struct node parent, const struct telegram *telegram, bool whole)
{
    struct telegram_status status = {0};
    if (telegram)
        telegram_status(telegram, &status);
    struct node own = add(parent, "telegram", telegram != NULL);
    node_add_text(own, "state", status.state);
    if (!whole)
        return;
    node_add_text(own, "detail", status.detail);
    node_add_int(own, "failing_s", status.failing_ms / 1000);
    node_add_text(own, "username", status.username);
    node_add_int(own, "last_poll_ms", status.last_poll_ms);
    node_add_int(own, "updates", status.updates);
    node_add_int(own, "sent", status.sent);
}

void describe_outbox(struct node parent, struct store *store, int64_t now_ms)
{
    struct store_outbox_summary summary = {0};
    int r = store_read_outbox_summary(store, SPAN_LITERAL("telegram"), &summary, NULL);
    int64_t oldest_ms = summary.oldest_ms ? now_ms - summary.oldest_ms : 0;
    struct node own = add(parent, "outbox", r == 0);
    node_add_int(own, "waiting", summary.waiting);
    node_add_int(own, "failed", summary.failed);
    node_add_int(own, "oldest_s", oldest_ms > 0 ? oldest_ms / 1000 : 0);
}

void describe_disk(struct node parent, const char *home)
{
    struct statvfs fs = {0};
    struct node own = add(parent, "disk", statvfs(home, &fs) == 0);
    node_add_int(own, "free_bytes", (int64_t)(fs.f_bavail * fs.f_frsize));
    node_add_int(own, "size_bytes", (int64_t)(fs.f_blocks * fs.f_frsize));
}

void describe_upstream(struct node parent, const struct endpoint *endpoint,
                       const struct agent *agent)
{
    node_add_text(parent, "model", endpoint ? endpoint->name : "");
    struct node own = add(parent, "upstream", endpoint != NULL);
    if (!endpoint)
        return;
    node_add_text(own, "model", endpoint->model);
    node_add_text(own, "provider", endpoint->provider);
    node_add_text(own, "base_url", endpoint->base_url);
    if (!agent)
        return;
    const struct model_health *health = agent_model_health(agent);
    node_add_text(own, "state",
                  health->failures      ? "failing"
                  : health->answered_ms ? "working"
                                        : "unused");
    node_add_int(own, "last_answer_ms", health->answered_ms);
    node_add_int(own, "failures", health->failures);
    node_add_int(own, "failing_since_ms", health->failing_since_ms);
    struct node failure = add(own, "last_failure", health->failed_ms != 0);
    node_add_int(failure, "ms", health->failed_ms);
    node_add_text(failure, "model", health->failed_model);
    node_add_int(failure, "status", health->failure.status);
    node_add_text(failure, "text", health->failure.text);
}
