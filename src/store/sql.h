#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/span.h"

// Private to store/: statements, and SQLite's failures as sentences.

struct sql_value {
    enum { SQL_VALUE_NULL, SQL_VALUE_INT, SQL_VALUE_TEXT, SQL_VALUE_BYTES } kind;
    int64_t number;
    struct span span;
};

static inline struct sql_value sql_int(int64_t number)
{
    return (struct sql_value){SQL_VALUE_INT, number, SPAN_ABSENT};
}

// An absent span is NULL. The bytes outlive the statement.
static inline struct sql_value sql_text(struct span span)
{
    return (struct sql_value){span.data ? SQL_VALUE_TEXT : SQL_VALUE_NULL, 0, span};
}

static inline struct sql_value sql_bytes(struct span span)
{
    return (struct sql_value){span.data ? SQL_VALUE_BYTES : SQL_VALUE_NULL, 0, span};
}

// A sum that does not fail where it is more than can be counted: SQLite makes it a real number, and
// that is read as the largest integer.
#define SQL_SUM(column) "sum(" column " / 1000000) * 1000000 + sum(" column " % 1000000)"

#define SQL_VALUES(...)                      \
    (const struct sql_value[]){__VA_ARGS__}, \
        sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)

void sql_finalize(sqlite3_stmt **stmt);
#define SQL_AUTO CLEANUP(sql_finalize) sqlite3_stmt

// What failed on `db` last, as a sentence and a negated errno; -EUCLEAN means a damaged file.
int sql_error(sqlite3 *db, struct error *err);

// Statements without values; a PRAGMA's rows are dropped.
int sql_exec(sqlite3 *db, const char *sql, struct error *err);

int sql_prepare(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
                sqlite3_stmt **ret_stmt, struct error *err);

// Makes a statement ready to run again, with other values.
int sql_bind_again(sqlite3_stmt *stmt, const struct sql_value *values, size_t count,
                   struct error *err);

enum { SQL_ROW = 1 }; // outcome of sql_step(): a row can be read; 0 is the end

int sql_step(sqlite3_stmt *stmt, struct error *err);

// Prepares, binds and runs a statement to its end.
int sql_run(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
            struct error *err);

// Prepares and binds a statement and takes its first step.
int sql_first(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
              sqlite3_stmt **ret_stmt, struct error *err);

// The first column of the first row; SQL_ROW, or 0 without a row (*ret_number is then untouched).
int sql_lookup(sqlite3 *db, const char *sql, const struct sql_value *values, size_t count,
               int64_t *ret_number, struct error *err);

// NULL is absent. Lives until the next step.
struct span sql_column(sqlite3_stmt *stmt, int column);

// The first columns of a row into variables, in this order; NULL is 0, or an absent span:
//     sql_read(stmt, SQL_FIELDS(INTO(message.id), INTO(message.role), INTO(message.tainted)));
struct sql_field {
    enum { SQL_FIELD_INT64, SQL_FIELD_INT, SQL_FIELD_BOOL, SQL_FIELD_TEXT } kind;
    void *to;
};
#define INTO(variable)                         \
    {                                          \
        _Generic((variable), int64_t           \
                 : SQL_FIELD_INT64, int        \
                 : SQL_FIELD_INT, bool         \
                 : SQL_FIELD_BOOL, struct span \
                 : SQL_FIELD_TEXT),            \
            &(variable)                        \
    }
#define SQL_FIELDS(...)                      \
    (const struct sql_field[]){__VA_ARGS__}, \
        sizeof((const struct sql_field[]){__VA_ARGS__}) / sizeof(struct sql_field)
void sql_read(sqlite3_stmt *stmt, const struct sql_field *fields, size_t count);
