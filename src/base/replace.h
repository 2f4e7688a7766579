#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"

/*
 * Puts a file of a directory in the place of another one: whoever reads finds the old or the new
 * one, whole, and a full disk costs neither. With `durable` that holds for a power cut as well, and
 * the call returns when the new one cannot be lost any more. The umask is not asked.
 *
 * What root writes into somebody's directory belongs to that somebody: a command that was run as
 * root must not lock the program out of its own home.
 */
int replace_file(int directory_fd, const char *name, mode_t mode, struct span content, bool durable,
                 struct error *err);

/*
 * The same in two steps, for several files: all are written, which a disk may refuse, before the
 * first takes its place. Without replace_end() nothing has changed.
 */
enum { REPLACE_NAME_SIZE = sizeof ".hermes-" + 16 };

struct replacement {
    int directory_fd;                  // borrowed
    char temporary[REPLACE_NAME_SIZE]; // "": there is none
};

int replace_begin(int directory_fd, const char *name, mode_t mode, struct span content,
                  bool durable, struct replacement *ret, struct error *err);
int replace_end(struct replacement *replacement, const char *name, bool durable, struct error *err);
void replace_drop(struct replacement *replacement); // accepts zeroed, and what has taken its place
