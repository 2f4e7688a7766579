#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "router/wire/pieces.h"
#include "router/wire/request_scan.h"

/*
 * A client's request body, and what is made of it for an upstream: the client's own bytes but for
 * a few edits, as a list of pieces that need not be joined. It may be made anew for the next
 * deployment as often as it takes.
 */
enum {
    ROUTER_MODEL_MAX = 256,       // bytes of a model's name
    ROUTER_PARTS_MAX = 48,        // pieces of one body; what would need more is joined into one
    ROUTER_EDIT_MAX = 256 * 1024, // bytes that one edit may add
};

struct router_body {
    struct buf bytes; // the client's, owned
    struct request_scan scan;
    size_t media_bytes;    // of images and sound in it, whose tokens are not those of a text
    struct buf model;      // as the client named it, decoded; empty: it named none
    bool is_named_outside; // the path or the slot named it; what the body says does not count
    bool stream;
    bool wants_usage;   // the client asked for the usage chunk itself
    bool refuses_usage; // it asked to be spared
    int64_t max_tokens; // the larger of max_tokens and max_completion_tokens; -1: no bound
    int64_t answers;    // the larger of n and best_of, times the prompts of a completion; >= 1

    // What the last router_body_edit() made. The pieces live until the next, or the end.
    struct pieces parts;
    struct buf own;          // pieces that are not the client's
    bool added_usage;        // we asked for a usage chunk that the client did not ask for
    bool capped;             // max_tokens was set or lowered to router_edit.max_tokens
    int64_t sent_max_tokens; // what the upstream reads as such a bound; -1: none
    int64_t sent_answers;    // no fewer than the upstream reads
};

// What differs for one deployment. All borrowed for the call; zeroed is not "no edit", see
// ROUTER_EDIT_INIT.
struct router_edit {
    struct span model;        // plain text; absent: as the client wrote it
    struct span params;       // JSON object of members to add where the client has none; or absent
    int64_t max_tokens;       // at most so many; -1: as the client wrote it
    bool is_completion_bound; // a bound that is added is max_completion_tokens, else max_tokens
};

#define ROUTER_EDIT_INIT ((struct router_edit){.max_tokens = -1})

// Takes the bytes over and leaves *bytes empty. Errors are the client's: as of request_scan_run(),
// and -EINVAL when a member that matters has an impossible value; the body is to be finished then
// as well.
int router_body_init(struct router_body *body, struct buf *bytes, struct error *err);
// The model is this one, whatever the body says.
void router_body_name_model(struct router_body *body, struct span name);
void router_body_finish(struct router_body *body); // accepts NULL and zeroed

// 0; -EINVAL: `params` is no JSON object; -EMSGSIZE: the edit adds more than ROUTER_EDIT_MAX.
int router_body_edit(struct router_body *body, const struct router_edit *edit, struct error *err);
