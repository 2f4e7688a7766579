#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

// Private to store/: which file of a home is ours, told without SQLite touching any.

enum store_file_kind {
    STORE_FILE_NEW,     // absent or empty
    STORE_FILE_OURS,    // by its application id
    STORE_FILE_FOREIGN, // a SQLite database of another program
    STORE_FILE_DAMAGED, // not a SQLite database, or its log without it
};

struct store_file {
    char *path; // owned
    enum store_file_kind kind;
    int version;    // of the schema, as far as the header tells
    bool displaced; // state.db belongs to another program
};

// Decides which file of the home to use. On success the caller frees *ret_file's path.
int store_file_choose(const char *home_dir, struct store_file *ret_file, struct error *err);

// What a file of the home is, whichever it is that is used.
int store_file_inspect(const char *home_dir, const char *name, struct store_file *ret_file,
                       struct error *err);

// Makes sure that the file exists, empty if need be, and that only its owner can read it.
int store_file_prepare(const char *path, struct error *err);

/*
 * Renames a damaged database with its log to "<path>.damaged-<stamp>"; never over another file.
 * *ret_path is the new name, on the heap. No connection to the file is open.
 */
int store_file_set_aside(const char *path, int64_t wall_ms, char **ret_path, struct error *err);
