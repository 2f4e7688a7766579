#pragma once

#include "agent/turn_files.h"

struct agent;
struct agent_session;
struct store_view;
struct turn_call;
struct turn_marking;

/*
 * The mark of text that nobody vouches for, on what outlives a conversation: files of the
 * workspace, entries of the memory files, output that is kept. What a call writes in a tainted
 * conversation, or with a marked file at hand, is marked when the calls of the iteration have ended
 * and before the model is asked again; what shows something marked has a tainted result.
 *
 * A file that calls have removed loses its mark, when it was there before them and all that has
 * changed meanwhile is marked.
 */
// Is it to be noted which marked files there are, because calls may remove them? Then `next`
// follows; turn_files_forget() ends that.
bool turn_marks_note(struct turn *turn, turn_next_fn *next);
void turn_marks_begin(struct turn_call *call); // before it runs
void turn_marks_ended(struct turn_call *call); // with its result; sets call->tainted
// All calls have ended: `next` follows when what they wrote is marked, perhaps at once.
void turn_marks_keep(struct turn *turn, turn_next_fn *next);
void turn_marks_resumed(struct turn *turn);  // what they wrote before the program was stopped, too
void turn_marks_leave(struct turn *turn);    // nothing follows; what they have written is marked
void turn_marks_forget(struct agent *agent); // all that is under way

// Sets session->prompt_tainted: is an entry of the memory files in its prompt marked?
void turn_marks_look_at_prompt(struct agent_session *session, struct store_view *view);
