#include "support/store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "store/store_internal.h"

void fixture_make_home(char *home)
{
    // In memory, if it can be had: thousands of files are made, and none needs a real disk.
    static const char *const places[] = {"/dev/shm", "/tmp", "."};
    bool made = false;
    for (size_t i = 0; i < ARRAY_LEN(places) && !made; i++) {
        snprintf(home, FIXTURE_PATH_MAX, "%s/hermes-store-XXXXXX", places[i]);
        made = mkdtemp(home) != NULL;
    }
    assert_true(made);
}

const char *fixture_path(const char *home, const char *name)
{
    static char path[2 * FIXTURE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

void fixture_remove_home(const char *home)
{
    (void)!chmod(home, 0700);
    DIR *dir = opendir(home);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(fixture_path(home, entry->d_name));
    if (dir)
        closedir(dir);
    rmdir(home);
}

int fixture_count_names(const char *home, const char *part)
{
    int count = 0;
    DIR *dir = opendir(home);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strstr(entry->d_name, part) != NULL;
    closedir(dir);
    return count;
}

struct store *fixture_open(const char *home, const struct store_options *opt)
{
    struct store *store = NULL;
    struct error err = ERROR_INIT;
    if (store_open(home, opt, &store, &err) < 0)
        fail_msg("%s", err.text);
    store_wait(store);
    return store;
}

void fixture_done(void *context, int result, const struct error *err, int64_t rowid)
{
    struct outcome *outcome = context;
    assert_false(outcome->called);
    *outcome = (struct outcome){true, result, rowid, *err};
}

struct append_job {
    struct store_job job;
    const struct store_message *message;
};

static int append(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct store_message *m = CONTAINER_OF(job, struct append_job, job)->message;
    int64_t session = 0, turn = 0;
    int r = store_session_number(db, m->session, &session, err);
    if (r == 0 && m->turn.data)
        r = store_turn_number(db, m->turn, &turn, err);
    if (r == 0)
        r = store_messages_insert(db, session, turn, m, 1, m->created_ms, err);
    if (r == 0)
        r = sql_lookup(db, "SELECT max(id) FROM messages", NULL, 0, &job->rowid, err);
    return r < 0 ? r : 0;
}

int64_t fixture_append(struct store *store, const struct store_message *message,
                       enum store_durability durability, store_done_fn *done, void *context,
                       struct error *err)
{
    struct append_job own = {{append, durability, done, context}, message};
    const struct store_given given = {&own.message, 1, &store_message_shape};
    int r = store_id_check(message->session, "session", err);
    return r < 0 ? r : store_job_submit(store, &own.job, sizeof own, &given, 1, NULL, 0, err);
}

static sqlite3 *open_side(const char *path, int flags)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, flags, "unix") != SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, 1000);
    return db;
}

const char *fixture_text(const char *path, const char *sql)
{
    static char text[4096];
    sqlite3 *db = open_side(path, SQLITE_OPEN_READWRITE);
    sqlite3_stmt *stmt = NULL;
    text[0] = '\0';
    if (db && sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0))
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return text;
}

int64_t fixture_number(const char *path, const char *sql)
{
    const char *text = fixture_text(path, sql);
    int64_t number = -1;
    return span_to_i64(span_of(text), &number) ? number : -1;
}

void fixture_exec(const char *path, const char *sql)
{
    char *message = NULL;
    sqlite3 *db = open_side(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    assert_non_null(db);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

void fixture_read(const char *path, char **ret_data, size_t *ret_len)
{
    struct buf buf = BUF_INIT(64 << 20);
    struct error err = ERROR_INIT;
    if (fd_read_file(path, &buf, &err) < 0)
        fail_msg("%s", err.text);
    *ret_len = buf.len;
    *ret_data = buf_take_text(&buf);
}

void fixture_overwrite(const char *path, int64_t offset, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
    close(fd);
}
