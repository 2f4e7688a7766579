#pragma once

#include "base/buf.h"
#include "codec/json.h"

/*
 * What a message holds beside its text. What can be fetched is named in the inbox, in JSON:
 * {"kind": "photo", "what": "a photo", "file": its id, "name", "size", "seconds", "group": the
 * album}. Of all else the model is told, so that it does not answer as if there had been nothing.
 */
enum {
    TELEGRAM_FILE_TEXT_MAX = 512,       // bytes of an id, or of a name that a sender chose
    TELEGRAM_FILE_MAX = 20 << 20,       // bytes that a bot may fetch, as the Bot API has it
    TELEGRAM_PHOTO_WANTED = 600 * 1024, // bytes: of several sizes the largest below
    TELEGRAM_MEDIA_MAX = 8 * 1024,      // bytes of that JSON
};

// What cannot be fetched, as a sentence in brackets; nothing where all can.
void telegram_media_note(struct json_value message, struct buf *out);
// On the heap; NULL: nothing is to be fetched. *ret_unique changes with the file.
char *telegram_media_read(struct json_value message, uint64_t *ret_unique);
