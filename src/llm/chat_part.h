#pragma once

#include <stddef.h>

#include "codec/media.h"

// Images and sound. A request that the router passes on has up to twice the bytes in memory.
enum {
    CHAT_PART_MAX = 3840 * 1024,            // bytes of one: 5 MiB of base64, Anthropic's limit
    CHAT_PARTS_MAX = 10,                    // of one message: an album
    CHAT_PARTS_SENT_MAX = 10,               // the newest, which are sent with a request
    CHAT_PARTS_SENT_BYTES = 6 * 1024 * 1024 // bytes of these together
};

enum chat_media { CHAT_IMAGES = 1, CHAT_SOUND = 2 }; // bits

/*
 * An image or sound of a message, of a user's or of a tool's result. The message's text says that
 * it was there. Its bytes are in the store, and here only while a request is written. A wire format
 * puts it where it can: openai_chat's results of tools are text, so there it follows them in a
 * message of the user, which says whose it is. What is not sent is a sentence.
 */
struct chat_part {
    const struct media_type *type;
    char *name;  // of the tool, or the file; NULL: none
    char *id;    // by which the store has its bytes: a digest; NULL: it is not there
    size_t size; // bytes
    char *data;  // base64; NULL: not sent
};

struct chat_parts {
    struct chat_part *items;
    size_t count;
};

struct chat_part *chat_parts_add(struct chat_parts *parts);    // a zeroed one at the end
void chat_parts_finish(struct chat_parts *parts);              // accepts zeroed
enum chat_media chat_part_media(const struct chat_part *part); // one bit
