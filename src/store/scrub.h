#pragma once

#include <stdint.h>

#include "base/error.h"
#include "store/connection.h"

// Private to store/.

// Within the transaction that deletes: what it deletes must not stay in the file.
int store_scrub_wish(sqlite3 *db, struct error *err);

/*
 * Writes the file anew from what is in it, and empties its log. It takes as long as that takes, and
 * for a while twice the file's size on the disk beside it. On failure the wish stays, and all that
 * was in the file.
 */
int store_scrub(struct store_connection *conn, struct error *err);

// How long to wait after so many attempts in a row that failed, 1 or more.
int64_t store_scrub_wait_ms(unsigned failures);
