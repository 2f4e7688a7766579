#include "serve/describe.h"

#include <sys/statvfs.h>

#include "agent/model_health.h"
#include "channels/telegram.h"
#include "codec/json_write.h"
#include "llm/endpoint.h"
#include "store/outbox.h"
#include "store/store.h"

static const char *state_name(enum store_state state)
{
    switch (state) {
    case STORE_OPENING:
        return "opening";
    case STORE_CHECKING:
        return "checking";
    case STORE_READY:
        return "ready";
    case STORE_FAILED:
        break;
    }
    return "failed";
}

bool describe_ready(struct store *store)
{
    enum store_state state = store_state(store);
    return state == STORE_CHECKING || state == STORE_READY;
}

void describe_store(struct json_writer *w, struct store *store)
{
    json_write_key(w, "store");
    json_write_object_begin(w);
    json_write_member_text(w, "state", state_name(store_state(store)));
    json_write_member_text(w, "detail", store_describe(store));
    json_write_member_text(w, "trouble", store_trouble(store));
    json_write_member_text(w, "note", store_note(store));
    json_write_object_end(w);
}

void describe_telegram(struct json_writer *w, const struct telegram *telegram)
{
    struct telegram_status status;
    json_write_key(w, "telegram");
    if (!telegram) {
        json_write_null(w);
        return;
    }
    telegram_status(telegram, &status);
    json_write_object_begin(w);
    json_write_member_text(w, "state", status.state);
    json_write_member_text(w, "detail", status.detail);
    json_write_member_int(w, "failing_s", status.failing_ms / 1000);
    json_write_member_text(w, "username", status.username);
    json_write_member_int(w, "last_poll_ms", status.last_poll_ms);
    json_write_member_int(w, "updates", status.updates);
    json_write_member_int(w, "sent", status.sent);
    json_write_object_end(w);
}

void describe_telegram_state(struct json_writer *w, const struct telegram *telegram)
{
    struct telegram_status status;
    json_write_key(w, "telegram");
    if (!telegram) {
        json_write_null(w);
        return;
    }
    telegram_status(telegram, &status);
    json_write_object_begin(w);
    json_write_member_text(w, "state", status.state);
    json_write_object_end(w);
}

void describe_outbox(struct json_writer *w, struct store *store, int64_t now_ms)
{
    struct store_outbox_summary summary;
    int r = store_read_outbox_summary(store, SPAN_LITERAL("telegram"), &summary, NULL);
    json_write_key(w, "outbox");
    if (r != 0) {
        json_write_null(w);
        return;
    }
    int64_t oldest_ms = summary.oldest_ms ? now_ms - summary.oldest_ms : 0;
    json_write_object_begin(w);
    json_write_member_int(w, "waiting", summary.waiting);
    json_write_member_int(w, "failed", summary.failed);
    json_write_member_int(w, "oldest_s", oldest_ms > 0 ? oldest_ms / 1000 : 0);
    json_write_object_end(w);
}

void describe_disk(struct json_writer *w, const char *home)
{
    struct statvfs fs;
    json_write_key(w, "disk");
    if (statvfs(home, &fs) < 0) {
        json_write_null(w);
        return;
    }
    json_write_object_begin(w);
    json_write_member_int(w, "free_bytes", (int64_t)(fs.f_bavail * fs.f_frsize));
    json_write_member_int(w, "size_bytes", (int64_t)(fs.f_blocks * fs.f_frsize));
    json_write_object_end(w);
}

static void write_failure(struct json_writer *w, const struct model_health *health)
{
    json_write_key(w, "last_failure");
    if (!health->failed_ms) {
        json_write_null(w);
        return;
    }
    json_write_object_begin(w);
    json_write_member_int(w, "ms", health->failed_ms);
    json_write_member_text(w, "model", health->failed_model);
    json_write_member_int(w, "status", health->failure.status);
    json_write_member_text(w, "text", health->failure.text);
    json_write_object_end(w);
}

static void write_health(struct json_writer *w, const struct model_health *health)
{
    json_write_member_text(w, "state",
                           health->failures      ? "failing"
                           : health->answered_ms ? "working"
                                                 : "unused");
    json_write_member_int(w, "last_answer_ms", health->answered_ms);
    json_write_member_int(w, "failures", health->failures);
    json_write_member_int(w, "failing_since_ms", health->failing_since_ms);
    write_failure(w, health);
}

void describe_upstream(struct json_writer *w, const struct endpoint *endpoint,
                       const struct agent *agent)
{
    json_write_member_text(w, "model", endpoint ? endpoint->name : "");
    json_write_key(w, "upstream");
    if (!endpoint) {
        json_write_null(w);
        return;
    }
    json_write_object_begin(w);
    json_write_member_text(w, "model", endpoint->model);
    json_write_member_text(w, "provider", endpoint->provider);
    json_write_member_text(w, "base_url", endpoint->base_url);
    if (agent)
        write_health(w, agent_model_health(agent));
    json_write_object_end(w);
}
