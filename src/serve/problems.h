#pragma once

#include <stdint.h>

#include "codec/document.h"

struct control_env;

/*
 * What is wrong, in the words of whoever has to mend it. Adds two members to the status:
 *
 *     "problems": [{"what": "telegram", "wants_person": true, "text": sentence, "todo": sentence}]
 *     "well": true    when Hermes runs, takes messages, and no problem wants a person
 *
 * `what` is "database", "disk", "telegram", "upstream" or "replies". A problem that does not want a
 * person ends by itself.
 */
void problems_write(struct node status, const struct control_env *env, int64_t now_ms);
