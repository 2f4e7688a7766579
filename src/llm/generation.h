#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * The cost of an answer, as OpenRouter tells it some seconds after the answer's end: for one that
 * was cut off before it had said so. GET .../generation?id=ID, with the key that was billed.
 */
enum { GENERATION_BODY_MAX = 64 * 1024 }; // bytes of such an answer

// The id by which an answer can be asked for, of its header's lines; absent where it has none. The
// `id` in the body is the same, and comes later.
struct span generation_id(struct span head_lines);

/*
 * In picodollars. -EBADMSG, with a sentence, when the body is no such answer: it is of another id,
 * has no cost, or one that no call has (negative, or beyond ten thousand dollars).
 */
int generation_read_cost(struct span body, struct span id, int64_t *ret_cost_pico,
                         struct error *err);
