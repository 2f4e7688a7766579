/*
 * The queue of frames. libcurl makes the frames and masks them, and would answer pings by itself;
 * but then a pong would be written into the middle of a message that the socket took half of, and
 * where it takes nothing libcurl would try for ever. So pongs are queued here, before what has not
 * begun.
 *
 * A server that pings and does not read is owed one pong, for its latest ping (RFC 6455 §5.5.3).
 *
 * libcurl is given a frame in pieces, because it copies all that it is given.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/websocket_internal.h"

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

void websocket_drop_unsent(struct websocket *ws)
{
    list_for_each(link, &ws->queue) {
        struct websocket_frame *frame = list_entry(link, struct websocket_frame, link);
        if (!frame->begun)
            drop(ws, frame);
    }
}

void websocket_queue(struct websocket *ws, unsigned flags, struct span data)
{
    struct websocket_frame *frame = frame_create(ws, flags, data);
    list_append(&ws->queue, &frame->link);
}

void websocket_queue_pong(struct websocket *ws, struct span data)
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
