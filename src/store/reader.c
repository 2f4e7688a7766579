#include <errno.h>
#include <string.h>

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

// SQL_ROW when there was a row.
static int read_rows(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, store_row_fn *row, void *context, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = view->db ? 0 : open_reader(view->store, err);
    if (r == 0)
        r = sql_prepare(view->db ? view->db : view->store->reader, sql, values, count, &stmt, err);
    if (r == 0)
        r = sql_step(stmt, err);
    bool any = r == SQL_ROW;
    while (r == SQL_ROW) {
        r = row(context, stmt, err);
        if (r == SQL_ROW)
            r = sql_step(stmt, err);
    }
    return r < 0 ? r : any ? SQL_ROW : 0;
}

int store_read_rows(struct store_view *view, const char *sql, const struct sql_value *values,
                    size_t count, store_row_fn *row, void *context, struct error *err)
{
    int r = read_rows(view, sql, values, count, row, context, err);
    return r < 0 ? r : 0;
}

int store_read_row(struct store_view *view, const char *sql, const struct sql_value *values,
                   size_t count, store_row_fn *row, void *context, struct error *err)
{
    int r = read_rows(view, sql, values, count, row, context, err);
    return r < 0 ? r : r == SQL_ROW ? 0 : STORE_NOT_FOUND;
}

static int take_number(void *context, sqlite3_stmt *stmt, struct error *err)
{
    *(int64_t *)context = sqlite3_column_int64(stmt, 0);
    return 0;
}

int store_read_number(struct store_view *view, const char *sql, const struct sql_value *values,
                      size_t count, int64_t *ret_number, struct error *err)
{
    return store_read_row(view, sql, values, count, take_number, ret_number, err);
}

struct id_search {
    struct span beginning;
    struct store_id found;
    int count;
};

static int collect_id(void *context, sqlite3_stmt *stmt, struct error *err)
{
    struct id_search *search = context;
    struct span id = sql_column(stmt, 0);
    if (search->count++ > 0)
        return 0;
    search->found.len = id.len < STORE_ID_MAX ? id.len : STORE_ID_MAX;
    memcpy(search->found.text, id.data, search->found.len);
    return span_equal(id, search->beginning) ? 0 : SQL_ROW; // a whole id is never ambiguous
}

int store_find_id(struct store_view *view, const char *sql, struct span beginning, const char *what,
                  struct store_id *ret_id, struct error *err)
{
    char end[STORE_ID_MAX + 1];
    struct id_search search = {.beginning = beginning};
    int r = store_id_check(beginning, what, err);
    if (r < 0)
        return r;
    memcpy(end, beginning.data, beginning.len);
    end[beginning.len] = (char)0xff; // sorts behind everything that follows in an id
    r = store_read_rows(
        view, sql, SQL_VALUES(sql_text(beginning), sql_text(span_make(end, beginning.len + 1))),
        collect_id, &search, err);
    if (r < 0)
        return r;
    if (search.count > 1)
        return error_set(err, -EINVAL, "more than one %s begins with %.*s; give more of its id",
                         what, (int)beginning.len, beginning.data);
    *ret_id = search.found;
    return search.count ? 0 : STORE_NOT_FOUND;
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
