#pragma once

#include "store/turn.h"

/*
 * The questions that turns wait for: one for each call that runs only when somebody has said yes,
 * and those that a call asks while it runs.
 * They are written with the step that makes the turn wait (struct store_turn_step), and answered
 * once: by what a message does (struct store_settlement), by time, or by the end of the turn. One
 * about which nobody had to be asked may be written as approved, also with a step that does not
 * wait.
 */
enum { STORE_QUESTION_STEP = 1024 }; // added to a call's ordinal for each that it asks itself

enum store_approval_state {
    STORE_APPROVAL_ASKED,
    STORE_APPROVAL_APPROVED,
    STORE_APPROVAL_DENIED, // also by the end of the turn
    STORE_APPROVAL_EXPIRED,
    STORE_APPROVAL_ANSWERED, // in words
};

struct store_approval {
    struct span turn, session; // only read
    int iteration, ordinal;    // of the call; the iteration is the step's when written
    struct span code;          // by which it is answered
    struct span name, arguments;
    struct span hash;       // of the two
    struct span why;        // somebody is asked, for people; "" or absent: its tool asks always
    struct span files;      // what was in those it names; only who wrote it knows what it means
    struct span may_answer; // the server's id of the person; "" or absent: who is in the chat
    int64_t asked_ms, expires_ms; // wall clock
    struct span answer;           // only read: the words
    // Asked, or approved when it is written: by something that decides in somebody's place.
    enum store_approval_state state;
    struct span answered_by; // only of what is not asked any more
};

struct store_answer { // to one question that is still asked
    struct span turn;
    int iteration, ordinal;
    bool approved;
    struct span words; // instead; absent: none
    struct span by;    // the server's id of the person; "": who is in the chat
};

// Submits, durable: what was to be answered by `now_ms` and was not has expired. The completion's
// rowid is the number of those. Returns as store_session_create() does.
int64_t store_approvals_expire(struct store *store, int64_t now_ms, store_done_fn *done,
                               void *context, struct error *err);

typedef bool store_approval_fn(void *context, const struct store_approval *approval);

// Synchronous. What a conversation is asked now, oldest first, at most STORE_READ_ROWS_MAX.
int store_read_questions(struct store_view *view, const struct store_session_key *key,
                         store_approval_fn *row, void *context, struct error *err);

// The same of all conversations.
int store_read_all_questions(struct store_view *view, store_approval_fn *row, void *context,
                             struct error *err);

// The questions of one iteration, or of all (0), and what became of them, in the order of calls.
int store_read_approvals(struct store_view *view, struct span turn, int iteration,
                         store_approval_fn *row, void *context, struct error *err);

// When the first question expires. STORE_NOT_FOUND: nothing is asked.
int store_read_expiry(struct store_view *view, int64_t *ret_ms, struct error *err);
