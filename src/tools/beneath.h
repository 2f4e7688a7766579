#pragma once

#include <sys/stat.h>

#include "base/error.h"

/*
 * Paths that cannot leave a directory. The kernel resolves them (openat2(2), RESOLVE_BENEATH and
 * RESOLVE_NO_MAGICLINKS, Linux 5.6), so that "..", links and /proc lead nowhere else, and no check
 * of ours can be raced. Sentences are for whoever chose the path.
 */
int beneath_open(int directory_fd, const char *path, int flags, unsigned mode, int *ret_fd,
                 struct error *err);

// A regular file for reading; devices, FIFOs and directories are refused without waiting on them.
int beneath_open_file(int directory_fd, const char *path, int *ret_fd, struct stat *ret_stat,
                      struct error *err);

// The directory that holds `path`, and the last component.
int beneath_open_parent(int directory_fd, const char *path, int *ret_fd, const char **ret_name,
                        struct error *err);
// The same, made with its parents if it is missing.
int beneath_make_parent(int directory_fd, const char *path, int *ret_fd, const char **ret_name,
                        struct error *err);
