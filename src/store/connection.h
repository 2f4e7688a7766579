#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/migrate.h"

// Private to store/: the one connection that writes. It belongs to the store thread.
struct store_connection {
    sqlite3 *db;
    int log_pages;   // in the write-ahead log, after the last commit
    bool marked;     // the file says that it is in use
    bool unclean;    // it said so when it was opened
    bool suspicious; // and that damage was seen
    bool damaged;    // damage was seen by this connection
    bool scrub;      // what was deleted may still be in the file
};

/*
 * Opens, configures and migrates `path`, which store_file_prepare() has seen. -EUCLEAN: damaged;
 * -ENOTSUP: newer than `schema`, and untouched. On failure the connection is closed.
 */
int store_connection_open(struct store_connection *conn, const char *path, const char *vfs,
                          const struct store_migrations *schema, struct error *err);

// Reads the whole file. 0, -EUCLEAN with what was found, -ECANCELED after sqlite3_interrupt().
int store_connection_check(struct store_connection *conn, struct error *err);

// Writes the log back into the file when it has `pages` or more.
void store_connection_checkpoint(struct store_connection *conn, int pages);

// Says in the file that damage was seen, as far as the file still lets itself be written.
void store_connection_mark_damaged(struct store_connection *conn);

// Marks the file as clean when `clean` and closes it. Accepts a closed one.
void store_connection_close(struct store_connection *conn, bool clean);

// For scrub.c. Within the transaction that deletes: what it deletes must not stay in the file.
int store_scrub_wish(sqlite3 *db, struct error *err);
int store_scrub_wished(sqlite3 *db, bool *ret_wished, struct error *err); // and not yet done

/*
 * Writes the file anew from what is in it, and empties its log. It takes as long as that takes, and
 * for a while twice the file's size on the disk beside it. On failure the wish stays, and all that
 * was in the file.
 */
int store_scrub(struct store_connection *conn, struct error *err);

// How long to wait after so many attempts in a row that failed, 1 or more.
int64_t store_scrub_wait_ms(unsigned failures);

// A copy of another program's database, which is nobody else's: its log is taken in, then it is
// only read. Values may have any length.
int store_copy_open(const char *path, sqlite3 **ret_db, struct error *err);

// The loop's read-only connection to the same file.
int store_reader_open(const char *path, const char *vfs, sqlite3 **ret_db, struct error *err);
