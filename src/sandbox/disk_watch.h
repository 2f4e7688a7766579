#pragma once

#include "sandbox/grants.h"

/*
 * How much of the disks that a program may write has been taken since it began. A limit of the size
 * of files bounds one file, and no limit of the kernel bounds many, so the file systems are looked
 * at a few times a second. All that runs is counted, since a file system does not say whose a byte
 * is. Some of it always stays free for others, whatever a program may take.
 */
struct disk_use {
    int64_t bytes, files;
};

struct disk_watch { // zeroed: of none
    int64_t limit, next_ms;
    struct {
        const char *path; // borrowed
        struct disk_use before;
    } disks[GRANTS_PATHS_MAX + 1];
    size_t count;
};

// The paths that `grants` lets it write, and `tmp`, which may be NULL.
void disk_watch_begin(struct disk_watch *watch, const struct grants *grants, const char *tmp);

// 0, or -ENOSPC: it is full. Before it is time to look again nothing is looked at.
enum { DISK_WATCH_MS = 100 };
int disk_watch_look(struct disk_watch *watch, int64_t now_ms, struct error *err);
