#pragma once

#include <stdbool.h>

#include "agent/turn_event.h"
#include "base/buf.h"
#include "codec/json.h"

/*
 * An event on the wire: a type, as server-sent events have it ("text", "call", ...), and one JSON
 * object. Of a tool's result the first 16 KiB are told. TURN_EVENT_BEGIN has no such form.
 */
const char *turn_event_type(enum turn_event_kind kind);

// An `outcome->text` of NULL becomes null. `out` is full when the event does not fit.
void turn_event_write(const struct turn_event *event, struct buf *out);

struct turn_event_reader { // zeroed before its first use
    struct turn_event event;
    struct turn_outcome outcome;
    struct json document;
    struct buf text;
    char *name, *arguments, *error, *remark;
    struct turn_question *questions;
    size_t question_count;
};

/*
 * Reads one event, of at most `max` bytes a text, into reader->event, which lives until the next
 * one is read. What is missing or odd in it is as if it were empty; -EBADMSG and nothing is read
 * when it is no JSON, or of a type that this version does not know.
 */
int turn_event_read(struct turn_event_reader *reader, struct span type, struct span data,
                    size_t max);
void turn_event_reader_finish(struct turn_event_reader *reader); // accepts zeroed
