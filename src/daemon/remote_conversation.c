/*
 * The owner's answer is an event stream. Its last event is kept until the transfer is over, because
 * the next question may be asked from inside it, and what this transfer still had to report would
 * be taken for the next one's.
 *
 * Stopping asks the owner to end the turn, and the stream then reports its end as always. An owner
 * that does not within STOP_LIMIT_MS is left: it notices that, and ends the turn by itself.
 */
#include "daemon/remote_conversation.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/turn_event_json.h"
#include "base/mem.h"
#include "codec/sse.h"
#include "daemon/control_client.h"
#include "net/http_client.h"
#include "serve/control.h"

enum {
    CONNECT_LIMIT_MS = 5 * 1000,
    SILENCE_LIMIT_MS = 60 * 1000, // the owner says something every few seconds
    STOP_LIMIT_MS = 5 * 1000,
    REFUSAL_MAX = 16 * 1024, // bytes
};

struct remote_conversation {
    struct loop *loop;
    struct http_client *http;
    char *socket, *url;
    turn_event_fn *on_event; // NULL: nothing was said
    void *context;
    http_id transfer, stopping;
    loop_id stop_timer;
    int status;
    struct sse_parser stream;
    struct turn_event_reader reader;
    struct buf refusal;    // the body, when the status is not 200
    bool ended;            // the reader holds the last event
    bool over;             // the stream is over, and the stop has not been answered yet
    enum turn_state state; // how the answer ended, where no event says so,
    struct error failure;  // and why
};

static int on_stream_event(void *context, const struct sse_event *event)
{
    struct remote_conversation *conversation = context;
    struct turn_event_reader *reader = &conversation->reader;
    if (conversation->ended ||
        turn_event_read(reader, event->type, event->data, CONTROL_ANSWER_MAX) < 0)
        return 0; // an event that is not known is from a newer hermes
    if (reader->event.kind == TURN_EVENT_END)
        conversation->ended = true;
    else
        conversation->on_event(conversation->context, &reader->event);
    return 0;
}

static void on_head(void *context, const struct http_head *head)
{
    struct remote_conversation *conversation = context;
    conversation->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct remote_conversation *conversation = context;
    if (conversation->status == 200)
        return sse_feed(&conversation->stream, chunk, on_stream_event, conversation, NULL);
    buf_append_span(&conversation->refusal, chunk);
    return 0;
}

// A stop that is still on its way would hit the next answer, so that one is not begun before.
static void report_end(struct remote_conversation *conversation)
{
    conversation->over = conversation->stopping != 0;
    if (conversation->over)
        return;
    struct error failure = conversation->failure;
    struct turn_outcome outcome = {.state = conversation->state,
                                   .text = "",
                                   .error = failure.text,
                                   .remark = "",
                                   .usage = CHAT_USAGE_UNKNOWN};
    struct turn_event event = {.kind = TURN_EVENT_END, .turn = "", .outcome = &outcome};
    if (conversation->ended)
        event = conversation->reader.event;
    loop_cancel(conversation->loop, conversation->stop_timer);
    conversation->stop_timer = 0;
    conversation->transfer = 0;
    conversation->ended = false;
    turn_event_fn *on_event = STEAL(conversation->on_event);
    on_event(conversation->context, &event);
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct remote_conversation *conversation = context;
    struct error refusal = ERROR_INIT;
    const char *sentence = "the running hermes ended in the middle of the answer; the conversation "
                           "is kept in its home";
    if (failure == HTTP_OK && conversation->status != 200) {
        control_client_refusal((unsigned)conversation->status, buf_span(&conversation->refusal),
                               &refusal);
        sentence = refusal.text;
    } else if (failure == HTTP_UNREACHABLE) {
        sentence = "the hermes that was running has ended; what was said is kept in its home";
    } else if (failure == HTTP_TIMED_OUT) {
        sentence = "the running hermes no longer replies";
    } else if (failure == HTTP_EXHAUSTED) {
        sentence = err->text;
    }
    conversation->state = TURN_FAILED;
    error_set(&conversation->failure, -EIO, "%s", sentence);
    report_end(conversation);
}

static int start_transfer(struct remote_conversation *conversation, const char *method,
                          struct span body, const struct http_handler *handler, http_id *ret_id,
                          struct error *err)
{
    struct http_request request = {
        .method = method,
        .url = conversation->url,
        .body = body,
        .timeouts = {.connect = CONNECT_LIMIT_MS,
                     .first_byte = SILENCE_LIMIT_MS,
                     .idle = SILENCE_LIMIT_MS},
        .unix_socket = conversation->socket,
    };
    return http_client_start(conversation->http, &request, handler, conversation, ret_id, err);
}

static int say(void *context, struct span text, turn_event_fn *on_event, void *event_context,
               struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct remote_conversation *conversation = context;
    if (conversation->on_event)
        return error_set(err, -EBUSY, "an answer is already on its way");
    sse_reset(&conversation->stream);
    buf_clear(&conversation->refusal);
    conversation->status = 0;
    int r = start_transfer(conversation, "POST", text, &handler, &conversation->transfer, err);
    if (r == 0) {
        conversation->on_event = on_event;
        conversation->context = event_context;
    }
    return r;
}

static void leave(struct remote_conversation *conversation)
{
    http_client_cancel(conversation->http, conversation->transfer);
    http_client_cancel(conversation->http, conversation->stopping);
    conversation->stopping = 0;
    if (!conversation->over) {
        conversation->state = TURN_CANCELLED;
        conversation->failure = (struct error)ERROR_INIT;
    }
    report_end(conversation);
}

static void on_stop_limit(void *context)
{
    struct remote_conversation *conversation = context;
    conversation->stop_timer = 0;
    leave(conversation);
}

static int ignore_body(void *context, struct span chunk)
{
    return 0;
}

static void on_stop_done(void *context, enum http_failure failure, const struct error *err)
{
    struct remote_conversation *conversation = context;
    conversation->stopping = 0;
    if (conversation->over)
        report_end(conversation);
}

static void stop(void *context)
{
    static const struct http_handler handler = {NULL, ignore_body, on_stop_done};
    struct remote_conversation *conversation = context;
    if (!conversation->on_event)
        return;
    if (conversation->stop_timer) { // asked for twice: no more patience
        leave(conversation);
        return;
    }
    conversation->stop_timer =
        loop_timer_after(conversation->loop, STOP_LIMIT_MS, on_stop_limit, conversation);
    start_transfer(conversation, "DELETE", SPAN_ABSENT, &handler, &conversation->stopping, NULL);
}

int remote_conversation_create(struct loop *loop, const char *home, const char *chat,
                               struct remote_conversation **ret_conversation, struct error *err)
{
    struct http_client *http = NULL;
    int r = http_client_create(loop, NULL, &http, err);
    if (r < 0)
        return r;
    struct remote_conversation *conversation = mem_new(struct remote_conversation);
    conversation->loop = loop;
    conversation->http = http;
    conversation->socket = control_client_socket(home);
    conversation->url = mem_printf("http://localhost/chat?chat=%s", chat);
    sse_init(&conversation->stream, CONTROL_ANSWER_MAX);
    buf_init(&conversation->refusal, REFUSAL_MAX);
    *ret_conversation = conversation;
    return 0;
}

void remote_conversation_destroy(struct remote_conversation *conversation)
{
    if (!conversation)
        return;
    http_client_destroy(conversation->http);
    loop_cancel(conversation->loop, conversation->stop_timer);
    sse_finish(&conversation->stream);
    turn_event_reader_finish(&conversation->reader);
    buf_finish(&conversation->refusal);
    free(conversation->socket);
    free(conversation->url);
    free(conversation);
}

struct console_backend remote_conversation_backend(struct remote_conversation *conversation)
{
    return (struct console_backend){say, stop, conversation};
}
