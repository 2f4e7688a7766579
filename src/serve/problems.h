#pragma once

#include <stdint.h>

struct control_env;
struct json_writer;

/*
 * What is wrong, in the words of whoever has to mend it. Writes two members of the object that is
 * open:
 *
 *     "problems": [{"what": "telegram", "wants_person": true, "text": sentence, "todo": sentence}]
 *     "well": true    when Hermes runs, takes messages, and no problem wants a person
 *
 * `what` is "database", "disk", "telegram", "upstream" or "replies". A problem that does not want a
 * person ends by itself.
 */
void problems_write(struct json_writer *w, const struct control_env *env, int64_t now_ms);
