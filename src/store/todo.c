#include "store/todo.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "store/sql.h"
#include "store/store_internal.h"

static const struct store_shape todo_shape = {sizeof(struct store_todo),
                                              3,
                                              {offsetof(struct store_todo, id),
                                               offsetof(struct store_todo, content),
                                               offsetof(struct store_todo, status)}};

enum { TEXTS_MAX = 2 * STORE_TODO_BYTES_MAX }; // bytes of the list, with its states

struct todo_job {
    struct store_job job;
    struct store_todo_change change;
    store_todo_fn *found;
    struct store_todo *rows; // owned; their texts follow each other in `texts`
    size_t count;
    struct buf texts;
};

static int change_one(sqlite3 *db, int64_t session, const struct todo_job *own,
                      const struct store_todo *todo, struct error *err)
{
    static const char update[] = "UPDATE todos SET content = coalesce(?3, content),"
                                 " status = coalesce(?4, status), tainted = max(tainted, ?5)"
                                 " WHERE session = ?1 AND id = ?2";
    static const char insert[] =
        "INSERT INTO todos(session, id, content, status, tainted, position)"
        " VALUES(?1, ?2, ?3, ?4, ?5,"
        " coalesce((SELECT max(position) FROM todos WHERE session = ?1), 0) + 1)";
    struct span status = todo->status.data ? todo->status : own->change.status_of_new;
    int r = sql_run(db, update,
                    SQL_VALUES(sql_int(session), sql_text(todo->id), sql_text(todo->content),
                               sql_text(todo->status), sql_int(todo->tainted)),
                    err);
    if (r < 0 || sqlite3_changes(db) > 0)
        return r;
    if (!todo->content.data)
        return error_set(err, -EINVAL, "there is no step \"%.*s\", and a new one needs content",
                         (int)todo->id.len, todo->id.data);
    return sql_run(db, insert,
                   SQL_VALUES(sql_int(session), sql_text(todo->id), sql_text(todo->content),
                              sql_text(status), sql_int(todo->tainted)),
                   err);
}

static int change_all(sqlite3 *db, int64_t session, const struct todo_job *own, struct error *err)
{
    int r = own->change.replace ? sql_run(db, "DELETE FROM todos WHERE session = ?",
                                          SQL_VALUES(sql_int(session)), err)
                                : 0;
    for (size_t i = 0; i < own->change.count && r == 0; i++)
        r = change_one(db, session, own, &own->change.todos[i], err);
    return r;
}

// The buffer moves while it grows, so the texts are pointed at when all are there.
static void point_at_texts(struct todo_job *own)
{
    const char *text = buf_text(&own->texts);
    for (size_t i = 0; i < own->count; i++) {
        struct store_todo *row = &own->rows[i];
        struct span *spans[] = {&row->id, &row->content, &row->status};
        for (size_t s = 0; s < sizeof spans / sizeof spans[0]; s++) {
            spans[s]->data = text;
            text += spans[s]->len;
        }
    }
}

static int collect(struct todo_job *own, sqlite3_stmt *stmt, struct error *err)
{
    int r;
    size_t bytes = 0;
    while ((r = sql_step(stmt, err)) == SQL_ROW) {
        struct store_todo row = {.id = sql_column(stmt, 0),
                                 .content = sql_column(stmt, 1),
                                 .status = sql_column(stmt, 2),
                                 .tainted = sqlite3_column_int(stmt, 3)};
        bytes += row.id.len + row.content.len;
        if (own->count == STORE_TODOS_MAX || bytes > STORE_TODO_BYTES_MAX)
            return error_set(err, -E2BIG,
                             "the list would have more than %d steps, or %d KiB of text",
                             STORE_TODOS_MAX, STORE_TODO_BYTES_MAX / 1024);
        buf_append_span(&own->texts, row.id);
        buf_append_span(&own->texts, row.content);
        if (!buf_append_span(&own->texts, row.status))
            return error_set(err, -ENOMEM, "no memory left for the list");
        own->rows[own->count++] = row;
    }
    return r;
}

static int change(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char list[] =
        "SELECT id, content, status, tainted FROM todos WHERE session = ? ORDER BY position";
    struct todo_job *own = CONTAINER_OF(job, struct todo_job, job);
    SQL_AUTO *stmt = NULL;
    int64_t session = 0;
    own->count = 0;
    buf_clear(&own->texts);
    int r = store_session_number(db, own->change.session, &session, err);
    if (r == 0)
        r = change_all(db, session, own, err);
    if (r == 0)
        r = sql_prepare(db, list, SQL_VALUES(sql_int(session)), &stmt, err);
    if (r == 0)
        r = collect(own, stmt, err);
    point_at_texts(own);
    return r;
}

static void change_finish(struct store_job *job)
{
    struct todo_job *own = CONTAINER_OF(job, struct todo_job, job);
    own->found(job->context, job->result, &job->err, own->rows, job->result < 0 ? 0 : own->count);
}

static void change_release(struct store_job *job)
{
    struct todo_job *own = CONTAINER_OF(job, struct todo_job, job);
    free(own->rows);
    buf_finish(&own->texts);
}

int64_t store_todos_change(struct store *store, const struct store_todo_change *todo_change,
                           store_todo_fn *found, void *context, struct error *err)
{
    bool reads = todo_change->count == 0 && !todo_change->replace;
    struct todo_job own = {
        .job = {change, STORE_DURABLE, NULL, context, change_finish, change_release, reads},
        .change = *todo_change,
        .found = found,
        .rows = mem_alloc(STORE_TODOS_MAX * sizeof *own.rows),
        .texts = BUF_INIT(TEXTS_MAX),
    };
    const struct store_given given = {&own.change.todos, own.change.count, &todo_shape};
    return store_job_submit(store, &own.job, sizeof own, &given, 1,
                            STORE_SPANS(&own.change.session, &own.change.status_of_new), err);
}
