#include <string.h>

#include "store/connection.h"
#include "store/sql.h"

/*
 * A row that was deleted is still in the file: in pages that are free, in the gaps between the rows
 * of others, in the log. PRAGMA secure_delete would overwrite most of it, but not what was left
 * behind where rows moved from page to page, nor what earlier versions of this program deleted. So
 * the file is written anew (VACUUM), which copies rows and nothing else, and the log is emptied.
 * Words in the text index are not rows of their own, so that is merged before.
 *
 * The wish is in the file, in the same transaction as the deletion, until that is done: a kill, a
 * power cut or a full disk puts it off and does not lose it.
 */
int store_scrub_wish(sqlite3 *db, struct error *err)
{
    return sql_exec(db, "INSERT OR REPLACE INTO meta(key, value) VALUES('scrub', 1)", err);
}

int store_scrub_wished(sqlite3 *db, bool *ret_wished, struct error *err)
{
    int64_t wish;
    int r = sql_lookup(db, "SELECT value FROM meta WHERE key = 'scrub'", NULL, 0, &wish, err);
    *ret_wished = r == SQL_ROW;
    return r < 0 ? r : 0;
}

// With temporary files beside the file: elsewhere nothing may be writable. In memory there is no
// room for all of it.
static int write_anew(sqlite3 *db, struct error *err)
{
    const char *path = sqlite3_db_filename(db, "main"), *name = strrchr(path, '/');
    // Its words would stay in the text index, behind a mark that they were deleted.
    int r = sql_exec(db, "INSERT INTO messages_fts(messages_fts) VALUES('optimize')", err);
    if (r == 0)
        r = sql_exec(db, "PRAGMA temp_store = FILE", err);
    if (r == 0) {
        sqlite3_temp_directory = sqlite3_mprintf("%.*s", name ? (int)(name - path) : 0, path);
        r = sql_exec(db, "VACUUM", err);
        sqlite3_free(sqlite3_temp_directory);
        sqlite3_temp_directory = NULL;
    }
    sql_exec(db, "PRAGMA temp_store = MEMORY", NULL);
    return r;
}

// On a disk without room for it each attempt writes until there is none.
int64_t store_scrub_wait_ms(unsigned failures)
{
    enum { FIRST_MS = 60 * 1000, MOST_MS = 60 * 60 * 1000 };
    int64_t wait_ms = FIRST_MS;
    while (failures-- > 1 && wait_ms < MOST_MS)
        wait_ms *= 2;
    return wait_ms < MOST_MS ? wait_ms : MOST_MS;
}

int store_scrub(struct store_connection *conn, struct error *err)
{
    int r = 0;
    if (!conn->marked)
        r = sql_exec(conn->db, "UPDATE meta SET value = 0 WHERE key = 'clean'", err);
    if (r == 0) {
        conn->marked = true;
        r = write_anew(conn->db, err);
    }
    if (r == 0 && sqlite3_wal_checkpoint_v2(conn->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                            NULL) != SQLITE_OK)
        r = sql_error(conn->db, err);
    if (r < 0)
        return error_wrap(err, "writing the database anew");
    conn->log_pages = 0;
    return sql_exec(conn->db, "DELETE FROM meta WHERE key = 'scrub'", err);
}
