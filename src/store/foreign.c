#include "store/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "store/connection.h"
#include "store/file.h"
#include "store/sql.h"

/*
 * A database in WAL mode cannot be read where it lies without changing something: SQLite makes the
 * shared memory beside it, and the last one to close takes the log in. Told that nothing ever
 * changes (immutable), it leaves out the log, and that has the last conversations. So bytes are
 * copied, and SQLite puts them together in the copy.
 */
enum { CHUNK = 256 * 1024, PARTS = 3 }; // bytes; files

static const char *const parts[PARTS] = {"state.db", "state.db-wal", "state.db-journal"};

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ino == b->st_ino;
}

// Absent is all zeros.
static int look(const char *from, struct stat states[PARTS], struct error *err)
{
    for (size_t i = 0; i < PARTS; i++) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", from, parts[i]);
        states[i] = (struct stat){0};
        if (stat(path, &states[i]) < 0 && errno != ENOENT)
            return error_errno(err, errno, "cannot look at %s", path);
        if (states[i].st_ino && !S_ISREG(states[i].st_mode))
            return error_set(err, -ENOTSUP, "%s is not a file", path);
    }
    return 0;
}

static int copy_part(const char *from, const char *to, struct error *err)
{
    CLEANUP(mem_cleanup) char *chunk = mem_alloc(CHUNK);
    FD_AUTO in = open(from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    FD_AUTO out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return error_errno(err, errno, "cannot copy %s to %s", from, to);
    ssize_t len = 0;
    int r = 0;
    while (r == 0 && (len = read(in, chunk, CHUNK)) > 0)
        r = fd_write_all(out, chunk, (size_t)len);
    if (r == 0 && len < 0)
        r = -errno;
    return r < 0 ? error_errno(err, -r, "copying %s to %s", from, to) : 0;
}

void store_foreign_remove(const char *scratch)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/state.db%s", scratch, ends[i]);
        unlink(path);
    }
    rmdir(scratch);
}

int store_foreign_copy(const char *from, const char *scratch, struct error *err)
{
    struct stat before[PARTS], after[PARTS];
    struct store_file file = {0};
    int r = store_file_inspect(from, parts[0], &file, err);
    if (r == 0 && file.kind == STORE_FILE_NEW)
        r = error_set(err, -ENOENT, "there are no conversations in %s: it is missing or empty",
                      file.path);
    else if (r == 0 && file.kind == STORE_FILE_OURS)
        r = error_set(err, -ENOTSUP, "%s is Hermes's own already, not a hermes-agent's", file.path);
    else if (r == 0 && file.kind == STORE_FILE_DAMAGED)
        r = error_set(err, -EUCLEAN, "%s is damaged: it is not a database", file.path);
    free(file.path);
    if (r == 0)
        r = look(from, before, err);
    if (r < 0)
        return r;
    store_foreign_remove(scratch); // of an import that was killed
    if (mkdir(scratch, 0700) < 0)
        return error_errno(err, errno, "cannot make the directory %s", scratch);
    for (size_t i = 0; i < PARTS && r == 0; i++) {
        CLEANUP(mem_cleanup) char *source = mem_printf("%s/%s", from, parts[i]);
        CLEANUP(mem_cleanup) char *target = mem_printf("%s/%s", scratch, parts[i]);
        r = before[i].st_ino ? copy_part(source, target, err) : 0;
    }
    if (r == 0)
        r = look(from, after, err);
    for (size_t i = 0; i < PARTS && r == 0; i++)
        if (!is_same(&before[i], &after[i]))
            r = error_set(err, -EBUSY, "%s/%s is being written: stop hermes-agent, then try again",
                          from, parts[i]);
    return r;
}

int store_foreign_open(const char *scratch, sqlite3 **ret_db, struct error *err)
{
    static const char tables[] = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
                                 " AND name IN ('sessions', 'messages') AND rootpage > 0";
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", scratch, parts[0]);
    sqlite3 *db = NULL;
    int64_t count = 0;
    int r = store_copy_open(path, &db, err);
    if (r == 0)
        r = sql_lookup(db, tables, NULL, 0, &count, err);
    if (r >= 0 && count != 2) // views and virtual tables could be programs
        r = error_set(err, -ENOTSUP,
                      "this is not the database of a hermes-agent: it has no tables "
                      "\"sessions\" and \"messages\"");
    if (r < 0) {
        sqlite3_close(db);
        return r;
    }
    *ret_db = db;
    return 0;
}

int store_foreign_table(sqlite3 *db, const char *table, const char *columns, struct buf *out,
                        struct error *err)
{
    struct span rest = span_of(columns), limit;
    const char *before = "(SELECT ";
    while ((limit = span_cut(&rest, ',')).len) {
        SQL_AUTO *stmt = NULL;
        struct span word = span_cut(&limit, ':');
        CLEANUP(mem_cleanup) char *name = mem_strndup(word.data, word.len);
        CLEANUP(mem_cleanup) char *probe = mem_printf("SELECT %s FROM %s", name, table);
        int r = sql_prepare(db, probe, NULL, 0, &stmt, err);
        if (r < 0 && r != -EIO) // -EIO: what is wrong is the statement
            return r;
        const char *value = r < 0 ? "NULL" : name;
        buf_printf(out, "%s%s AS %s", before, value, name);
        if (limit.len) // octet_length() does not read the text
            buf_printf(out,
                       ", CASE WHEN octet_length(%s) <= %.*s THEN CAST(%s AS TEXT) END AS %s_text"
                       ", coalesce(octet_length(%s) > %.*s, 0) AS %s_long",
                       value, (int)limit.len, limit.data, value, name, value, (int)limit.len,
                       limit.data, name);
        before = ", ";
    }
    buf_printf(out, " FROM %s)", table);
    return 0;
}
