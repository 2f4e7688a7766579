#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct agent_session;
struct turn;

/*
 * Whether text that nobody vouches for is in what the turn sends to the model: pages, what a server
 * of tools said, memories that came of such. It is the program that knows this, not the model.
 */
enum { TURN_TAINT_MAX = 160 }; // bytes, with the terminating NUL

// "tainted by web_fetch of call 3"; the empty text: it is not. False then.
bool turn_taint(const struct turn *turn, char why[TURN_TAINT_MAX]);
bool turn_is_tainted(const struct turn *turn);
// The same of a conversation, and since when; 0: not known.
bool session_taint(const struct agent_session *session, char why[TURN_TAINT_MAX],
                   int64_t *ret_since_ms);

// Does a call of the present iteration fetch only what stands whole in what the web tools found or
// the user wrote, and is it among the few such URLs of this turn?
bool turn_fetches_copied(const struct turn *turn, size_t ordinal, const char *tool,
                         struct span arguments);
