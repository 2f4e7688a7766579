#include "agent/tainted.h"

#include <string.h>

#include "agent/session.h"
#include "agent/turn_marks.h"
#include "codec/utf8.h"

static void copy(struct span text, char to[TAINTED_NAME_MAX])
{
    if (text.len >= TAINTED_NAME_MAX) {
        text.len = TAINTED_NAME_MAX - 1;
        text.len -= utf8_incomplete_tail(text);
    }
    if (text.len)
        memcpy(to, text.data, text.len);
    to[text.len] = '\0';
}

static void on_session(void *context, const struct store_session *row)
{
    struct tainted_conversations *found = context;
    struct tainted_conversation *one = &found->all[found->count++];
    copy(row->id, one->id);
    copy(row->channel, one->channel);
    copy(row->title, one->title);
}

// Of what a model is shown alone, as /status says it.
static int look(struct store_view *view, struct tainted_conversation *one, bool *ret_tainted,
                struct error *err)
{
    struct agent_session *session;
    int r = agent_session_load(view, span_of(one->id), &session, err);
    if (r != 0)
        return r;
    turn_marks_look_at_prompt(session, view);
    *ret_tainted = session_taint(session, one->why, &one->since_ms);
    agent_session_destroy(session);
    return 0;
}

int tainted_conversations_read(struct store_view *view, struct tainted_conversations *ret,
                               struct error *err)
{
    ret->count = 0;
    int r = store_read_tainted_sessions(view, TAINTED_MAX, on_session, ret, err);
    size_t kept = 0;
    for (size_t i = 0; i < ret->count && r >= 0; i++) {
        bool tainted = false;
        r = look(view, &ret->all[i], &tainted, err);
        if (tainted)
            ret->all[kept++] = ret->all[i];
    }
    ret->count = kept;
    return r < 0 ? r : 0;
}
