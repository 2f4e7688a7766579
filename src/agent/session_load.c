#include <stdlib.h>
#include <string.h>

#include "agent/compression.h"
#include "agent/part_list.h"
#include "agent/session.h"
#include "base/mem.h"
#include "codec/json.h"
#include "store/message.h"

/*
 * A history out of the store. The rows may come from another version of this program or from an
 * interrupted one, and what a model refuses is a history whose pieces do not fit: a result without
 * its call is left out, and a call without its result gets one. Only the calls of the very last
 * message may be open, since a turn may be about to go on with them (agent_session_close()).
 */
struct loading {
    struct agent_session *session;
    size_t asking;   // index + 1 of the message whose calls are answered now; 0: none
    size_t answered; // of its calls
    bool begun;      // a user has said something, behind the summary
};

static char *optional_text(struct span span)
{
    return span.data && span.len ? mem_strndup(span.data, span.len) : NULL;
}

static void add_calls(struct chat_message *message, struct span text)
{
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, text, NULL) < 0)
        return;
    struct json_iter it = json_iter_init(json_root(&doc));
    struct json_value call;
    while (message->call_count < CHAT_CALLS_MAX && json_iter_next(&it, NULL, &call)) {
        CLEANUP(mem_cleanup) char *id = json_strdup(json_get(call, "id"), CHAT_ID_MAX);
        CLEANUP(mem_cleanup) char *name = json_strdup(json_get(call, "name"), CHAT_NAME_MAX);
        CLEANUP(mem_cleanup)
        char *arguments = json_strdup(json_get(call, "arguments"), CHAT_ARGUMENTS_MAX);
        CLEANUP(mem_cleanup) char *extra = json_strdup(json_get(call, "extra"), CHAT_EXTRA_MAX);
        if (id && name)
            chat_message_add_call(message, id, name, arguments ? arguments : "{}", extra);
    }
}

static void answer_rest(struct loading *loading)
{
    static const char lost[] = "(the result was lost)";
    struct chat_history *history = &loading->session->history;
    while (loading->asking &&
           loading->answered < history->messages[loading->asking - 1].call_count) {
        const char *id = history->messages[loading->asking - 1].calls[loading->answered++].id;
        chat_history_append_result(history, id, lost, false);
        history->messages[history->count - 1].unstored = true;
    }
    loading->asking = 0;
}

// Results come in the order of their calls, as turn_calls_append_results() writes them.
static void add_result(struct loading *loading, const struct store_message *row)
{
    struct chat_history *history = &loading->session->history;
    if (!loading->asking)
        return;
    const struct chat_message *asking = &history->messages[loading->asking - 1];
    if (loading->answered == asking->call_count ||
        !span_is(row->tool_call_id, asking->calls[loading->answered].id))
        return;
    CLEANUP(mem_cleanup) char *text = mem_strndup(row->content.data, row->content.len);
    const char *id = asking->calls[loading->answered++].id;
    chat_history_append_result(history, id, text, row->tainted);
    history->messages[history->count - 1].at_ms = row->created_ms;
    part_list_read(row->parts, &history->messages[history->count - 1].parts);
    if (row->emptied)
        compression_empty(&history->messages[history->count - 1]);
}

static bool on_message(void *context, const struct store_message *row)
{
    struct loading *loading = context;
    struct chat_history *history = &loading->session->history;
    bool user = span_is(row->role, chat_role_name(CHAT_USER));
    if (span_is(row->role, "summary")) {
        CLEANUP(mem_cleanup) char *text = mem_strndup(row->content.data, row->content.len);
        compression_show(history, text, row->tainted);
        return true;
    }
    loading->begun |= user;
    if (!loading->begun)
        return true; // the limit cut a turn in two: begin with the next one
    if (span_is(row->role, chat_role_name(CHAT_TOOL))) {
        add_result(loading, row);
        return true;
    }
    answer_rest(loading);
    struct chat_message message = {
        .role = user ? CHAT_USER : CHAT_ASSISTANT,
        .text = optional_text(row->content),
        .extra = optional_text(row->reasoning),
        .tainted = row->tainted,
        .at_ms = row->created_ms,
    };
    if (!user && row->tool_calls.len)
        add_calls(&message, row->tool_calls);
    if (chat_message_has_extra(&message))
        message.writer = optional_text(row->model);
    part_list_read(row->parts, &message.parts);
    bool asks = message.call_count > 0;
    if (user && !message.text)
        message.text = mem_strdup("");
    chat_history_append(history, &message);
    loading->asking = asks ? history->count : 0;
    loading->answered = 0;
    return true;
}

static void on_session(void *context, const struct store_session *row)
{
    struct agent_session *session = context;
    if (row->id.len >= sizeof session->id)
        return;
    memcpy(session->id, row->id.data, row->id.len);
    session->id[row->id.len] = '\0';
    session->channel = mem_strndup(row->channel.data, row->channel.len);
    session->chat = mem_strndup(row->chat.data, row->chat.len);
    session->thread = mem_strndup(row->thread.data, row->thread.len);
    session->sender = mem_strndup(row->sender.data, row->sender.len);
    session->title = optional_text(row->title);
    session->model = optional_text(row->model);
    session->prompt = optional_text(row->prompt);
    session->prompt_tokens = row->prompt_tokens ? row->prompt_tokens : -1;
    session->stored = true;
}

void agent_session_close(struct agent_session *session)
{
    struct chat_history *history = &session->history;
    size_t asking = history->count;
    while (asking && history->messages[asking - 1].role == CHAT_TOOL)
        asking--;
    struct loading loading = {session, asking, history->count - asking};
    answer_rest(&loading);
}

// The number of messages that are shown. Messages are left out by whole epochs, so the beginning
// stands still for long, and what a provider has in its cache begins in the same way.
static int shown_of(int64_t count, int most)
{
    int64_t epochs = count > most ? (count - most + SESSION_EPOCH - 1) / SESSION_EPOCH : 0;
    return (int)(count - epochs * SESSION_EPOCH);
}

static int load_history(struct store_view *view, struct agent_session *session, struct error *err)
{
    int64_t count = 0;
    int r = store_read_history_count(view, span_of(session->id), &count, err);
    for (int most = SESSION_HISTORY_MAX; r == 0; most *= 2) {
        struct loading loading = {.session = session};
        chat_history_truncate(&session->history, 0);
        most = most < STORE_READ_ROWS_MAX ? most : STORE_READ_ROWS_MAX;
        r = store_read_history(view, span_of(session->id), shown_of(count, most), on_message,
                               &loading, err);
        // A turn longer than the window loses its question and with it everything; look further
        // back.
        if (loading.begun || most >= count || most == STORE_READ_ROWS_MAX)
            break;
    }
    session->counted = session->history.count; // but for the answer
    while (session->counted && session->history.messages[session->counted - 1].role != CHAT_USER &&
           session->history.messages[session->counted - 1].role != CHAT_TOOL)
        session->counted--;
    return r < 0 ? r : 0;
}

static int finish_load(struct store_view *view, int found, struct agent_session *session,
                       struct agent_session **ret_session, struct error *err)
{
    int r = found;
    if (r == 0 && !session->stored) // an id that no version of this program gives
        r = STORE_NOT_FOUND;
    if (r == 0)
        r = load_history(view, session, err);
    if (r == 0)
        *ret_session = session;
    else
        agent_session_destroy(session);
    return r;
}

int agent_session_load(struct store_view *view, struct span id, struct agent_session **ret_session,
                       struct error *err)
{
    struct agent_session *session = mem_new(struct agent_session);
    int r = store_read_session(view, id, on_session, session, err);
    return finish_load(view, r, session, ret_session, err);
}

int agent_session_load_latest(struct store_view *view, const struct store_session_key *key,
                              struct agent_session **ret_session, struct error *err)
{
    struct agent_session *session = mem_new(struct agent_session);
    int r = store_read_session_latest(view, key, on_session, session, err);
    return finish_load(view, r, session, ret_session, err);
}
