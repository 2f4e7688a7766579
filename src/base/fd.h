#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

// Small truths about file descriptors. -1 is "none"; every descriptor is made close-on-exec.

void fd_close(int *fd); // closes and sets -1; keeps errno; accepts -1
#define FD_AUTO CLEANUP(fd_close) int

void fd_close_directory(DIR **directory); // accepts one that is NULL
#define DIRECTORY_AUTO CLEANUP(fd_close_directory) DIR

unsigned fd_limit(void); // descriptors that this process may have
// To what the administrator allows a program that asks, within reason; 1024 is for programs that
// call select(). Never lowers it.
void fd_raise_limit(void);
bool fd_is_shortage(int errno_value); // of descriptors or memory: this machine's own trouble

// Writes everything, through EINTR and short writes, to a blocking descriptor. 0 or -errno.
int fd_write_all(int fd, const void *data, size_t len);

// Appends to `buf` until end of file. 0, -errno, or -EFBIG when the buffer's maximum is reached.
int fd_read_all(int fd, struct buf *buf);

// A whole file. The sentence in `err` names the path.
int fd_read_file(const char *path, struct buf *buf, struct error *err);
