#pragma once

#include "base/buf.h"
#include "llm/wire_format.h"

/*
 * Drives an openai_reply with bytes and writes what comes of it as text, so that a test is a
 * comparison: "text=Hi|calls=read_file(id){...};|finish=stop|usage=1,2,-,-,-|model=m" or
 * "failed KIND STATUS: sentence". Ids that were made up are shown as "made-up".
 */
struct reply_feeding {
    const char *type; // Content-Type, or NULL
    size_t step;      // bytes per piece; 0: `cut` alone decides
    size_t cut;       // the first piece's bytes
};

// Each piece is fed from a block of its own, which is gone afterwards.
void reply_record(struct span body, struct reply_feeding feeding, struct buf *out);
