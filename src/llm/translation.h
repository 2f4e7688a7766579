#pragma once

#include "llm/wire_format.h"

/*
 * One call whose server speaks another wire format than the router does: its request, which came in
 * openai_chat, is written anew, and what comes back becomes what a server of openai_chat would have
 * sent. Both ways go through the neutral chat model. A tool call is told when it is whole.
 */
struct translation;

// The request's body, which is all parts joined, in `format`; `params` as of openai_read_request().
// -ENOTSUP: it holds what has no place in the chat model, of which the sentence tells; -EBADMSG;
// -E2BIG.
int translation_create(const struct wire_format *format, const struct span *parts, size_t count,
                       struct span params, struct translation **ret_translation, struct error *err);
const struct span *translation_request(const struct translation *translation); // one piece
void translation_destroy(struct translation *translation);                     // accepts NULL

// The answer has begun: what Content-Type says of it, and what it is for the client's side.
struct span translation_begin(struct translation *translation, struct span content_type);

// The id and the name of the model that are written are made here; what the server said of itself:
const char *translation_model(const struct translation *translation); // NULL: nothing (yet)
uint64_t translation_said(const struct translation *translation);     // as of struct wire_reply
size_t translation_bytes(const struct translation *translation);      // kept of the answer, about

// Bytes in, bytes out, which live until the next call. NULL, or how it failed, which lives as the
// translation does; there may be bytes then as well.
const struct chat_failure *translation_feed(struct translation *translation, struct span bytes,
                                            struct span *ret_bytes);
const struct chat_failure *translation_end(struct translation *translation, struct span *ret_bytes);
