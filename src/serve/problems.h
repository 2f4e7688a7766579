#pragma once

#include <stdint.h>

#include "codec/document.h"

struct control_env;

/*
 * What is wrong, in the words of whoever has to mend it. Adds two members to the status:
 *
 *     "problems": [{"what": "telegram", "needs_attention": true, "text": sentence,
 *                   "todo": sentence}]
 *     "well": true    when Hermes runs, takes messages, and no problem needs attention
 *
 * `what` is "database", "disk", "telegram", "upstream" or "replies". One that does not need
 * attention ends by itself.
 */
void problems_write(struct node status, const struct control_env *env, int64_t now_ms);
