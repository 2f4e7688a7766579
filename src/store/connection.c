#include "store/connection.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "store/sql.h"

/*
 * How the file is opened, and how it is known whether it can be trusted.
 *
 * The marker. meta.clean goes to 0 in the first transaction that writes (batch.c), not when the
 * file is opened: until then a crash can have damaged nothing, and a start costs no fsync, which on
 * an SD card is most of the time that a start may take. It goes back to 1 as the last transaction.
 * A file that is found at 0 is read as a whole before it is used; one found at 1 is not, whatever
 * its size.
 *
 * What is checked. quick_check reads every page and skips the comparison of indexes with tables;
 * the full check is made when damage had been seen (clean is -1). The text index can be made anew
 * from its table, so a fault in it alone is repaired and is no reason to set the file aside.
 *
 * Memory: the page cache is kept small, nothing is mapped, and there is no lookaside, because the
 * statements are few and the process is counted by its resident pages.
 */

enum {
    WRITER_BUSY_MS = 5000,
    READER_BUSY_MS = 250, // the loop waits for it
    VALUE_BYTES_MAX = 20 << 20,
};

static const char settings[] =
    // Pages, which SQLite has in one piece; what a transaction needs beyond goes to the log early.
    "PRAGMA cache_size = 20;"
    "PRAGMA mmap_size = 0;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA foreign_keys = ON;"
    "PRAGMA cell_size_check = ON;"
    "PRAGMA journal_size_limit = 1048576;"; // bytes, kept by a log that was written back

static const char reader_settings[] = "PRAGMA cache_size = -64;" // KiB
                                      "PRAGMA mmap_size = 0;"
                                      "PRAGMA temp_store = MEMORY;"
                                      "PRAGMA query_only = ON;"
                                      "PRAGMA trusted_schema = OFF;";

static int open_database(const char *path, const char *vfs, int flags, int busy_ms,
                         const char *pragmas, sqlite3 **ret_db, struct error *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, vfs);
    if (!db)
        return error_set(err, -ENOMEM, "no memory left for %s", path);
    sqlite3_extended_result_codes(db, 1);
    int r = rc == SQLITE_OK ? 0 : sql_error(db, err);
    if (r == 0) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_busy_timeout(db, busy_ms);
        sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
        r = sql_exec(db, pragmas, err);
    }
    if (r < 0)
        sqlite3_close(db);
    else
        *ret_db = db;
    return r;
}

int store_reader_open(const char *path, const char *vfs, sqlite3 **ret_db, struct error *err)
{
    return open_database(path, vfs, SQLITE_OPEN_READONLY, READER_BUSY_MS, reader_settings, ret_db,
                         err);
}

int store_copy_open(const char *path, sqlite3 **ret_db, struct error *err)
{
    int r = open_database(path, NULL, SQLITE_OPEN_READWRITE, READER_BUSY_MS, reader_settings,
                          ret_db, err);
    if (r == 0)
        sqlite3_limit(*ret_db, SQLITE_LIMIT_LENGTH, INT_MAX);
    return r;
}

static int note_log_size(void *context, sqlite3 *db, const char *name, int pages)
{
    struct store_connection *conn = context;
    conn->log_pages = pages;
    return SQLITE_OK;
}

static int use_log(sqlite3 *db, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, "PRAGMA journal_mode = WAL", NULL, 0, &stmt, err);
    if (r < 0)
        return r;
    if (r != SQL_ROW || !span_is(sql_column(stmt, 0), "wal"))
        return error_set(
            err, -ENOTSUP,
            "the file system of %s has no shared memory for a write-ahead log; put the "
            "home on a local disk",
            sqlite3_db_filename(db, "main"));
    return 0;
}

/*
 * A new file gets its schema in a rollback journal, so that the main file itself carries the
 * application id from the first moment on; EXTRA also syncs the directory when that journal goes,
 * or a power cut could bring it back and undo the file beneath a log that is already durable.
 */
static int bring_up_to_date(sqlite3 *db, const struct store_migrations *schema, struct error *err)
{
    int version = 0;
    int r = store_schema_version(db, &version, err);
    if (r == 0 && version == 0)
        r = sql_exec(db, "PRAGMA synchronous = EXTRA", err);
    if (r == 0 && version > 0 && version <= schema->count)
        r = use_log(db, err);
    if (r == 0)
        r = store_migrate(db, schema, err);
    if (r == 0)
        r = use_log(db, err);
    return r;
}

static int read_markers(struct store_connection *conn, struct error *err)
{
    int64_t clean = 0;
    int r =
        sql_lookup(conn->db, "SELECT value FROM meta WHERE key = 'clean'", NULL, 0, &clean, err);
    if (r >= 0)
        r = store_scrub_wished(conn->db, &conn->scrub, err);
    conn->unclean = clean != 1;
    conn->suspicious = clean < 0;
    conn->marked = clean == 0;
    return r;
}

int store_connection_open(struct store_connection *conn, const char *path, const char *vfs,
                          const struct store_migrations *schema, struct error *err)
{
    *conn = (struct store_connection){0};
    int r =
        open_database(path, vfs, SQLITE_OPEN_READWRITE, WRITER_BUSY_MS, settings, &conn->db, err);
    if (r < 0)
        return r;
    // Until it is known that the file is one that this program may write.
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (sqlite3_db_readonly(conn->db, "main") == 1)
        r = error_set(err, -EROFS, "%s cannot be written; check its owner and mode", path);
    if (r == 0)
        r = bring_up_to_date(conn->db, schema, err);
    if (r == 0)
        r = read_markers(conn, err);
    if (r < 0) {
        store_connection_close(conn, false);
        return r;
    }
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_wal_hook(conn->db, note_log_size, conn); // takes the place of automatic checkpoints
    return 0;
}

// 0 when the check says "ok", -EUCLEAN with its first finding otherwise.
static int check_file(struct store_connection *conn, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = sql_first(conn->db,
                      conn->suspicious ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)",
                      NULL, 0, &stmt, err);
    if (r < 0)
        return r;
    struct span finding = r == SQL_ROW ? sql_column(stmt, 0) : SPAN_ABSENT;
    if (span_is(finding, "ok"))
        return 0;
    return error_set(err, -EUCLEAN, "%s is damaged (%.*s)", sqlite3_db_filename(conn->db, "main"),
                     (int)(finding.len < 200 ? finding.len : 200),
                     finding.data ? finding.data : "its check returned nothing");
}

int store_connection_check(struct store_connection *conn, struct error *err)
{
    int r = check_file(conn, err);
    // From SQLite 3.44 on the file's check looks into the text index, too.
    bool only_text = r == -EUCLEAN && err && strstr(err->text, "FTS5");
    if (r < 0 && !only_text)
        return r;
    if (r == 0) // rank = 1 compares the index with the table and not only with itself
        r = sql_exec(conn->db,
                     "INSERT INTO memory_fts(memory_fts, rank) VALUES('integrity-check', 1)", err);
    if (r != -EUCLEAN)
        return r;
    r = sql_exec(conn->db, "INSERT INTO memory_fts(memory_fts) VALUES('rebuild')", err);
    return r == 0 ? check_file(conn, err) : r;
}

void store_connection_checkpoint(struct store_connection *conn, int pages)
{
    int in_log = 0, applied = 0;
    if (!conn->db || conn->log_pages < pages)
        return;
    // A failure is the failure of the next commit as well, which says so to somebody.
    if (sqlite3_wal_checkpoint_v2(conn->db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &applied) ==
            SQLITE_OK &&
        applied >= in_log)
        conn->log_pages = 0;
}

void store_connection_mark_damaged(struct store_connection *conn)
{
    if (!conn->damaged &&
        sql_exec(conn->db, "UPDATE meta SET value = -1 WHERE key = 'clean'", NULL) == 0)
        conn->marked = true;
    conn->damaged = true;
}

void store_connection_close(struct store_connection *conn, bool clean)
{
    if (!conn->db)
        return;
    if (clean && !conn->damaged && (conn->marked || conn->unclean) &&
        sql_exec(conn->db, "PRAGMA synchronous = FULL", NULL) == 0)
        sql_exec(conn->db, "UPDATE meta SET value = 1 WHERE key = 'clean'", NULL);
    // Damaged pages are not copied from the log over the file that is going to be looked at.
    if (conn->damaged)
        sqlite3_db_config(conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(conn->db);
    *conn = (struct store_connection){0};
}
