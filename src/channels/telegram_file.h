#pragma once

#include "channels/telegram_internal.h"

/*
 * A file of the workspace that a row of the outbox promises, and how it goes to Telegram: images
 * that it takes as photos, everything else, and what it refuses as one, as a document.
 */
struct telegram_file {
    struct span what;    // "SIZE\nPATH"; within the row's text, which the owner keeps
    struct span caption; // also there
    struct sent_file *opening;
    int fd; // owned; read while it is sent; -1: not open yet
    size_t size;
    bool is_image, as_document;
    struct buf head, tail; // of the form, around it
    char *type;            // owned; a line of the request's head
};

struct telegram_file *telegram_file_create(struct span text);
void telegram_file_destroy(struct telegram_file *file); // accepts NULL

struct span telegram_file_path(const struct telegram_file *file);
// What was promised is there: takes the descriptor, and looks how it begins.
void telegram_file_take(struct telegram_file *file, int fd, int64_t size, struct span first);
bool telegram_file_is_photo(const struct telegram_file *file); // and goes as one
// The file stays as it is until the answer, or until the call is cancelled.
telegram_call_id telegram_file_send(struct telegram *telegram, struct telegram_file *file,
                                    struct telegram_place place, telegram_answer_fn *fn,
                                    void *context);
