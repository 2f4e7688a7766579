#include "store/taint.h"

#include "store/sql.h"
#include "store/store_internal.h"

struct change_job {
    struct store_job job;
    struct store_taint_change change;
};

static const struct store_shape taint_shape = {
    sizeof(struct store_taint), 1, {offsetof(struct store_taint, name)}};

// In the file they are numbers of no meaning, so they are words.
static struct span word_of(enum store_taint_kind kind)
{
    static const char *const words[] = {
        [STORE_TAINT_FILE] = "file",
        [STORE_TAINT_MEMORY] = "memory",
        [STORE_TAINT_HANDLE] = "handle",
    };
    return span_of(words[kind]);
}

static int add(sqlite3 *db, const struct store_taint_change *change,
               const struct store_taint *taint, struct error *err)
{
    static const char insert[] = "INSERT INTO taints(kind, name, why, marked_ms)"
                                 " VALUES(?1, ?2, coalesce(?3, ''), ?4) ON CONFLICT DO NOTHING";
    static const char all[] = "UPDATE OR REPLACE taints SET name = '' WHERE kind = ?1 AND"
                              " (SELECT count(*) FROM taints WHERE kind = ?1) > ?2";
    struct span kind = word_of(taint->kind);
    int r = sql_run(db, insert,
                    SQL_VALUES(sql_text(kind), sql_text(taint->name), sql_text(change->why),
                               sql_int(change->now_ms)),
                    err);
    return r < 0 ? r : sql_run(db, all, SQL_VALUES(sql_text(kind), sql_int(STORE_TAINTS_MAX)), err);
}

static int run(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char remove[] = "DELETE FROM taints WHERE kind = ? AND name = ? AND name <> ''";
    const struct store_taint_change *change = &CONTAINER_OF(job, struct change_job, job)->change;
    int r = 0;
    for (size_t i = 0; i < change->count && r == 0; i++) {
        const struct store_taint *taint = &change->taints[i];
        r = change->remove
                ? sql_run(db, remove,
                          SQL_VALUES(sql_text(word_of(taint->kind)), sql_text(taint->name)), err)
                : add(db, change, taint, err);
    }
    return r;
}

int64_t store_taint_change(struct store *store, const struct store_taint_change *change,
                           store_done_fn *done, void *context, struct error *err)
{
    struct change_job own = {{run, STORE_DURABLE, done, context}, *change};
    const struct store_given given = {&own.change.taints, own.change.count, &taint_shape};
    return store_job_submit(store, &own.job, sizeof own, &given, 1, STORE_SPANS(&own.change.why),
                            err);
}

int store_read_taints(struct store_view *view, enum store_taint_kind kind, store_taint_fn *row,
                      void *context, struct error *err)
{
    static const char sql[] = "SELECT name FROM taints WHERE kind = ? ORDER BY name LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(
        view, sql, SQL_VALUES(sql_text(word_of(kind)), sql_int(STORE_TAINTS_MAX)), &stmt, err);
    while (r == SQL_ROW)
        r = row(context, sql_column(stmt, 0)) ? sql_step(stmt, err) : 0;
    return r;
}
