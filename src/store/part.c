#include "store/part.h"

#include <errno.h>

#include "store/store_internal.h"

struct part_job {
    struct store_job job;
    struct store_part part;
};

static int add(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char insert[] = "INSERT OR REPLACE INTO parts(session, id, data) VALUES(?, ?, ?)";
    static const char forget[] = "DELETE FROM parts WHERE session = ?1 AND number <="
                                 " (SELECT number FROM parts WHERE session = ?1"
                                 "  ORDER BY number DESC LIMIT 1 OFFSET ?2)";
    const struct store_part *part = &CONTAINER_OF(job, struct part_job, job)->part;
    int64_t session = 0;
    int r = store_session_number(db, part->session, &session, err);
    if (r == 0)
        r = sql_run(db, insert,
                    SQL_VALUES(sql_int(session), sql_text(part->id), sql_bytes(part->data)), err);
    if (r == 0)
        r = sql_run(db, forget, SQL_VALUES(sql_int(session), sql_int(STORE_PARTS_KEPT)), err);
    return r;
}

int64_t store_part_add(struct store *store, const struct store_part *part,
                       enum store_durability durability, store_done_fn *done, void *context,
                       struct error *err)
{
    struct part_job own = {{add, durability, done, context}, *part};
    struct store_part *p = &own.part;
    return store_job_submit(store, &own.job, sizeof own, NULL, 0,
                            STORE_SPANS(&p->session, &p->id, &p->data), err);
}

int store_read_part(struct store_view *view, struct span session, struct span id, struct buf *out,
                    struct error *err)
{
    static const char sql[] = "SELECT data FROM parts WHERE id = ?"
                              " AND session = (SELECT number FROM sessions WHERE id = ?)";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_text(id), sql_text(session)), &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    return buf_append_span(out, sql_column(stmt, 0))
               ? 0
               : error_set(err, -E2BIG, "a part of a message is too large");
}
