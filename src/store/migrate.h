#pragma once

#include <sqlite3.h>

#include "base/error.h"

// Private to store/. Step i of a table brings a file from schema version i to i + 1.
struct store_migrations {
    const char *const *steps;
    int count; // and so the newest version
};

extern const struct store_migrations store_schema;

enum { STORE_APPLICATION_ID = 0x48524D53 }; // "HRMS", in the header of every file of ours

/*
 * Runs the steps that the file lacks, each in its own transaction: a step that fails leaves the
 * file as the step before left it. -ENOTSUP as below.
 */
int store_migrate(sqlite3 *db, const struct store_migrations *table, struct error *err);

// -ENOTSUP when a file of that version is newer than the table.
int store_schema_check(const char *path, int version, const struct store_migrations *table,
                       struct error *err);

int store_schema_version(sqlite3 *db, int *ret_version, struct error *err);
