#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct skills;

enum {
    SKILL_BLOCK_MAX = 400,  // bytes of a request
    SKILL_COMMANDS_MAX = 5, // in one message
};

/*
 * Which skills there are, for the prompt: names and their lines while these fit, else names, else
 * categories with how many are in each. Those that cannot work here are left out, and so are lines
 * that nobody vouches for, as the prompt is read like an order. NULL: none.
 */
void skill_block_append(struct skills *skills, struct buf *out);

/*
 * What "/name words" says to the model: the text as it was typed, and behind it the skill; several
 * may stand one after the other. 1, or 0 when its first word is no skill; negative with a sentence.
 */
int skill_command_expand(struct skills *skills, struct span text, struct buf *out,
                         bool *ret_tainted, struct error *err);
struct span skill_command_typed(struct span expanded); // without what was put behind it
