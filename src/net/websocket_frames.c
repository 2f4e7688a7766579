/*
 * Frames. What is sent waits in a queue. libcurl makes the frames and masks them, and would answer
 * pings by itself; but then a pong would be written into the middle of a message that the socket
 * took half of, and where it takes nothing libcurl would try for ever. So pongs are queued here,
 * before what has not begun. A server that pings and does not read is owed one pong, for its latest
 * ping (RFC 6455 §5.5.3). A frame is given to libcurl in pieces, because libcurl copies them.
 *
 * What libcurl has read becomes messages. It refuses what RFC 6455 §5 forbids of a frame: masks,
 * reserved bits and opcodes, control frames that are long or in fragments, fragments out of order.
 * Sizes, UTF-8 and close frames are judged here. It hands a control frame over like any other
 * (CURLWS_NOAUTOPONG): each call then reads one frame or a part of it, and a server that sends
 * nothing but pings gets its share of the loop and no more.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "net/websocket_internal.h"

enum { MESSAGE_KEPT = 16 * 1024 }; // bytes of a buffer that the next message uses again

void websocket_lose(struct websocket *ws, enum http_failure failure, int code, const char *fmt, ...)
{
    va_list arguments;
    if (ws->state < WEBSOCKET_ENDING) {
        ws->end = (struct websocket_end){.failure = failure,
                                         .status = ws->end.status,
                                         .code = WEBSOCKET_ABNORMAL,
                                         .err = &ws->err};
        ws->err.code = code;
        va_start(arguments, fmt);
        vsnprintf(ws->err.text, sizeof ws->err.text, fmt, arguments);
        va_end(arguments);
    }
    ws->state = WEBSOCKET_OVER;
}

/* The queue */

static struct websocket_frame *first_of(const struct websocket *ws)
{
    return list_empty(&ws->queue) ? NULL : list_entry(ws->queue.next, struct websocket_frame, link);
}

static struct websocket_frame *frame_create(struct websocket *ws, unsigned flags, struct span data)
{
    struct websocket_frame *frame = mem_alloc(sizeof *frame + data.len);
    *frame = (struct websocket_frame){.flags = flags, .len = data.len};
    if (data.len)
        memcpy(frame->data, data.data, data.len);
    if (list_empty(&ws->queue))
        ws->sent_ms = loop_now(ws->loop);
    ws->queued += data.len;
    ws->queued_frames++;
    return frame;
}

static void drop(struct websocket *ws, struct websocket_frame *frame)
{
    if (frame == ws->pong)
        ws->pong = NULL;
    ws->queued -= frame->len - frame->sent;
    ws->queued_frames--;
    list_remove(&frame->link);
    free(frame);
}

void websocket_queue(struct websocket *ws, unsigned flags, struct span data)
{
    struct websocket_frame *frame = frame_create(ws, flags, data);
    list_append(&ws->queue, &frame->link);
}

static void queue_pong(struct websocket *ws, struct span data)
{
    if (ws->pong)
        drop(ws, ws->pong);
    struct websocket_frame *first = first_of(ws), *frame = frame_create(ws, CURLWS_PONG, data);
    struct list *before = first && first->begun ? first->link.next : ws->queue.next;
    list_append(before, &frame->link); // at the end of a list is before its head
    ws->pong = frame;
}

void websocket_queue_close(struct websocket *ws, unsigned code, struct span reason)
{
    char payload[WEBSOCKET_CONTROL_MAX] = {(char)(code >> 8), (char)(code & 0xff)};
    if (reason.len)
        memcpy(payload + 2, reason.data, reason.len);
    ws->close_queued = true;
    websocket_queue(ws, CURLWS_CLOSE,
                    span_make(payload, code == WEBSOCKET_NO_CODE ? 0 : 2 + reason.len));
}

// False when the socket takes no more, or all is lost.
static bool send_piece(struct websocket *ws, struct websocket_frame *frame)
{
    size_t taken = 0, left = frame->len - frame->sent;
    CURLcode result = curl_ws_send(ws->dial->easy, frame->data + frame->sent,
                                   left < WEBSOCKET_PIECE ? left : WEBSOCKET_PIECE, &taken,
                                   (curl_off_t)frame->len, frame->flags | CURLWS_OFFSET);
    frame->begun = true;
    if (frame == ws->pong)
        ws->pong = NULL;
    if (frame->flags == CURLWS_CLOSE && !ws->close_sent) {
        ws->close_sent = true;
        ws->deadline_ms = loop_now(ws->loop) + WEBSOCKET_CLOSE_MS;
    }
    if (result == CURLE_AGAIN)
        return false;
    if (result != CURLE_OK) {
        websocket_lose(ws, HTTP_CUT, -EPIPE, "%s: the connection broke while it was sent to",
                       ws->authority);
        return false;
    }
    ws->sent_ms = loop_now(ws->loop);
    frame->sent += taken;
    ws->queued -= taken;
    if (frame->sent == frame->len)
        drop(ws, frame);
    return true;
}

void websocket_flush(struct websocket *ws)
{
    struct websocket_frame *frame;
    while ((frame = first_of(ws)) && send_piece(ws, frame))
        continue;
}

/* What comes */

// How it ends is known: no more messages, but our close frame.
static void begin_end(struct websocket *ws, unsigned code)
{
    ws->end.code = (uint16_t)code;
    list_for_each(link, &ws->queue) {
        struct websocket_frame *frame = list_entry(link, struct websocket_frame, link);
        if (!frame->begun)
            drop(ws, frame);
    }
    if (!ws->close_sent)
        websocket_queue_close(ws, code, SPAN_ABSENT);
    ws->state = WEBSOCKET_ENDING;
    ws->deadline_ms = loop_now(ws->loop) + WEBSOCKET_CLOSE_MS;
}

// Fails the connection (RFC 6455 §7.1.7): tells the server `code` and waits for its end.
static void fail(struct websocket *ws, enum websocket_code code, const char *what, const char *rest)
{
    websocket_lose(ws, HTTP_CUT, -EPROTO, "%s: it %s%s", ws->authority, what, rest);
    begin_end(ws, code);
}

static void deliver(struct websocket *ws, bool is_text)
{
    struct span message = buf_span(&ws->message);
    ws->in_message = false;
    if (is_text && !utf8_valid(message)) {
        fail(ws, WEBSOCKET_NOT_UTF8, "sent text that is not UTF-8", "");
        return;
    }
    ws->handler.on_message(ws->context, is_text, message.data ? message : SPAN_LITERAL(""));
    if (ws->message.capacity > MESSAGE_KEPT)
        buf_finish(&ws->message);
}

static void take_data(struct websocket *ws, const struct curl_ws_frame *frame, struct span piece)
{
    char bytes[32];
    if (!ws->in_message)
        buf_clear(&ws->message);
    ws->in_message = true;
    if (!buf_append_span(&ws->message, piece) ||
        frame->bytesleft > (curl_off_t)(WEBSOCKET_MESSAGE_MAX - ws->message.len)) {
        snprintf(bytes, sizeof bytes, "%d bytes", WEBSOCKET_MESSAGE_MAX);
        fail(ws, WEBSOCKET_TOO_BIG, "sent a message of more than ", bytes);
        return;
    }
    if (frame->bytesleft == 0 && !(frame->flags & CURLWS_CONT))
        deliver(ws, frame->flags & CURLWS_TEXT);
}

// Those of RFC 6455 §7.4.1 and of the registry that it began, and those for applications (§7.4.2).
bool websocket_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void take_close(struct websocket *ws, struct span payload)
{
    struct span reason = span_skip(payload, payload.len < 2 ? payload.len : 2);
    unsigned code = WEBSOCKET_NO_CODE;
    if (payload.len >= 2)
        code = (unsigned)(unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1];
    if (payload.len == 1 || (payload.len && !websocket_code_is_valid(code))) {
        fail(ws, WEBSOCKET_PROTOCOL_ERROR, "sent a close frame without a valid code", "");
        return;
    }
    if (!utf8_valid(reason)) {
        fail(ws, WEBSOCKET_NOT_UTF8, "closed with a reason that is not UTF-8", "");
        return;
    }
    if (reason.len)
        memcpy(ws->reason, reason.data, reason.len);
    ws->end.reason = span_make(ws->reason, reason.len);
    begin_end(ws, code);
}

static void take_control(struct websocket *ws, const struct curl_ws_frame *frame, struct span piece)
{
    ws->control_len = frame->offset == 0 ? 0 : ws->control_len;
    if (piece.len > sizeof ws->control - ws->control_len)
        return; // libcurl has let no such frame through
    if (piece.len)
        memcpy(ws->control + ws->control_len, piece.data, piece.len);
    ws->control_len += piece.len;
    if (frame->bytesleft != 0)
        return;
    struct span payload = span_make(ws->control, ws->control_len);
    if (frame->flags & CURLWS_CLOSE) {
        take_close(ws, payload);
    } else if (frame->flags & CURLWS_PING && !ws->close_queued) {
        queue_pong(ws, payload);
        websocket_flush(ws);
    }
}

// libcurl says the same of a frame that it refuses and of a socket that broke, but for its words.
static void broken(struct websocket *ws, CURLcode result)
{
    static const char mark[] = "[WS] ";
    struct span words = span_of(ws->problem);
    long os_errno = 0;
    curl_easy_getinfo(ws->dial->easy, CURLINFO_OS_ERRNO, &os_errno);
    if (result == CURLE_RECV_ERROR && span_starts_with(words, mark))
        fail(ws, WEBSOCKET_PROTOCOL_ERROR, "broke the protocol: ", words.data + sizeof mark - 1);
    else if (result == CURLE_GOT_NOTHING || os_errno == 0)
        websocket_lose(ws, HTTP_CUT, -ECONNABORTED,
                       "%s: the connection ended without a close frame", ws->authority);
    else
        websocket_lose(ws, HTTP_CUT, -(int)os_errno, "%s: the connection broke: %s", ws->authority,
                       strerror((int)os_errno));
}

// False when there is nothing to be read now, or nothing any more.
static bool receive_piece(struct websocket *ws)
{
    char data[WEBSOCKET_PIECE];
    const struct curl_ws_frame *frame;
    unsigned tries = 0;
    size_t len;
    CURLcode result;
    do
        result = curl_ws_recv(ws->dial->easy, data, sizeof data, &len, &frame);
    while (result == CURLE_AGAIN && dial_hides_more(ws->dial, &tries));
    if (result != CURLE_OK) {
        if (result != CURLE_AGAIN)
            broken(ws, result);
        return false;
    }
    ws->heard_ms = loop_now(ws->loop);
    ws->pinged = false;
    if (frame->flags & (CURLWS_CLOSE | CURLWS_PING | CURLWS_PONG))
        take_control(ws, frame, span_make(data, len));
    else
        take_data(ws, frame, span_make(data, len));
    return true;
}

bool websocket_receive(struct websocket *ws)
{
    for (unsigned i = 0; i < WEBSOCKET_TURN; i++)
        if (ws->state != WEBSOCKET_OPENED || ws->destroyed || !receive_piece(ws))
            return false;
    return true;
}
