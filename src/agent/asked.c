#include "agent/asked.h"

#include <stdlib.h>

#include "agent/session.h"
#include "base/mem.h"

/*
 * A client of OpenAI's chat format keeps the conversation and tells it anew with each message. Our
 * own record of it is better: it has the calls of tools and their results, which the client never
 * saw, and knows what is tainted. So the client's is only compared with it. An answer is the same
 * when ours stands in it: around that a client has what was said between calls, and remarks.
 */
void asked_drop_parts(struct asked *asked)
{
    while (asked->part_count)
        buf_finish(&asked->parts[--asked->part_count].bytes);
}

void asked_destroy(struct asked *asked)
{
    if (!asked)
        return;
    chat_history_finish(&asked->given);
    asked_drop_parts(asked);
    free(asked->origin);
    free(asked->instructions);
    free(asked->tools);
    free(asked->reply_channel);
    free(asked->reply_chat);
    free(asked->reply_thread);
    free(asked);
}

static struct span text_of(const struct chat_message *message)
{
    return span_trim(span_of(message->text ? message->text : ""));
}

// Is this what stands at *at? Then *at is behind it, and with an answer behind all its calls.
static bool is_next(const struct chat_history *stored, size_t *at, const struct chat_message *given,
                    bool *ret_tainted)
{
    const struct chat_message *all = stored->messages, *found = NULL;
    size_t i = *at;
    if (given->role == CHAT_USER) {
        if (i == stored->count || all[i].role != CHAT_USER ||
            !span_equal(text_of(&all[i]), text_of(given)))
            return false;
        found = &all[i++];
    }
    for (; given->role != CHAT_USER && i < stored->count && all[i].role != CHAT_USER; i++)
        if (all[i].role == CHAT_ASSISTANT && text_of(&all[i]).len)
            found = &all[i];
    struct span end = found ? text_of(found) : SPAN_ABSENT, whole = text_of(given);
    if (!found || span_find(whole, end) < 0)
        return false;
    *at = i;
    *ret_tainted = found->tainted;
    return true;
}

// The beginning of a long conversation is not in memory, and need not be compared.
static size_t first_compared(const struct chat_history *stored, const struct chat_history *given)
{
    size_t said = 0;
    for (size_t i = 0; i < stored->count; i++)
        said += stored->messages[i].role == CHAT_USER ? 2 : 0;
    return stored->count >= ASKED_HISTORY_MAX && given->count > said ? given->count - said : 0;
}

bool asked_goes_on(const struct chat_history *stored, const struct chat_history *given)
{
    size_t at = 0;
    bool tainted;
    for (size_t i = first_compared(stored, given); i < given->count; i++)
        if (!is_next(stored, &at, &given->messages[i], &tainted))
            return false;
    return at == stored->count;
}

void asked_seed(struct asked *asked, const struct chat_history *known,
                struct agent_session *session)
{
    struct chat_history *given = &asked->given;
    size_t at = 0;
    bool same = known != NULL, tainted = false;
    for (size_t i = 0; i < given->count; i++) {
        struct chat_message *message = &given->messages[i];
        same = same && is_next(known, &at, message, &tainted);
        message->tainted |= same ? tainted : message->role != CHAT_USER;
        bool shown = given->count - i <= ASKED_HISTORY_MAX;
        if (shown && (message->role == CHAT_USER || session->history.count))
            chat_history_append(&session->history, message);
    }
    session->seeded = session->history.count;
}
