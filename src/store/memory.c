#include "store/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "store/fts_query.h"
#include "store/sql.h"
#include "store/store_internal.h"

struct add_job {
    struct store_job job;
    struct store_memory memory;
};

enum { FOUND_BYTES_MAX = STORE_MEMORY_ROWS_MAX * STORE_MEMORY_BYTES_MAX };

struct search_job {
    struct store_job job;
    struct span text;
    int limit;
    store_memory_found_fn *found;
    struct store_memory *rows; // owned; their contents follow each other in `contents`
    size_t count;
    struct buf contents;
};

static int add(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] = "INSERT INTO memory(content, tainted, created_ms) VALUES(?, ?, ?)";
    const struct store_memory *m = &CONTAINER_OF(job, struct add_job, job)->memory;
    int r =
        sql_run(db, sql,
                SQL_VALUES(sql_text(m->content), sql_int(m->tainted), sql_int(m->created_ms)), err);
    if (r == 0)
        job->rowid = sqlite3_last_insert_rowid(db);
    return r;
}

int64_t store_memory_add(struct store *store, const struct store_memory *memory,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err)
{
    if (memory->content.len == 0)
        return error_set(err, -EINVAL, "there is nothing to remember");
    if (memory->content.len > STORE_MEMORY_BYTES_MAX)
        return error_set(err, -E2BIG, "a memory has at most %d bytes, not %zu; keep it in a file",
                         STORE_MEMORY_BYTES_MAX, memory->content.len);
    struct add_job own = {{add, durability, done, context}, *memory};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.memory.content),
                            err);
}

static int collect(struct search_job *own, sqlite3_stmt *stmt, struct error *err)
{
    int r;
    while ((r = sql_step(stmt, err)) == SQL_ROW && own->count < (size_t)own->limit) {
        struct store_memory *m = &own->rows[own->count];
        sql_read(stmt,
                 SQL_FIELDS(INTO(m->id), INTO(m->content), INTO(m->tainted), INTO(m->created_ms)));
        if (!buf_append_span(&own->contents, m->content))
            return error_set(err, -ENOMEM, "no memory left for what was found");
        own->count++;
    }
    return r < 0 ? r : 0;
}

static int search(struct store_job *job, sqlite3 *db, struct error *err)
{
    // Ranked by the index alone; only the rows that are wanted are read.
    static const char by_words[] =
        "SELECT m.id, m.content, m.tainted, m.created_ms FROM"
        " (SELECT rowid AS id, bm25(memory_fts) AS score FROM memory_fts"
        "  WHERE memory_fts MATCH ?1 ORDER BY score, rowid DESC LIMIT ?2) f"
        " JOIN memory m ON m.id = f.id ORDER BY f.score, m.id DESC";
    static const char newest[] = "SELECT id, content, tainted, created_ms FROM memory"
                                 " WHERE ?1 IS NULL ORDER BY id DESC LIMIT ?2";
    struct search_job *own = CONTAINER_OF(job, struct search_job, job);
    BUF_AUTO query = BUF_INIT(FTS_QUERY_BYTES_MAX);
    SQL_AUTO *stmt = NULL;
    own->count = 0;
    buf_clear(&own->contents);
    bool words = fts_query_build(own->text, &query) > 0;
    int r = sql_prepare(
        db, words ? by_words : newest,
        SQL_VALUES(sql_text(words ? buf_span(&query) : SPAN_ABSENT), sql_int(own->limit)), &stmt,
        err);
    if (r == 0)
        r = collect(own, stmt, err);
    // The buffer moves while it grows, so the contents are pointed at when all are there.
    const char *content = buf_text(&own->contents);
    for (size_t i = 0; i < own->count; i++) {
        own->rows[i].content.data = content;
        content += own->rows[i].content.len;
    }
    return r;
}

static void search_finish(struct store_job *job)
{
    struct search_job *own = CONTAINER_OF(job, struct search_job, job);
    size_t count = job->result < 0 ? 0 : own->count;
    own->found(job->context, job->result, &job->err, own->rows, count);
}

static void search_release(struct store_job *job)
{
    struct search_job *own = CONTAINER_OF(job, struct search_job, job);
    free(own->rows);
    buf_finish(&own->contents);
}

int64_t store_memory_search(struct store *store, struct span text, int limit,
                            store_memory_found_fn *found, void *context, struct error *err)
{
    if (limit < 1 || limit > STORE_MEMORY_ROWS_MAX)
        return error_set(err, -EINVAL, "a search finds 1 to %d memories, not %d",
                         STORE_MEMORY_ROWS_MAX, limit);
    struct search_job own = {
        .job = {search, STORE_DURABLE, NULL, context, search_finish, search_release, true, true},
        .text = text,
        .limit = limit,
        .found = found,
        .rows = mem_zalloc((size_t)limit * sizeof *own.rows),
        .contents = BUF_INIT(FOUND_BYTES_MAX),
    };
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.text), err);
}
