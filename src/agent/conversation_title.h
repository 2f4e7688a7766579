#pragma once

#include "agent/conversation.h"

/*
 * A conversation is called by the first line that was said in it. Where the slot "title" has a
 * model of its own, that model is then asked once for a better title, beside whatever else goes on.
 */
enum { CONVERSATION_TITLES_MAX = 4 }; // that are asked for at once; others keep their first line

// After its first turn, which is in its session's history. The host owns what comes of it.
void conversation_ask_title(struct conversation *conversation);
void conversation_leave_title(struct conversation *conversation); // it leaves the memory before
void conversation_forget_titles(struct conversation_host *host);  // those keep their first line
