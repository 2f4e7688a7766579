#include "store/sql.h"

#include <errno.h>

void sql_finalize(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
    *stmt = NULL;
}

/*
 * A quota that is used up reaches SQLite as an I/O error like any other, so the system's own errno
 * is asked too: "full" is the one failure of a disk that its owner can do something about at once.
 */
static bool disk_is_full(sqlite3 *db, int primary)
{
    if (primary == SQLITE_FULL)
        return true;
    int cause = sqlite3_system_errno(db);
    return (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) &&
           (cause == ENOSPC || cause == EDQUOT);
}

int sql_error(sqlite3 *db, struct error *err)
{
    int primary = sqlite3_extended_errcode(db) & 0xff;
    const char *path = sqlite3_db_filename(db, "main");
    const char *reason = sqlite3_errmsg(db);
    if (!path)
        path = "the database";
    if (disk_is_full(db, primary))
        return error_set(err, -ENOSPC, "the disk that holds %s is full; free some space", path);
    switch (primary) {
    case SQLITE_READONLY:
        return error_set(err, -EROFS, "%s cannot be written (%s); check its owner and mode", path,
                         reason);
    case SQLITE_CANTOPEN:
        return error_set(err, -EACCES,
                         "%s or a file beside it cannot be opened (%s); check that its directory "
                         "can be written",
                         path, reason);
    case SQLITE_IOERR:
        return error_set(err, -EIO, "reading or writing %s failed (%s); the disk may be failing",
                         path, reason);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, -EUCLEAN, "%s is damaged (%s)", path, reason);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(err, -EBUSY, "another program holds %s locked", path);
    case SQLITE_NOMEM:
        return error_set(err, -ENOMEM, "no memory left for %s", path);
    case SQLITE_TOOBIG:
        return error_set(err, -E2BIG, "a value is too large for %s", path);
    case SQLITE_CONSTRAINT:
        return error_set(err, -EINVAL, "%s rejects this row: %s", path, reason);
    case SQLITE_INTERRUPT:
        return error_set(err, -ECANCELED, "the work on %s was interrupted", path);
    default:
        return error_set(err, -EIO, "%s: %s", path, reason);
    }
}

int sql_exec(sqlite3 *db, const char *sql, struct error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_error(db, err);
    return 0;
}

static int bind(sqlite3_stmt *stmt, int index, const struct sql_value *value)
{
    switch (value->kind) {
    case SQL_VALUE_INT:
        return sqlite3_bind_int64(stmt, index, value->number);
    case SQL_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, index, value->span.data, value->span.len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case SQL_VALUE_BYTES:
        return sqlite3_bind_blob64(stmt, index, value->span.data, value->span.len, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(stmt, index);
    }
}

int sql_bind_again(sqlite3_stmt *stmt, const struct sql_value *values, size_t count,
                   struct error *err)
{
    sqlite3_reset(stmt);
    for (size_t i = 0; i < count; i++)
        if (bind(stmt, (int)i + 1, &values[i]) != SQLITE_OK)
            return sql_error(sqlite3_db_handle(stmt), err);
    return 0;
}

int sql_prepare(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
                sqlite3_stmt **ret_stmt, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return sql_error(db, err);
    int r = sql_bind_again(stmt, values, count, err);
    if (r == 0)
        *ret_stmt = STEAL(stmt);
    return r;
}

int sql_step(sqlite3_stmt *stmt, struct error *err)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return SQL_ROW;
    return rc == SQLITE_DONE ? 0 : sql_error(sqlite3_db_handle(stmt), err);
}

int sql_run(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
            struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = sql_prepare(db, sql, values, count, &stmt, err);
    if (r == 0) {
        do
            r = sql_step(stmt, err);
        while (r == SQL_ROW);
    }
    return r;
}

int sql_first(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
              sqlite3_stmt **ret_stmt, struct error *err)
{
    int r = sql_prepare(db, sql, values, count, ret_stmt, err);
    return r == 0 ? sql_step(*ret_stmt, err) : r;
}

int sql_lookup(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
               int64_t *ret_number, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, sql, values, count, &stmt, err);
    if (r == SQL_ROW)
        *ret_number = sqlite3_column_int64(stmt, 0);
    return r;
}

struct span sql_column(sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return SPAN_ABSENT;
    const char *data = sqlite3_column_blob(stmt, column); // before the length, or it may change
    int len = sqlite3_column_bytes(stmt, column);
    return span_make(data ? data : "", data ? (size_t)len : 0);
}

void sql_read(sqlite3_stmt *stmt, const struct sql_field *fields, size_t count)
{
    for (int i = 0; i < (int)count; i++) {
        void *to = fields[i].to;
        switch (fields[i].kind) {
        case SQL_FIELD_INT64:
            *(int64_t *)to = sqlite3_column_int64(stmt, i);
            break;
        case SQL_FIELD_INT:
            *(int *)to = sqlite3_column_int(stmt, i);
            break;
        case SQL_FIELD_BOOL:
            *(bool *)to = sqlite3_column_int(stmt, i) != 0;
            break;
        case SQL_FIELD_TEXT:
            *(struct span *)to = sql_column(stmt, i);
            break;
        }
    }
}
