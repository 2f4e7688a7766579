#include "store/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/journal.h"
#include "store/ledger_internal.h"
#include "store/store_internal.h"

/*
 * Applying the journal.
 *
 * How far a generation was applied stands in the database and moves in the transaction that takes
 * its records up, so a crash at any point neither loses nor repeats one; that a row's name is
 * unique is the second net. The files are read here, not handed over: what is applied after a start
 * and what is applied every second goes the same way, and the loop keeps no copy.
 *
 * A reservation that ends within the same step never touches the database. Those that are still
 * open at the end of a step are kept as their records, and looked for when an end comes later.
 *
 * Bytes that are no record are kept in a file beside, for a person; they hold nothing up. A power
 * cut may have left them. But of the file that is still written to every byte up to `limit` must be
 * of a record, of another one every byte up to where it was synced, and one that was synced begins
 * with one: else records are lost, and that is noted before the place moves behind them.
 */

// Of one step. Other jobs wait for it, and its bytes stay in memory, so it is only as long as it
// must be for the sums and the commit to cost little beside the rows.
enum {
    STEP_BYTES = 192 << 10,
    STEP_RECORDS = 1024,
    HURRIED_BYTES = 1 << 20,
    HURRIED_RECORDS = 8192,
};

struct apply_job {
    struct store_job job;
    struct store_apply_range range;
    store_apply_fn *done;
    struct store_apply_result result;
};

struct open_call {
    struct span call, record;
    int64_t wall_ms, attempt;
};

struct apply {
    struct apply_job *own;
    sqlite3 *db;
    struct ledger_writer *writer;
    struct open_call *open; // owned; reserved in this step and not ended
    size_t open_count, open_capacity;
    int64_t sound;   // where the records end that follow each other from the place on
    bool are_stored; // the database may hold reservations
    bool is_first;   // nothing of the file was applied, or nobody remembers
};

// Not when the call's end was applied before: then the place of this record had been forgotten.
static int keep_reservation(const struct apply *apply, const struct open_call *open,
                            struct error *err)
{
    static const char sql[] =
        "INSERT INTO reservations(call, record) SELECT ?1, ?2 WHERE NOT (?4 AND EXISTS("
        " SELECT 1 FROM ledger WHERE wall_ms >= ?3 AND call = ?1 AND attempt >= ?5))"
        " ON CONFLICT(call) DO UPDATE SET record = excluded.record";
    return sql_run(apply->db, sql,
                   SQL_VALUES(sql_text(open->call), sql_bytes(open->record), sql_int(open->wall_ms),
                              sql_int(apply->is_first), sql_int(open->attempt)),
                   err);
}

static int set_aside(struct apply *apply, struct span bytes, struct error *err)
{
    apply->own->result.set_aside_bytes += (int64_t)bytes.len;
    return journal_set_aside(apply->own->range.home, bytes, err);
}

static int take_up(struct apply *apply, struct span record, struct error *err)
{
    static const char end[] = "DELETE FROM reservations WHERE call = ?";
    struct store_charge charges[LEDGER_CHARGES_MAX];
    struct store_attempt attempt;
    enum ledger_record kind;
    int r = 0;
    if (!store_ledger_decode(record, charges, &kind, &attempt))
        return set_aside(apply, record, err); // of a newer program
    for (size_t i = apply->open_count; i-- > 0;)
        if (span_equal(apply->open[i].call, attempt.call))
            apply->open[i] = apply->open[--apply->open_count];
    if (kind == LEDGER_RESERVATION) {
        apply->open =
            mem_grow(apply->open, apply->open_count, &apply->open_capacity, sizeof *apply->open);
        apply->open[apply->open_count++] =
            (struct open_call){attempt.call, record, attempt.wall_ms, attempt.attempt};
        apply->own->result.reservations++;
        return 0;
    }
    if (kind == LEDGER_ROW) {
        r = ledger_write_row(apply->writer, &attempt, err);
        apply->own->result.rows++;
    }
    if (r >= 0 && apply->are_stored)
        r = sql_run(apply->db, end, SQL_VALUES(sql_text(attempt.call)), err);
    return r < 0 ? r : 0;
}

static int take_part(struct apply *apply, struct journal_part *part, struct error *err)
{
    int r = 0, most = apply->own->range.hurry ? HURRIED_RECORDS : STEP_RECORDS;
    for (int records = 0; r == 0 && records < most; records++) {
        struct span bytes = SPAN_ABSENT;
        bool is_sound = apply->sound == part->offset;
        switch (journal_next(part, &bytes)) {
        case JOURNAL_RECORD:
            apply->sound = is_sound ? part->offset : apply->sound;
            r = take_up(apply, bytes, err);
            break;
        case JOURNAL_GARBAGE:
            r = set_aside(apply, bytes, err);
            break;
        case JOURNAL_TORN:
            apply->own->result.torn_bytes += (int64_t)bytes.len;
            return journal_set_aside(apply->own->range.home, bytes, err);
        case JOURNAL_END:
        case JOURNAL_MORE:
            return 0;
        }
    }
    return r;
}

static int apply_part(struct apply *apply, struct journal_part *part, struct error *err)
{
    static const char place[] = "INSERT INTO journals(generation, folded) VALUES(?1, ?2)"
                                " ON CONFLICT(generation) DO UPDATE SET folded = ?2";
    static const char any[] = "SELECT 1 FROM reservations LIMIT 1";
    int64_t ignored = 0;
    int r = ledger_writer_create(apply->db, &apply->writer, err);
    if (r == 0)
        r = sql_lookup(apply->db, any, NULL, 0, &ignored, err);
    apply->are_stored = r == SQL_ROW;
    if (r >= 0)
        r = take_part(apply, part, err);
    if (r == 0)
        r = ledger_write_sums(apply->writer, err);
    for (size_t i = 0; r == 0 && i < apply->open_count; i++)
        r = keep_reservation(apply, &apply->open[i], err);
    if (r == 0)
        r = sql_run(apply->db, place,
                    SQL_VALUES(sql_int((int64_t)part->generation), sql_int(part->offset)), err);
    free(apply->open);
    ledger_writer_destroy(&apply->writer);
    return r;
}

static int applied_to(sqlite3 *db, uint64_t generation, int64_t *ret_offset, struct error *err)
{
    static const char sql[] = "SELECT folded FROM journals WHERE generation = ?";
    *ret_offset = 0;
    int r = sql_lookup(db, sql, SQL_VALUES(sql_int((int64_t)generation)), ret_offset, err);
    return r < 0 ? r : 0;
}

// One step in one generation. SQL_ROW when something was there to apply.
static int apply_generation(struct apply_job *own, sqlite3 *db, size_t index, struct error *err)
{
    size_t most = own->range.hurry ? HURRIED_BYTES : STEP_BYTES;
    BUF_AUTO bytes = BUF_INIT(most);
    struct journal_part part;
    uint64_t generation = own->range.generations[index];
    int64_t limit = index + 1 == own->range.count ? own->range.limit : -1;
    int64_t offset = 0;
    if (journal_has_loss(own->range.home, generation)) // also if that step told another
        own->result.lost_generation = generation;
    int r = applied_to(db, generation, &offset, err);
    if (r == 0 && limit >= 0 && offset >= limit)
        return 0;
    if (r == 0)
        r = journal_read(own->range.home, generation, offset, limit, most, &bytes, &part, err);
    if (r < 0)
        return r;
    bool is_empty = r == STORE_NOT_FOUND || part.bytes.len == 0;
    struct apply apply = {.own = own, .db = db, .is_first = offset == 0, .sound = offset};
    r = is_empty ? 0 : apply_part(&apply, &part, err);
    bool is_used_up = is_empty || (part.is_last && part.bytes.len == 0);
    bool is_broken = !is_empty && part.offset > apply.sound;
    bool is_lost =
        (is_used_up || is_broken) &&
        apply.sound < (limit >= 0 ? limit : journal_marked_end(own->range.home, generation));
    if (limit < 0)
        is_lost |= journal_is_lost(own->range.home, generation);
    if (r == 0 && is_lost) {
        // Of a file that nobody writes to any more all is lost that will be.
        r = journal_note_loss(own->range.home, generation, own->range.wall_ms, limit >= 0, err);
        if (r == 0)
            own->result.lost_generation = generation;
    }
    if (r < 0 || is_empty)
        return r;
    own->result.is_behind = !is_used_up || index + 1 < own->range.count;
    return part.offset > offset ? SQL_ROW : 0;
}

static int apply_step(struct store_job *job, sqlite3 *db, struct error *err)
{
    struct apply_job *own = CONTAINER_OF(job, struct apply_job, job);
    own->result = (struct store_apply_result){0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < own->range.count; i++)
        r = apply_generation(own, db, i, err);
    return r < 0 ? r : 0;
}

static void apply_finish(struct store_job *job)
{
    struct apply_job *own = CONTAINER_OF(job, struct apply_job, job);
    if (own->done)
        own->done(job->context, job->result, &job->err, &own->result);
}

// A job that keeps the range, which is in it.
static int64_t submit(struct store *store, struct store_job *job, size_t size,
                      struct store_apply_range *range, struct error *err)
{
    static const struct store_shape characters = {1, 0, {0}};
    const struct store_given given[] = {{&range->generations, range->count, &store_number_shape},
                                        {&range->home, strlen(range->home) + 1, &characters}};
    return store_job_submit(store, job, size, given, ARRAY_LEN(given), NULL, 0, err);
}

int64_t store_ledger_apply(struct store *store, const struct store_apply_range *range,
                           store_apply_fn *done, void *context, struct error *err)
{
    enum store_durability durability = range->hurry ? STORE_PROMPT : STORE_GROUPED;
    struct apply_job own = {
        {apply_step, durability, NULL, context, apply_finish}, .range = *range, .done = done};
    return submit(store, &own.job, sizeof own, &own.range, err);
}

struct drop_job {
    struct store_job job;
    struct store *store;
    struct store_apply_range range;
};

// A write is needed for the commit to reach the disk, and with it all that came before; one that
// changes a value, since SQLite leaves out the others. What is sealed already is on the disk.
static int make_sure(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] = "UPDATE journals SET sealed = 1 WHERE generation = ?";
    struct drop_job *own = CONTAINER_OF(job, struct drop_job, job);
    int r = 0;
    for (size_t i = 0; r == 0 && i < own->range.count; i++) {
        int64_t applied = 0, size = journal_size(own->range.home, own->range.generations[i]);
        r = applied_to(db, own->range.generations[i], &applied, err);
        if (r == 0 && applied < size)
            r = error_set(err, -EBUSY, "the ledger's journal was not applied to its end");
        if (r == 0)
            r = sql_run(db, sql, SQL_VALUES(sql_int((int64_t)own->range.generations[i])), err);
    }
    return r;
}

// When the transaction fails afterwards, what is left is a place in a file that is not there.
static int remove_files(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] = "DELETE FROM journals WHERE generation = ?";
    struct drop_job *own = CONTAINER_OF(job, struct drop_job, job);
    int r = 0;
    for (size_t i = 0; r == 0 && i < own->range.count; i++) {
        r = journal_remove(own->range.home, own->range.generations[i], err);
        if (r == 0)
            r = sql_run(db, sql, SQL_VALUES(sql_int((int64_t)own->range.generations[i])), err);
    }
    return r;
}

static void sure(struct store_job *job)
{
    struct drop_job *own = CONTAINER_OF(job, struct drop_job, job);
    struct drop_job next = {{remove_files, STORE_GROUPED, job->done, job->context},
                            .range = own->range};
    struct error err = job->err;
    int64_t r = job->result;
    if (r == 0)
        r = submit(own->store, &next.job, sizeof next, &next.range, &err);
    if (r < 0 && job->done)
        job->done(job->context, (int)r, &err, 0);
}

int64_t store_ledger_drop(struct store *store, const struct store_apply_range *range,
                          store_done_fn *done, void *context, struct error *err)
{
    struct drop_job own = {{make_sure, STORE_DURABLE, done, context, sure}, store, *range};
    return submit(store, &own.job, sizeof own, &own.range, err);
}
