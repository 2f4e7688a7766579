#include "serve/describe.h"

#include "channels/telegram.h"
#include "codec/json_write.h"
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
    json_write_member_text(w, "username", status.username);
    json_write_member_int(w, "last_poll_ms", status.last_poll_ms);
    json_write_member_int(w, "updates", status.updates);
    json_write_member_int(w, "sent", status.sent);
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
