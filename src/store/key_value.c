#include "store/key_value.h"

#include <errno.h>

#include "store/store_internal.h"

int store_read_key_value(struct store *store, struct span name, struct buf *ret_text,
                         struct error *err)
{
    static const char sql[] = "SELECT value FROM meta WHERE key = 'fact:' || ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(store_view(store), sql, SQL_VALUES(sql_text(name)), &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    buf_append_span(ret_text, sql_column(stmt, 0));
    return 0;
}

// In `meta`, where the store's own marks are too; the prefix keeps them apart.
int store_key_value_set(sqlite3 *db, struct span name, struct span text, struct error *err)
{
    static const char sql[] = "INSERT INTO meta(key, value) VALUES('fact:' || ?, ?)"
                              " ON CONFLICT(key) DO UPDATE SET value = excluded.value";
    return sql_run(db, sql, SQL_VALUES(sql_text(name), sql_text(text)), err);
}

struct key_value_job {
    struct store_job job;
    struct span name, text;
};

static int write_key_value(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct key_value_job *own = CONTAINER_OF(job, struct key_value_job, job);
    return store_key_value_set(db, own->name, own->text, err);
}

int64_t store_write_key_value(struct store *store, struct span name, struct span text,
                              enum store_durability durability, store_done_fn *done, void *context,
                              struct error *err)
{
    if (name.len > STORE_KEY_MAX)
        return error_set(err, -E2BIG, "a key has at most %d bytes, not %zu", STORE_KEY_MAX,
                         name.len);
    if (text.len > STORE_VALUE_MAX)
        return error_set(err, -E2BIG, "a value has at most %d bytes, not %zu", STORE_VALUE_MAX,
                         text.len);
    struct key_value_job own = {{write_key_value, durability, done, context}, name, text};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.name, &own.text),
                            err);
}
