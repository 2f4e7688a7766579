#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "llm/chat.h"

/*
 * A language that model servers speak: how a request is written in it, and how a reply, an error
 * and the usage are read. It does no I/O and knows no time, so a recorded file drives it. Adding
 * one is a file with one of these and a row in wire_formats.
 *
 * Clients of the router speak openai_chat, and so does the router itself: replies of that format
 * pass through it byte for byte. Every other format is translated at the edge (translation.h).
 */
enum upstream_operation { UPSTREAM_CHAT, UPSTREAM_COMPLETIONS, UPSTREAM_EMBEDDINGS };
enum { UPSTREAM_OPERATIONS = UPSTREAM_EMBEDDINGS + 1 };

enum { WIRE_REQUEST_MAX = 32 * 1024 * 1024 }; // bytes of one request body

struct wire_format;

// A reply in the making: bytes in, deltas to the chat_sink, one chat_reply at the end. The first
// member of a struct of the format's own.
struct wire_reply {
    const struct wire_format *format;
    const struct chat_sink *sink; // only of on_text and on_reasoning
    void *context;
    struct chat_usage usage; // as far as it was said; known also where the reply fails
    char *model;             // that answers, owned; NULL as long as it was not said
    // Events so far that have a part of the answer, told to the sink or not (a tool call is told
    // when it is whole): as long as they come the server is not silent.
    uint64_t said;
    bool failed;
    struct chat_failure failure;
};

struct wire_format {
    const char *name;                       // as in model_list: "NAME/model" with an api_base
    const char *paths[UPSTREAM_OPERATIONS]; // behind the base URL; NULL: no such operation
    const char *key_header;                 // before the key: "Authorization: Bearer "
    const char *const *headers;             // of every request, NULL-terminated

    // -E2BIG when it does not fit into `out`.
    int (*write_request)(const struct chat_request *request, struct buf *out, struct error *err);

    // Zeroed but for its own. Content-Type may be wrong: the first bytes know better.
    struct wire_reply *(*reply_create)(struct span content_type);
    void (*reply_destroy)(struct wire_reply *reply);
    size_t (*reply_bytes)(const struct wire_reply *reply); // of memory that it keeps, about
    // Negative once the reply has failed; reply->failure then says how.
    int (*reply_feed)(struct wire_reply *reply, struct span bytes);
    // The body has ended well. 0 and *ret_reply (owned by the caller), or negative as above.
    int (*reply_end)(struct wire_reply *reply, struct chat_reply *ret_reply);

    // The body of an answer whose status is not 2xx; a part of it will do.
    void (*read_error)(struct span body, int status, struct chat_failure *ret_failure);
};

extern const struct wire_format wire_openai_chat; // POST /chat/completions

// The table: NULL-terminated.
extern const struct wire_format *const wire_formats[];

const struct wire_format *wire_format_find(struct span name); // NULL: none of that name

// The same for every format.
struct wire_reply *wire_reply_create(const struct wire_format *format, struct span content_type,
                                     const struct chat_sink *sink, void *context);
void wire_reply_destroy(struct wire_reply *reply); // accepts NULL
int wire_reply_fail(struct wire_reply *reply, enum chat_failure_kind kind, const char *sentence);
