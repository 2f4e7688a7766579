#include <errno.h>

#include "agent/turn_wait.h"
#include "base/mem.h"
#include "store/turn_read.h"

/*
 * The tool calls in whose middle the turn waited, or the last process ended. What has a result
 * keeps it; what may be repeated is run again, and what asked something goes on; of the rest nobody
 * knows how far it came, and its result says so.
 */
static const char interrupted[] =
    "interrupted: the program was stopped while this ran; it may have had an effect, so look "
    "before you repeat it";

static bool on_call(void *context, const struct store_tool_call *row)
{
    struct turn *turn = context;
    if (row->ordinal < 0 || (size_t)row->ordinal >= turn->call_count)
        return true;
    struct turn_call *call = &turn->calls[row->ordinal];
    bool done = row->state == STORE_CALL_DONE && row->result.data;
    call->flags = (unsigned)row->flags; // its tool may be another one by now, or not be there
    call->maybe_begun = !done && !turn->waited;
    if (row->state == STORE_CALL_INTERRUPTED && turn->waited && call->reply == TOOL_BEGINS)
        call->reply = TOOL_UNANSWERED; // it had begun
    if (call->ended || (!done && (turn->waited || call->flags & TOOL_REPEATABLE)))
        return true;
    call->ended = true;
    call->failed = done ? row->failed : true;
    call->interrupted = !done;
    call->tainted = row->tainted;
    call->result = done ? mem_strndup(row->result.data, row->result.len) : mem_strdup(interrupted);
    call->parts = done && row->parts.len ? mem_strndup(row->parts.data, row->parts.len) : NULL;
    turn->calls_left--;
    return true;
}

int turn_restore_calls(struct turn *turn, struct error *err)
{
    const struct chat_history *history = &turn->session->history;
    if (history->count == 0 || history->messages[history->count - 1].call_count == 0)
        return error_set(err, -EBADMSG, "the calls of this turn are not in its conversation");
    turn_calls_prepare(turn);
    int r = turn_wait_restore(turn, err);
    if (r < 0)
        return r;
    r = store_read_tool_calls(turn->agent->env.store, span_of(turn->name), turn->iteration, on_call,
                              turn, err);
    if (r >= 0 && !turn->waited)
        turn_marks_resumed(turn);
    return r;
}
