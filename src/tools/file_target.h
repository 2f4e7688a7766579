#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

// What a file that a tool writes takes the place of: nothing, or a regular file.
struct file_target {
    bool exists;
    mode_t mode;      // that of the file which is replaced: a private one stays private
    struct stat stat; // of one that exists
};

// Links, directories and devices are refused. `path` is for the sentence.
int file_target_look(int parent_fd, const char *name, const char *path,
                     struct file_target *ret_target, struct error *err);

// Has nobody changed, replaced or made it since?
bool file_target_is_same(const struct file_target *target, const struct file_target *since);
