#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "llm/chat.h"
#include "router/wire/reply_look.h"
#include "router/wire/reply_watch.h"

/*
 * The two halves of reply_watch: reply_stream.c cuts a stream into events and decides which of them
 * pass, reply_watch.c knows of shapes and ends; below both, reply_says.c reads.
 */

#define REPLY_BOM "\xEF\xBB\xBF" // a byte order mark, which may stand before all

void reply_stream_feed(struct reply_watch *watch, struct span chunk);
void reply_stream_take(struct reply_watch *watch, struct span text); // that begins with an event
void reply_stream_end(struct reply_watch *watch, bool cut);

void reply_fail(struct reply_watch *watch, enum chat_failure_kind kind, const char *sentence);
void reply_fail_empty(struct reply_watch *watch);     // the answer ended, and nothing was in it
void reply_fail_with_body(struct reply_watch *watch); // what is held is that of an error
void reply_begin_to_pass(struct reply_watch *watch);

// Takes over what `text` said; false when it was a failure.
bool reply_note(struct reply_watch *watch, struct span text, const struct reply_look *look);
