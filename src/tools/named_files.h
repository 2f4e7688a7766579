#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/*
 * The files of the workspace that a call names: a file tool's path, those of a patch, the words of
 * a command line. Nobody has looked whether they exist. What a command makes of a variable, or
 * finds by itself, it does not name.
 */
enum { NAMED_FILES_MAX = 256 }; // of one call

struct named_file {
    char *path;   // owned; relative to the workspace, without "." and ".."; "": the workspace
    bool pattern; // a shell's: it stands for what it matches
};

struct named_files {
    struct named_file *all; // owned; each path once
    size_t count, capacity;
    bool more; // there were others
};

// `workspace` is its absolute path. The arguments are JSON, of the tool of that name.
void named_files_find(const char *workspace, const char *tool, struct span arguments,
                      struct named_files *ret_files);
void named_files_finish(struct named_files *files); // accepts zeroed
