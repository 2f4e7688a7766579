#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "daemon/command.h"

/*
 * A recorded turn, done once more: the same question, with the recorded answers of the model, or
 * with the model that is configured. Calls of tools get their recorded results and have no effect;
 * but for skill_view and skills_list, which show what there is now. The format is docs/skills.md's.
 */
enum { REPLAY_FILE_MAX = 4 << 20 }; // bytes of a recording

// Appends the recording of a session's turn (NULL: the last one).
int replay_record(const struct arguments *arguments, const char *session, const char *turn,
                  struct buf *out, struct error *err);
// Prints what differs, and returns how much does.
int replay_run(const struct arguments *arguments, struct span recording, bool live,
               struct error *err);
