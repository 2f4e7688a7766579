#pragma once

#include "channels/telegram_internal.h"

/*
 * A file of the workspace that a row of the outbox promises, and how it goes to Telegram: images
 * that it takes as photos, everything else, and what it refuses as one, as a document.
 */
struct telegram_file {
    struct span what;    // "SIZE\nPATH"; within the row's text, which the owner keeps
    struct span caption; // also there
    struct sent_file *reading;
    bool read, as_document;
    struct buf bytes, head, tail;
    char *type; // owned; a line of the request's head
};

struct telegram_file *telegram_file_create(struct span text);
void telegram_file_destroy(struct telegram_file *file); // accepts NULL

struct span telegram_file_path(const struct telegram_file *file);
bool telegram_file_is_photo(const struct telegram_file *file); // and goes as one
// The file stays as it is until the answer, or until the call is cancelled.
telegram_call_id telegram_file_send(struct telegram *telegram, struct telegram_file *file,
                                    struct telegram_place place, telegram_answer_fn *fn,
                                    void *context);
