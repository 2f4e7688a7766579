#include "codec/json_write.h"
#include "codec/money.h"
#include "serve/control_internal.h"
#include "store/message.h"
#include "store/session.h"
#include "store/turn_read.h"

// An empty text is the store's way to say "none".
static void write_optional(struct json_writer *w, const char *key, struct span text)
{
    json_write_key(w, key);
    if (text.len)
        json_write_string(w, text);
    else
        json_write_null(w);
}

static void write_session(void *context, const struct store_session *session)
{
    struct json_writer *w = context;
    json_write_member_string(w, "id", session->id);
    json_write_member_string(w, "channel", session->channel);
    json_write_member_string(w, "chat", session->chat);
    write_optional(w, "thread", session->thread);
    write_optional(w, "sender", session->sender);
    write_optional(w, "title", session->title);
    write_optional(w, "model", session->model);
    json_write_member_int(w, "created_ms", session->created_ms);
    json_write_member_int(w, "updated_ms", session->updated_ms);
}

static bool write_row(void *context, const struct store_session_row *row)
{
    struct json_writer *w = context;
    json_write_object_begin(w);
    write_session(w, &row->session);
    json_write_member_int(w, "messages", row->messages);
    json_write_member_int(w, "turns", row->turns);
    json_write_object_end(w);
    return true;
}

int control_write_sessions(struct store_view *view, struct buf *out, struct error *err)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_key(&w, "sessions");
    json_write_array_begin(&w);
    int r = store_read_sessions(view, STORE_READ_ROWS_MAX, write_row, &w, err);
    json_write_array_end(&w);
    json_write_object_end(&w);
    buf_append_char(out, '\n');
    return r;
}

struct message_list {
    struct json_writer w;
    int64_t count;
};

static bool write_message(void *context, const struct store_message *message)
{
    struct message_list *list = context;
    struct json_writer *w = &list->w;
    list->count++;
    json_write_object_begin(w);
    json_write_member_int(w, "id", message->id);
    json_write_member_string(w, "role", message->role);
    write_optional(w, "turn", message->turn);
    json_write_member_string(w, "content", message->content);
    if (message->reasoning.len)
        json_write_member_string(w, "reasoning", message->reasoning);
    if (message->tool_calls.len)
        json_write_member_raw(w, "tool_calls", message->tool_calls);
    if (message->tool_call_id.len)
        json_write_member_string(w, "tool_call_id", message->tool_call_id);
    if (message->name.len)
        json_write_member_string(w, "name", message->name);
    if (message->tainted)
        json_write_member_bool(w, "tainted", true);
    json_write_member_int(w, "created_ms", message->created_ms);
    json_write_object_end(w);
    return !buf_is_full(w->out);
}

static int write_sums(struct json_writer *w, struct store_view *view, struct span id,
                      struct error *err)
{
    struct store_turn_sums sums;
    int r = store_read_turn_sums(view, id, &sums, err);
    if (r != 0)
        return r;
    json_write_member_int(w, "turns", sums.turns);
    json_write_member_int(w, "input_tokens", sums.usage.input_tokens);
    json_write_member_int(w, "output_tokens", sums.usage.output_tokens);
    json_write_key(w, "cost_usd");
    json_write_fixed(w, sums.usage.cost_pico, MONEY_DIGITS);
    return 0;
}

int control_write_session(struct store_view *view, struct span id, struct buf *out,
                          struct error *err)
{
    struct message_list list = {.count = 0};
    struct json_writer *w = &list.w;
    json_writer_init(w, out);
    json_write_object_begin(w);
    int r = store_read_session(view, id, write_session, w, err);
    if (r == 0)
        r = write_sums(w, view, id, err);
    json_write_key(w, "messages");
    json_write_array_begin(w);
    if (r == 0)
        r = store_read_messages(view, id, STORE_READ_ROWS_MAX, write_message, &list, err);
    json_write_array_end(w);
    // Older ones are in the database, and one read does not reach them.
    json_write_member_bool(w, "is_cut", list.count >= STORE_READ_ROWS_MAX);
    json_write_object_end(w);
    buf_append_char(out, '\n');
    return r;
}
