#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "router/wire/error_body.h"

/*
 * What is changed in a reply on its way: nothing inside an event, ever. Pieces of what came are
 * handed on or left out, and something may be put behind them.
 *
 * `model` is not restamped to the name that the client asked for, as LiteLLM does where no fallback
 * happened: the answer names the model that really answered, which is what the upstream wrote.
 */
struct reply_pieces { // borrowed spans, in order; neighbours are joined
    struct span *spans;
    size_t count, capacity;
    bool last; // nothing follows, and these stay until the call has ended
};

void reply_pieces_clear(struct reply_pieces *pieces); // keeps the memory
void reply_pieces_finish(struct reply_pieces *pieces);
void reply_pieces_add(struct reply_pieces *pieces, struct span piece);
size_t reply_pieces_bytes(const struct reply_pieces *pieces);

// The end of a stream that went wrong after it had begun: `data: {"error":{...}}`, and no [DONE]
// after it. `torn`: half an event was passed on before, which is ended first.
bool reply_edit_error(struct buf *out, const struct error_body *error, bool torn);

// "data: [DONE]", the end of a stream that is made here.
bool reply_edit_done(struct buf *out);

// A comment that keeps a client waiting while the reply is held: ": waiting" and a blank line.
struct span reply_edit_keep_alive(void);
