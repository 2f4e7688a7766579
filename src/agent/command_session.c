#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/commands.h"
#include "agent/memory_block.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/session.h"

/* The conversations of a chat, and its memory */

enum { LISTED_MAX = 20, LOOKED_AT_MAX = 1000 };

struct listing {
    const struct conversation *conversation;
    struct buf *out;
    int count;
};

static bool on_listed(void *context, const struct store_session_row *row)
{
    struct listing *listing = context;
    const struct store_session *session = &row->session;
    char when[CLOCK_TEXT_SIZE];
    bool present = span_is(session->id, listing->conversation->session->id);
    buf_printf(listing->out, "%s%d. %.*s (%.*s, %.16s UTC, %" PRId64 " messages)%s",
               listing->count ? "\n" : "", listing->count + 1,
               session->title.len ? (int)session->title.len : 8,
               session->title.len ? session->title.data : "untitled",
               store_id_shown(session->id, 8), session->id.data,
               clock_format_utc(session->updated_ms, when), row->messages,
               present ? " ← this one" : "");
    listing->count++;
    return true;
}

int command_list_sessions(const struct conversation *conversation, struct span rest,
                          struct command_effect *effect, struct error *err)
{
    struct listing listing = {conversation, &effect->reply, 0};
    struct store_session_key key = conversation_key(conversation);
    (void)rest;
    int r = store_read_sessions_of(store_view(conversation->host->store), &key, LISTED_MAX,
                                   on_listed, &listing, err);
    if (r == 0 && listing.count == 0)
        buf_append_text(&effect->reply, "There are no conversations in this chat yet.");
    else if (r == 0)
        buf_append_text(&effect->reply, "\n/resume NUMBER goes on with one of them.");
    return r < 0 ? r : 0;
}

struct search {
    struct span wanted;
    int64_t number; // in the list; 0: it is a name
    int count, found;
    char id[STORE_ID_MAX + 1];
    struct buf title;
};

// By its number, the beginning of its id, or that of its title.
static bool on_candidate(void *context, const struct store_session_row *row)
{
    struct search *search = context;
    const struct store_session *session = &row->session;
    struct span wanted = search->wanted;
    search->count++;
    bool titled = session->title.len >= wanted.len &&
                  strncasecmp(session->title.data, wanted.data, wanted.len) == 0;
    bool whole = titled && session->title.len == wanted.len;
    bool named = session->id.len >= wanted.len && wanted.len >= 4 &&
                 memcmp(session->id.data, wanted.data, wanted.len) == 0;
    if (search->number ? search->number != search->count : !titled && !named)
        return true;
    if (session->id.len > STORE_ID_MAX || (search->found && !whole && ++search->found))
        return true;
    search->found = 1;
    snprintf(search->id, sizeof search->id, "%.*s", (int)session->id.len, session->id.data);
    buf_clear(&search->title);
    buf_append_span(&search->title, session->title);
    return !search->number && !whole;
}

int command_resume(const struct conversation *conversation, struct span rest,
                   struct command_effect *effect, struct error *err)
{
    BUF_AUTO title = BUF_INIT(4096);
    struct search search = {.wanted = rest, .title = title};
    struct store_session_key key = conversation_key(conversation);
    if (rest.len == 0)
        return command_list_sessions(conversation, rest, effect, err);
    if (!span_to_i64(rest, &search.number) || search.number < 1 || search.number > LISTED_MAX)
        search.number = 0;
    int r = store_read_sessions_of(store_view(conversation->host->store), &key, LOOKED_AT_MAX,
                                   on_candidate, &search, err);
    title = search.title;
    if (r < 0)
        return r;
    if (search.found != 1)
        return error_set(err, -ENOENT, "%s in this chat; /sessions lists them",
                         search.found ? "more than one conversation begins like that"
                                      : "there is no such conversation");
    snprintf(effect->session, sizeof effect->session, "%s", search.id);
    effect->settlement.session = span_of(effect->session);
    effect->settlement.pick = true;
    effect->changes = true;
    effect->session_changed = true;
    buf_printf(&effect->reply, "This goes on: %s", title.len ? buf_text(&title) : search.id);
    return 0;
}

int command_memory(const struct conversation *conversation, struct span rest,
                   struct command_effect *effect, struct error *err)
{
    const struct agent_env *env = agent_env(conversation->host->agent);
    struct span word = span_cut(&rest, ' ');
    rest = span_trim(rest);
    if (span_is(word, "forget") && rest.len)
        return memory_block_forget(env->memory, env->home, rest, &effect->reply, err);
    if (word.len)
        return error_set(err, -EINVAL, "it is /memory, or /memory forget TEXT|NUMBER");
    memory_block_list(env->memory, env->home, &effect->reply);
    buf_append_text(&effect->reply, effect->reply.len
                                        ? "\n\n/memory forget NUMBER removes one of them."
                                        : "There is nothing in MEMORY.md and USER.md, or they are "
                                          "switched off (memory.memory_enabled).");
    return 0;
}

int command_queue(const struct conversation *conversation, struct span rest,
                  struct command_effect *effect, struct error *err)
{
    (void)conversation, (void)rest, (void)err;
    buf_append_text(&effect->reply, "It is: /queue TEXT, which waits until the present answer has "
                                    "ended, or /steer TEXT, which the model reads in the middle "
                                    "of it.");
    return 0;
}
