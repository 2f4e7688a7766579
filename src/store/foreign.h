#pragma once

#include <sqlite3.h>

#include "base/buf.h"
#include "base/error.h"

// Private to store/: a copy of the database of another program.

// Copies `from`/state.db with its log and journal into the directory `scratch`, which is made anew.
// -EBUSY: it changed meanwhile; -ENOENT: it is not there; -ENOTSUP: no other program's database.
int store_foreign_copy(const char *from, const char *scratch, struct error *err);
int store_foreign_open(const char *scratch, sqlite3 **ret_db, struct error *err);
void store_foreign_remove(const char *scratch); // also one that is not there

/*
 * Appends "(SELECT ... FROM table)" with all the columns, comma-separated: NULL where the table has
 * none of that name, as programs gain columns with every version. Of one with a limit ("title:1024"
 * bytes) there is also title_text, NULL when it is longer, and whether it is, title_long.
 */
int store_foreign_table(sqlite3 *db, const char *table, const char *columns, struct buf *out,
                        struct error *err);
