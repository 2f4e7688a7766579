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
