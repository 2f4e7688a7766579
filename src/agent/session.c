#include "agent/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/utf8.h"

enum { TITLE_CHARACTERS_MAX = 60 };

struct agent_session *agent_session_create(const struct store_session_key *key)
{
    struct agent_session *session = mem_new(struct agent_session);
    random_hex(session->id, SESSION_ID_SIZE);
    session->channel = mem_strndup(key->channel.data, key->channel.len);
    session->chat = mem_strndup(key->chat.data, key->chat.len);
    session->thread = mem_strndup(key->thread.data, key->thread.len);
    session->sender = mem_strndup(key->sender.data, key->sender.len);
    session->prompt_tokens = -1;
    return session;
}

void agent_session_destroy(struct agent_session *session)
{
    if (!session)
        return;
    chat_history_finish(&session->history);
    free(session->channel);
    free(session->chat);
    free(session->thread);
    free(session->sender);
    free(session->title);
    free(session->model);
    free(session->prompt);
    free(session->instructions);
    free(session);
}

void agent_session_title(struct span text, struct buf *out)
{
    struct span rest = span_trim(text);
    struct span line = span_trim(span_cut(&rest, '\n'));
    size_t at = 0, word_end = 0, characters = 0;
    uint32_t rune;
    while (at < line.len && characters++ < TITLE_CHARACTERS_MAX) {
        if (line.data[at] == ' ')
            word_end = at;
        at += utf8_decode(span_skip(line, at), &rune);
    }
    bool cut = at < line.len;
    if (cut && word_end)
        at = word_end;
    utf8_sanitize(span_make(line.data, at), out);
    if (cut)
        buf_append_text(out, "…");
}
