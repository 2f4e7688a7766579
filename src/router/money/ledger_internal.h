#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"
#include "router/money/ledger.h"

struct journal;

// What the files of the ledger share. Nobody else includes this.

enum ledger_phase {
    LEDGER_APPLYING_OLD, // what earlier processes left is being applied
    LEDGER_CHARGING,     // what they left open is being charged
    LEDGER_READY,
};

enum { LEDGER_SANE_DAY = 20000 }; // 2024-10-04: a clock before it was not set yet

struct router_ledger {
    struct router_ledger_options options;
    struct journal *journal;
    struct buf record;  // the one that is being written; its memory is kept
    struct buf backlog; // records that the disk did not take, each with its length before it;
    size_t backlog_at;  // the bytes before are in the journal by now
    bool is_full;       // no call may begin
    bool is_spoilt;     // records of the newest file are lost: nothing more is written to it
    enum ledger_phase phase;
    struct error trouble; // of the disk
    struct error told;    // to on_event, and not over
    int64_t waiting_rows; // in memory, because the disk takes nothing
    int64_t lost_rows;    // neither there nor here: more rows than calls can have

    // Applying: one job at a time.
    int64_t job;           // that applies, or charges; 0: none
    size_t apply_old;      // generations before the newest one of that job
    int64_t apply_limit;   // of the newest one
    int64_t applied_end;   // bytes of the newest generation that a job took up
    int64_t old_bytes;     // of the generations before it
    int64_t unapplied;     // records appended since the last job was submitted
    int64_t written;       // records of attempts that were handed in,
    int64_t apply_written; // that the job will have taken up,
    int64_t kept;          // that a job has taken up
    uint64_t told_loss;    // the last generation of which this process found records lost; 0: none
    loop_id clock_timer;   // for a loss without a date; 0: none
    loop_id apply_timer;   // 0: none
    loop_id forget_timer;  // of old rows
    int64_t forget_job;    // 0: none
    struct list corrections;

    // Syncing: one job at a time, for all reservations that were written before it began.
    struct list waiting; // struct router_ledger_wait, of those that were written since, and
    struct list syncing; // of those before
    int64_t sync_job;    // 0: none
    loop_id sync_soon;
};

// ledger_apply.c
void ledger_record_added(struct router_ledger *ledger); // one more was appended
bool ledger_apply_now(struct router_ledger *ledger);    // true when nothing is left to be applied
void ledger_retry(struct router_ledger *ledger, const struct error *err); // later; it is told
void ledger_stop(struct router_ledger *ledger);

// ledger_loss.c
void ledger_tell_losses(struct router_ledger *ledger); // of all that are known, when it is ready
void ledger_take_loss(struct router_ledger *ledger, uint64_t generation); // a step has met one

// ledger_journal.c
enum {
    LEDGER_BACKLOG_MAX = 64 << 20 // bytes; five of the longest rows of each of a thousand calls
};
int64_t ledger_day(const struct router_ledger *ledger, int64_t wall_ms); // in the owner's zone
int ledger_put(struct router_ledger *ledger, struct span record, struct error *err);
struct span ledger_waiting_at(const struct router_ledger *ledger, size_t at); // in the backlog
int64_t ledger_journal_bytes(const struct router_ledger *ledger);             // of all its files
void ledger_put_off(struct router_ledger *ledger, struct span record);        // it waits in memory
int ledger_flush_backlog(struct router_ledger *ledger);
bool ledger_has_backlog(const struct router_ledger *ledger);
void ledger_set_trouble(struct router_ledger *ledger, const char *sentence); // "" when it is over
void ledger_report(struct router_ledger *ledger, enum router_ledger_event kind, const char *fmt,
                   ...) __attribute__((format(printf, 3, 4)));
void ledger_measure_old(struct router_ledger *ledger); // files before the newest
// Leaves the file when it is long and may be left. Negative: it must be left and cannot.
int ledger_rotate(struct router_ledger *ledger, struct error *err);
