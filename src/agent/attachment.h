#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/span.h"

struct agent;
struct dispatcher_channel;
struct tool_part;

/*
 * What came with a message besides its text. Its channel names it (store_inbound: media) and
 * fetches it when the message's turn has come; an image is shown to the model, or described to it
 * by the model of the slot "vision" where the one that answers is not known to see. Nothing of it
 * is kept before the turn begins, so after a kill it is simply fetched again.
 */
struct attachment;

struct attached_channel { // a delivering channel
    struct list link;
    const struct dispatcher_channel *channel;
    void *context;
};

enum { ATTACHMENT_GROUP_MAX = 64 }; // bytes of an album's name, with the NUL

enum attachment_kind {
    ATTACHMENT_LOST,  // the text says why
    ATTACHMENT_IMAGE, // that is shown
    ATTACHMENT_SOUND, // that is written down (llm/speech.h), or kept where that is switched off
    ATTACHMENT_FILE,  // that is kept, in the workspace's inbox/, and marked as nobody's word
};

struct attachment_found { // what a channel brings
    enum attachment_kind kind;
    const char *text;  // what it is, for the model: "a photo"; brackets are added
    const char *name;  // that the file wants
    struct buf *bytes; // may be taken
};
typedef void attachment_found_fn(void *context, const struct attachment_found *found);

// The media's "group" is the album it is part of: pieces with the same one are one message.
struct attachment *attachment_create(struct agent *agent, struct span media,
                                     void (*ready)(void *context), void *context);
void attachment_destroy(struct attachment *attachment); // accepts NULL

// False until `ready` was called: it is fetched by that channel from now on.
bool attachment_is_ready(struct attachment *attachment, const struct attached_channel *via,
                         const char *model, const char *session);
bool attachment_is_grouped(const struct attachment *attachment); // accepts NULL, as does:
bool attachment_is_beside(const struct attachment *attachment, const struct attachment *other);

// Of one that is ready. False: there is nothing to show.
void attachment_tell(const struct attachment *attachment, struct buf *text); // on its own line
bool attachment_show(const struct attachment *attachment, struct tool_part *ret_part);
