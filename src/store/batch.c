#include "store/batch.h"

#include <errno.h>

#include "store/sql.h"
#include "store/store_internal.h"

/*
 * Group commit. All jobs of a batch share one transaction and one fsync, which on an SD card is the
 * whole price of a write. Each runs in a savepoint, so that one which fails takes only its own rows
 * with it. When the transaction itself fails (the disk is full, say), nobody can tell whose fault
 * it was; then each job is run again in a transaction of its own, and those for which there is room
 * go through.
 *
 * In a write-ahead log NORMAL commits without fsync, and a later FULL commit makes all before it
 * durable with its own: the log is one sequence, and what survives is always a prefix of it.
 */

static int run_in_savepoint(sqlite3 *db, struct store_job *job)
{
    int r = sql_exec(db, "SAVEPOINT job", &job->err);
    if (r < 0)
        return r;
    job->rowid = 0;
    job->scrub = false;
    job->result = job->run(job, db, &job->err);
    if (sqlite3_get_autocommit(db)) // the failure was such that SQLite undid everything
        return job->result < 0 ? job->result
                               : error_set(&job->err, -EIO, "the transaction is gone");
    if (job->result < 0)
        r = sql_exec(db, "ROLLBACK TO job", NULL);
    if (r == 0)
        r = sql_exec(db, "RELEASE job", NULL);
    return r;
}

// Failures of the disk are no job's own: they end the transaction, and are tried again.
static bool is_own_failure(int result)
{
    return result == -EINVAL || result == -ENOENT || result == -EALREADY || result == -E2BIG ||
           result == -EBUSY; // of a session; the file itself is ours from the start of the batch
}

static int run_all(struct store_connection *conn, struct list *jobs, struct error *err)
{
    list_for_each(link, jobs) {
        struct store_job *job = list_entry(link, struct store_job, link);
        if (job->settled)
            continue;
        int r = run_in_savepoint(conn->db, job);
        if (job->result < 0 && is_own_failure(job->result) && r == 0) {
            job->settled = true;
            continue;
        }
        if (job->result < 0 || r < 0) {
            *err = job->err;
            return err->code = job->result < 0 ? job->result : r;
        }
    }
    return 0;
}

static void note_damage(struct store_connection *conn, struct error *err)
{
    struct error damage = *err;
    store_connection_mark_damaged(conn);
    error_set(err, -EUCLEAN, "%.400s; the next start checks it and sets it aside", damage.text);
}

static int run_transaction(struct store_connection *conn, struct list *jobs, struct error *err)
{
    bool writing = false, durable = false;
    list_for_each(link, jobs) {
        const struct store_job *job = list_entry(link, struct store_job, link);
        writing |= !job->reads_only;
        durable |= !job->reads_only && job->durability == STORE_DURABLE;
    }
    bool full = durable || (writing && !conn->marked);
    int r =
        sql_exec(conn->db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
    if (r == 0)
        r = sql_exec(conn->db, writing ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (r == 0 && writing && !conn->marked)
        r = sql_exec(conn->db, "UPDATE meta SET value = 0 WHERE key = 'clean'", err);
    if (r == 0)
        r = run_all(conn, jobs, err);
    if (r == 0)
        r = sql_exec(conn->db, "COMMIT", err);
    if (r < 0 && !sqlite3_get_autocommit(conn->db))
        sql_exec(conn->db, "ROLLBACK", NULL);
    if (r == 0 && writing)
        conn->marked = true;
    if (r == -EUCLEAN)
        note_damage(conn, err);
    return r;
}

static void fail(struct store_job *job, const struct error *err)
{
    job->result = err->code;
    job->err = *err;
    job->settled = true;
}

void store_batch_run(struct store_connection *conn, struct list *jobs)
{
    struct error err = ERROR_INIT;
    if (run_transaction(conn, jobs, &err) == 0)
        return;
    struct list done = LIST_INIT(done);
    for (struct list *link; (link = list_shift(jobs));) {
        struct store_job *job = list_entry(link, struct store_job, link);
        struct list only = LIST_INIT(only);
        list_append(&only, link);
        if (!job->settled && run_transaction(conn, &only, &err) < 0)
            fail(job, &err);
        list_remove(link);
        list_append(&done, link);
    }
    for (struct list *link; (link = list_shift(&done));)
        list_append(jobs, link);
}

// A failed read is not run again: nothing of it is half done, and nobody else's transaction failed.
void store_batch_read(struct store_connection *conn, struct store_job *job)
{
    job->result = sql_exec(conn->db, "BEGIN", &job->err);
    if (job->result == 0)
        job->result = job->run(job, conn->db, &job->err);
}

void store_batch_read_end(struct store_connection *conn, struct store_job *job)
{
    if (!sqlite3_get_autocommit(conn->db))
        sql_exec(conn->db, "COMMIT", NULL);
    if (job->result == -EUCLEAN)
        note_damage(conn, &job->err);
}

void store_batch_fail(struct list *jobs, const struct error *err)
{
    list_for_each(link, jobs)
        fail(list_entry(link, struct store_job, link), err);
}

void store_batch_outcome(const struct list *jobs, const struct error **ret_failure, bool *ret_wrote)
{
    for (const struct list *link = jobs->next; link != jobs; link = link->next) {
        const struct store_job *job = list_entry(link, struct store_job, link);
        if (job->reads_only)
            continue;
        if (job->result >= 0)
            *ret_wrote = true;
        else if (!is_own_failure(job->result))
            *ret_failure = &job->err;
    }
}
