#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/outbox.h"
#include "store/session.h"
#include "store/store.h"
#include "store/taint.h"

struct store_message;

struct store_cancellation { // of a turn that waits: none of its calls runs
    struct span turn;
    struct span call_result, last_word; // for the conversation's history
};

/*
 * What a message other than a question does (a command such as /new), in one transaction: the
 * changes, the reply, and that the message is handled. What is absent does not change.
 */
struct store_settlement {
    const int64_t *inbox; // numbers of the messages that are handled by this
    size_t inbox_count;
    const struct store_session *create;      // a new session of its chat; NULL: none
    struct span session;                     // the one that the following change; absent: none
    bool pick;                               // it goes on
    struct span title;                       // absent: as it is
    struct span title_before;                // only if its title is this; absent: in any case
    struct span model;                       // absent: as it is; "": the configured one
    struct span drop_turn;                   // its messages are no longer part of the conversation
    const struct store_message *summary;     // appended to it; NULL: none
    const struct store_answer *answer;       // to a question; NULL: none
    const struct store_cancellation *cancel; // NULL: none
    struct span fact, fact_text;             // of key_value.h, set; absent: none
    const struct store_mark *lifted;         // marks that are no more, as they were read
    size_t lifted_count;
    const struct store_reply *reply; // NULL: none
    int64_t now_ms;
};

/*
 * Submits, durable. Returns as store_session_create() does. The completion's rowid is the number of
 * the delivery, or 0. Outcome STORE_DUPLICATE, with nothing written, when one of the messages was
 * handled before or the session to create exists. -ENOENT: no such message, session or turn;
 * -EALREADY: the question was answered before or has expired, the turn does not wait any more, what
 * has the mark was marked anew.
 */
int64_t store_settle(struct store *store, const struct store_settlement *settlement,
                     store_done_fn *done, void *context, struct error *err);
