#pragma once

#include "store/outbox.h"
#include "tools/tool_source.h"

enum { TURN_SEND_TEXT_MAX = 8 * 1024 }; // bytes of a row's text

struct buf;
struct turn;
struct turn_call;

/*
 * Files that calls send to whoever reads the answer. Each is in the outbox with the results of its
 * iteration, in one transaction: so a call that is repeated after a crash sends it once.
 */

// Where there is no chat, this takes the place of the tool's result. On the heap; NULL: there is.
char *turn_send_refusal(const struct turn_call *call, struct span promise);

// Those of the calls that have ended; at most one for each. `texts` holds what they borrow.
size_t turn_send_rows(const struct turn *turn, struct store_reply *rows, struct buf *texts);
