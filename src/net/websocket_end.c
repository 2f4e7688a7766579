// How a WebSocket ends, for the files that find it out.
#include <stdarg.h>
#include <stdio.h>

#include "net/websocket_internal.h"

void websocket_set_failure(struct websocket *ws, enum http_failure failure, uint16_t code)
{
    ws->end.failure = failure;
    ws->end.code = code;
    ws->end.err = &ws->err;
}

void websocket_lose(struct websocket *ws, enum http_failure failure, int code, const char *fmt, ...)
{
    va_list arguments;
    if (ws->state < WEBSOCKET_ENDING) {
        websocket_set_failure(ws, failure, WEBSOCKET_ABNORMAL);
        ws->err.code = code;
        va_start(arguments, fmt);
        vsnprintf(ws->err.text, sizeof ws->err.text, fmt, arguments);
        va_end(arguments);
    }
    ws->state = WEBSOCKET_OVER;
}

void websocket_begin_end(struct websocket *ws)
{
    ws->state = WEBSOCKET_ENDING;
    ws->deadline_ms = loop_now(ws->loop) + WEBSOCKET_CLOSE_MS;
}
