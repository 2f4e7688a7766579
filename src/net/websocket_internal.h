#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"
#include "net/dialer_internal.h"
#include "net/websocket.h"

// What the files of the WebSocket share: websocket.c leads it from open to end,
// websocket_handshake.c asks for it and judges the answer, websocket_frames.c makes messages of
// frames and queues those that are sent. Nobody else includes this.

enum {
    WEBSOCKET_CONTROL_MAX = 125, // bytes of a control frame's payload (RFC 6455 §5.5)
    WEBSOCKET_KEY_SIZE = 25,     // bytes: the base64 of 16, with the NUL
    WEBSOCKET_PIECE = 16 * 1024, // bytes of a frame that are read or written at a time
    WEBSOCKET_TURN = 32,         // pieces that are read before others have their turn
};

enum websocket_state {
    WEBSOCKET_CONNECTING,
    WEBSOCKET_OPENED,
    WEBSOCKET_ENDING, // how it ends is known: our close frame goes out, the server's FIN is due
    WEBSOCKET_OVER,
};

struct websocket_frame {
    struct list link; // websocket.queue
    unsigned flags;   // CURLWS_*
    bool begun;       // libcurl has seen it
    size_t sent, len;
    char data[];
};

struct websocket {
    struct loop *loop;
    struct dial *dial;
    struct websocket_handler handler;
    void *context;
    enum websocket_state state;
    bool busy, destroyed; // in a callback, and destroyed in it
    loop_id watch, deferred, timer;
    unsigned watched;    // the events that the loop was told
    int64_t deadline_ms; // of opening, or of the end; INT64_MAX: none
    int64_t idle_ms;
    int64_t heard_ms; // when bytes came last, and
    int64_t sent_ms;  // when some went that waited
    bool pinged;      // since then

    // websocket_handshake.c
    char *url, *host, *authority, *protocols;
    void *headers;                // struct curl_slist *
    char key[WEBSOCKET_KEY_SIZE]; // Sec-WebSocket-Key
    bool asked;                   // the connection is there: what fails now is the server's answer
    struct buf head;              // of the answer
    size_t head_bytes;            // with those of interim answers
    char problem[256];            // libcurl's words (CURL_ERROR_SIZE)

    // websocket_frames.c
    struct buf message;
    bool in_message; // its first fragment has come
    size_t control_len;
    char control[WEBSOCKET_CONTROL_MAX];
    struct list queue; // frames; only the first may have begun
    size_t queued, queued_frames;
    struct websocket_frame *pong;  // in the queue and not begun, or NULL
    bool wants_room;               // -EAGAIN was said
    bool close_queued, close_sent; // the second: libcurl has seen our close frame

    struct websocket_end end; // of ENDING and OVER
    char reason[WEBSOCKET_REASON_MAX];
    struct error err;
};

// websocket_handshake.c
int websocket_prepare(struct websocket *ws, const struct websocket_request *request,
                      struct dial_target *ret_target, struct error *err);
bool websocket_judge(struct websocket *ws);                  // the 101; else it is lost
void websocket_refused(struct websocket *ws);                // there was no 101
struct http_head websocket_head(const struct websocket *ws); // of the 101

// websocket_frames.c
bool websocket_receive(struct websocket *ws); // there may be more, which no event tells of
bool websocket_code_is_valid(unsigned code);  // to be sent in a close frame
void websocket_queue(struct websocket *ws, unsigned flags, struct span data);
void websocket_queue_close(struct websocket *ws, unsigned code, struct span reason);
void websocket_flush(struct websocket *ws);
// The connection is of no more use: on_close is due.
void websocket_lose(struct websocket *ws, enum http_failure failure, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
