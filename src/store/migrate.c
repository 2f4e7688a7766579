#include "store/migrate.h"

#include <errno.h>
#include <stdio.h>

#include "store/sql.h"

int store_schema_version(sqlite3 *db, int *ret_version, struct error *err)
{
    int64_t version = 0;
    int r = sql_lookup(db, "PRAGMA user_version", NULL, 0, &version, err);
    if (r < 0)
        return r;
    *ret_version = (int)version;
    return 0;
}

// The identity is written with the first step: no power cut can leave our tables under no name.
static int run_step(sqlite3 *db, const char *sql, int version, struct error *err)
{
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             STORE_APPLICATION_ID, version);
    int r = sql_exec(db, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = sql_exec(db, sql, err);
    if (r == 0)
        r = sql_exec(db, stamp, err);
    if (r == 0)
        r = sql_exec(db, "COMMIT", err);
    if (r < 0 && !sqlite3_get_autocommit(db))
        sql_exec(db, "ROLLBACK", NULL);
    return r;
}

int store_schema_check(const char *path, int version, const struct store_migrations *table,
                       struct error *err)
{
    if (version >= 0 && version <= table->count)
        return 0;
    return error_set(err, -ENOTSUP,
                     "%s was written by a newer Hermes (schema %d, this program knows %d); run "
                     "that version, or move the file away",
                     path, version, table->count);
}

int store_migrate(sqlite3 *db, const struct store_migrations *table, struct error *err)
{
    int version = 0;
    int r = store_schema_version(db, &version, err);
    if (r == 0)
        r = store_schema_check(sqlite3_db_filename(db, "main"), version, table, err);
    for (; r == 0 && version < table->count; version++) {
        r = run_step(db, table->steps[version], version + 1, err);
        if (r < 0)
            error_wrap(err, "bringing the database to schema %d", version + 1);
    }
    return r;
}
