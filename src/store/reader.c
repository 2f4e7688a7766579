#include <errno.h>

#include "store/store_internal.h"
#include "store/store_thread.h"

struct store_view *store_view(struct store *store)
{
    return &store->view;
}

// The owner's connection is opened when it is first asked for; -EAGAIN until the store is ready.
static int open_reader(struct store *store, struct error *err)
{
    switch (store_state(store)) {
    case STORE_READY:
        return store->reader
                   ? 0
                   : store_reader_open(store_path(store), store->vfs, &store->reader, err);
    case STORE_FAILED:
        return error_set(err, -EIO, "%s", store_describe(store));
    default:
        return error_set(err, -EAGAIN, "%s", store_describe(store));
    }
}

int store_read_first(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, sqlite3_stmt **ret_stmt, struct error *err)
{
    int r = view->db ? 0 : open_reader(view->store, err);
    return r < 0 ? r
                 : sql_first(view->db ? view->db : view->store->reader, sql, values, count,
                             ret_stmt, err);
}

int store_read_number(struct store_view *view, const char *sql, const struct sql_value *values,
                      size_t count, int64_t *ret_number, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    *ret_number = sqlite3_column_int64(stmt, 0);
    return 0;
}

struct reading_job {
    struct store_job job;
    struct store_reading reading;
};

static int run_reading(struct store_job *job, sqlite3 *db, struct error *err)
{
    struct reading_job *own = CONTAINER_OF(job, struct reading_job, job);
    struct store_view view = {.db = db};
    return own->reading.read(job->context, &view, err);
}

static void release_reading(struct store_job *job)
{
    struct reading_job *own = CONTAINER_OF(job, struct reading_job, job);
    if (own->reading.release && job->number)
        own->reading.release(job->context);
}

int64_t store_read(struct store *store, const struct store_reading *reading, void *context,
                   struct error *err)
{
    struct reading_job own = {
        {run_reading, STORE_PROMPT, reading->done, context, NULL, release_reading, true, true},
        *reading};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, NULL, 0, err);
}
