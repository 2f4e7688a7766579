#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * What was said, found again by its words. The index holds what users said and models answered, but
 * for what was taken back, and no results of tools.
 *
 * Nothing is indexed when it is written, since that would write seven times as much to the disk for
 * a message as the message itself (message_search.c): whoever wants to search has the new messages
 * taken in before.
 */

// Submits, grouped: the next messages are taken into the index, at most STORE_INDEX_BYTES_MAX of
// text. Outcome STORE_LEFT_OVER: there are more, and it is to be called again. Returns as
// store_session_create() does.
enum { STORE_INDEX_ROWS_MAX = 500, STORE_INDEX_BYTES_MAX = 512 * 1024 };
int64_t store_messages_index(struct store *store, store_done_fn *done, void *context,
                             struct error *err);

struct store_viewer {    // who looks
    struct span session; // and sees the sessions of its chat and sender; a job's: see the .c
    bool everywhere;     // or all
};

enum store_search_order { STORE_BEST_FIRST, STORE_NEWEST_FIRST, STORE_OLDEST_FIRST };

struct store_message_search {
    struct store_viewer viewer;
    struct span words;    // a person's or a model's, not query syntax
    struct span session;  // its id; absent: any
    struct span role;     // "user", "assistant"; absent: both
    struct span but_turn; // whose own messages are no answer; absent: none
    enum store_search_order order;
    int limit; // sessions, at most STORE_SEARCH_MAX
};
enum { STORE_SEARCH_MAX = 20 };

// Spans live during the call.
struct store_found {
    struct span session, title, channel; // title absent: none yet
    int64_t message;                     // its id; of a session: how many it has
    struct span role, text;              // absent for a session
    bool tainted;                        // text or title may be a stranger's
    int64_t at_ms;                       // when it was said, or the session was used last
};
typedef void store_found_fn(void *context, const struct store_found *found);

/*
 * Synchronous, for store_read(). One message of each session, the first in the order that is asked
 * for; its text is what stands around the words, which are marked >>>so<<<. Without a word in
 * `words` there is none. STORE_LEFT_OVER: more sessions have some.
 */
int store_search_messages(struct store_view *view, const struct store_message_search *search,
                          store_found_fn *found, void *context, struct error *err);

// Synchronous: the messages of a session around one of them, `window` before and after it; message
// 0: the last of it, twice as many. The id is whole. STORE_NOT_FOUND: the viewer sees no such
// session.
int store_read_messages_around(struct store_view *view, const struct store_viewer *viewer,
                               struct span session, int64_t message, int window,
                               store_found_fn *found, void *context, struct error *err);

// Synchronous: the sessions that were used last, newest first.
int store_read_sessions_seen(struct store_view *view, const struct store_viewer *viewer, int limit,
                             store_found_fn *found, void *context, struct error *err);
