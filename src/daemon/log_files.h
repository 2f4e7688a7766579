#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "daemon/gateway_log.h"

/*
 * The gateway log as its readers see it: the current file and its rotated ones as one sequence of
 * lines, oldest first. They are opened once, so a rotation in the middle changes nothing.
 */
enum {
    LOG_FILES_MAX = GATEWAY_LOG_KEEP_MAX + 1,
    LOG_LINE_READ_MAX = 64 * 1024, // bytes; a longer one was not written by us and is left out
};

struct log_files {
    char *home;             // owned
    int fds[LOG_FILES_MAX]; // oldest first
    size_t count;           // 0: there is no log yet
    uint64_t read_to;       // of the newest: how far log_files_each() came
};

// Where a line begins.
struct log_place {
    size_t file; // index
    uint64_t offset;
};

int log_files_open(const char *home, struct log_files *ret_files, struct error *err);
void log_files_close(struct log_files *files); // accepts zeroed
#define LOG_FILES_AUTO CLEANUP(log_files_close) struct log_files

// Gets whole lines, without their line feed; the bytes live until it returns.
typedef void log_line_fn(void *context, struct span line, struct log_place place);

int log_files_each(struct log_files *files, struct log_place from, log_line_fn *fn, void *context,
                   struct error *err);

// What came since, through rotation: afterwards `files` are those of now. Asked again and again.
int log_files_more(struct log_files *files, log_line_fn *fn, void *context, struct error *err);
