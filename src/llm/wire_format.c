#include "llm/wire_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct wire_reply *wire_reply_create(const struct wire_format *format, struct span content_type,
                                     const struct chat_sink *sink, void *context)
{
    struct wire_reply *reply = format->reply_create(content_type);
    reply->format = format;
    reply->sink = sink;
    reply->context = context;
    reply->usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    return reply;
}

void wire_reply_destroy(struct wire_reply *reply)
{
    if (!reply)
        return;
    free(reply->model);
    reply->format->reply_destroy(reply);
}

int wire_reply_fail(struct wire_reply *reply, enum chat_failure_kind kind, const char *sentence)
{
    if (!reply->failed) {
        reply->failure = (struct chat_failure){.kind = kind, .retry_after_ms = -1};
        snprintf(reply->failure.text, sizeof reply->failure.text, "%s", sentence);
    }
    reply->failed = true;
    return -EPROTO;
}

const struct wire_format *wire_format_find(struct span name)
{
    for (const struct wire_format *const *format = wire_formats; *format; format++)
        if (span_is(name, (*format)->name))
            return *format;
    return NULL;
}
