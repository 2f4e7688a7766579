#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/outbox.h"
#include "store/store.h"
#include "store/turn.h"

/*
 * Runs of scheduled jobs: each is a row from before it does anything, and ends with one outcome,
 * which is on disk together with what is delivered of it. So whatever stops the program, a time
 * that was due has one row, and its answer goes out once.
 */
enum store_run_outcome {
    STORE_RUN_RUNNING,
    STORE_RUN_OK,
    STORE_RUN_SILENT, // it went well, and nothing is to be said
    STORE_RUN_FAILED,
    STORE_RUN_SKIPPED, // the one before still ran
    STORE_RUN_MISSED,  // the program did not run then
    STORE_RUN_BLOCKED, // its configuration does not allow it to begin
    STORE_RUN_OVER_BUDGET,
    STORE_RUN_OUTCOMES,
};
extern const char *const store_run_words[STORE_RUN_OUTCOMES];

enum { STORE_RUNS_KEPT = 200, STORE_RUN_REPLIES_MAX = 8 }; // rows of a job; deliveries of a run

struct store_run {
    int64_t number;
    struct span job, name; // id, and what people call it
    int64_t due_ms;        // 0: somebody asked for it
    int64_t started_ms, ended_ms;
    int attempts;
    enum store_run_outcome outcome;
    struct span error;     // why not, or what else there is to say; "": nothing
    struct span turn;      // "": no model was asked
    struct span delivered; // where to; "": nowhere
    struct store_usage usage;
};

// Submits, durable: a run that begins, or with a number begins again; its rowid is the number.
// -EALREADY: it has ended. Returns as store_session_create() does.
int64_t store_run_begin(struct store *store, const struct store_run *run, store_done_fn *done,
                        void *context, struct error *err);

// Submits, durable: its end, and what is delivered. Without a number it is one that never began.
// -EALREADY, with nothing written: it has ended before.
int64_t store_run_end(struct store *store, const struct store_run *run,
                      const struct store_reply *replies, size_t count, store_done_fn *done,
                      void *context, struct error *err);

// Synchronous, newest first: of a job ("": of all), with this outcome (STORE_RUN_OUTCOMES: any).
typedef bool store_run_row_fn(void *context, const struct store_run *run); // false stops
int store_read_runs(struct store_view *view, struct span job, enum store_run_outcome outcome,
                    int limit, store_run_row_fn *row, void *context, struct error *err);

// Failures since the last success, and the last time that was due and had a run; 0: none.
int store_read_run_streak(struct store_view *view, struct span job, int64_t *ret_failures,
                          int64_t *ret_due_ms, struct error *err);

// What the turn of a session says; STORE_NOT_FOUND: there is none.
struct store_run_turn {
    struct span id, session, error, answer;
    enum store_turn_state state;
    struct store_usage usage;
};
typedef void store_run_turn_fn(void *context, const struct store_run_turn *turn);
int store_read_run_turn(struct store_view *view, const struct store_session_key *key,
                        store_run_turn_fn *row, void *context, struct error *err);
