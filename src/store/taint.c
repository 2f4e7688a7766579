#include "store/taint.h"

#include "store/sql.h"
#include "store/store_internal.h"

struct change_job {
    struct store_job job;
    struct store_taint_change change;
};

static const struct store_shape taint_shape = {
    sizeof(struct store_taint), 1, {offsetof(struct store_taint, name)}};
const struct store_shape store_mark_shape = {
    sizeof(struct store_mark),
    2,
    {offsetof(struct store_mark, taint.name), offsetof(struct store_mark, why)}};

// In the file they are numbers of no meaning, so they are words.
const char *const store_taint_words[] = {
    [STORE_TAINT_FILE] = "file",   [STORE_TAINT_MEMORY] = "memory", [STORE_TAINT_HANDLE] = "handle",
    [STORE_TAINT_SKILL] = "skill", [STORE_TAINT_NOTE] = "note",
};

static struct span word_of(enum store_taint_kind kind)
{
    return span_of(store_taint_words[kind]);
}

static int add(sqlite3 *db, const struct store_taint_change *change,
               const struct store_taint *taint, struct error *err)
{
    static const char insert[] = "INSERT INTO taints(kind, name, why, marked_ms)"
                                 " VALUES(?1, ?2, coalesce(?3, ''), ?4) ON CONFLICT DO UPDATE"
                                 " SET marked_ms = max(excluded.marked_ms, marked_ms + 1)";
    static const char all[] = "UPDATE OR REPLACE taints SET name = '' WHERE kind = ?1 AND"
                              " (SELECT count(*) FROM taints WHERE kind = ?1) > ?2";
    struct span kind = word_of(taint->kind);
    int r = sql_run(db, insert,
                    SQL_VALUES(sql_text(kind), sql_text(taint->name), sql_text(change->why),
                               sql_int(change->now_ms)),
                    err);
    return r < 0 ? r : sql_run(db, all, SQL_VALUES(sql_text(kind), sql_int(STORE_TAINTS_MAX)), err);
}

int store_mark_lift(sqlite3 *db, const struct store_mark *mark, struct error *err)
{
    static const char note[] = "UPDATE memory SET tainted = 0 WHERE tainted AND content = ?1"
                               " AND created_ms = ?2";
    static const char other[] = "DELETE FROM taints WHERE name = ?1 AND marked_ms = ?2 AND"
                                " kind = ?3";
    struct span name = mark->taint.name;
    int r = mark->taint.kind == STORE_TAINT_NOTE
                ? sql_run(db, note, SQL_VALUES(sql_text(name), sql_int(mark->marked_ms)), err)
                : sql_run(db, other,
                          SQL_VALUES(sql_text(name), sql_int(mark->marked_ms),
                                     sql_text(word_of(mark->taint.kind))),
                          err);
    return r < 0 ? r : sqlite3_changes(db) == 0 ? STORE_NOT_FOUND : 0;
}

/*
 * A command in the background writes when nobody looks. So while one is marked, which was there
 * together with a marked file, what it has made of that may be anywhere.
 */
static int drop_gone(sqlite3 *db, const struct store_taint_change *change, struct error *err)
{
    static const char unseen[] = "SELECT count(*) FROM taints WHERE kind = 'handle' AND"
                                 " (name = '' OR substr(name, 1, 5) = 'proc_')";
    int64_t commands = 0;
    int r = change->gone_count ? sql_lookup(db, unseen, NULL, 0, &commands, err) : 0;
    for (size_t i = 0; i < change->gone_count && r >= 0 && commands == 0; i++)
        r = store_mark_lift(db, &change->gone[i], err); // one that was marked anew stays
    return r < 0 ? r : 0;
}

static int run(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char remove[] = "DELETE FROM taints WHERE kind = ? AND name = ? AND name <> ''";
    const struct store_taint_change *change = &CONTAINER_OF(job, struct change_job, job)->change;
    int r = drop_gone(db, change, err);
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
    const struct store_given given[] = {
        {&own.change.taints, own.change.count, &taint_shape},
        {&own.change.gone, own.change.gone_count, &store_mark_shape},
    };
    return store_job_submit(store, &own.job, sizeof own, given, ARRAY_LEN(given),
                            STORE_SPANS(&own.change.why), err);
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

int store_read_marks(struct store_view *view, store_mark_fn *row, void *context, struct error *err)
{
    static const char sql[] = "SELECT kind, name, why, marked_ms FROM taints UNION ALL"
                              " SELECT 'note', content, '', created_ms FROM memory WHERE tainted"
                              " ORDER BY 1, 2 LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_int(STORE_MARKS_MAX)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_mark mark;
        struct span word;
        sql_read(stmt, SQL_FIELDS(INTO(word), INTO(mark.taint.name), INTO(mark.why),
                                  INTO(mark.marked_ms)));
        r = store_word_read(store_taint_words, STORE_TAINT_NOTE + 1, word, "a mark is of the kind",
                            err);
        if (r < 0)
            return r;
        mark.taint.kind = (enum store_taint_kind)r;
        r = row(context, &mark) ? sql_step(stmt, err) : 0;
    }
    return r;
}
