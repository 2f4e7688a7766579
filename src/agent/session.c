#include "agent/session.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

struct agent_session *agent_session_create(const char *channel, const char *chat)
{
    struct agent_session *session = mem_new(struct agent_session);
    random_hex(session->id, sizeof session->id);
    session->channel = mem_strdup(channel);
    session->chat = mem_strdup(chat);
    return session;
}

void agent_session_destroy(struct agent_session *session)
{
    if (!session)
        return;
    chat_history_finish(&session->history);
    free(session->channel);
    free(session->chat);
    free(session->prompt);
    free(session);
}
