#include "sandbox/disk_watch.h"

#include <errno.h>
#include <sys/statvfs.h>

enum {
    KEPT_MAX = 256 << 20, // bytes that stay free, or
    KEPT_PART = 16,       // this part of the disk, when that is less; and of its files
    FILE_LEAST = 4096,    // bytes for which a file counts at least: a block
    MIB = 20,             // bits
};

// What others take of a disk that is nearly full is not the program's doing.
static const struct disk_use at_will = {.bytes = 4 << 20, .files = 1024};

static struct disk_use use_of(const struct statvfs *status)
{
    return (struct disk_use){
        .bytes = (int64_t)(status->f_blocks - status->f_bfree) * (int64_t)status->f_frsize,
        .files = (int64_t)(status->f_files - status->f_ffree), // none where they are not counted
    };
}

static void add_disk(struct disk_watch *watch, const char *path)
{
    struct statvfs status;
    if (path && statvfs(path, &status) == 0) {
        watch->disks[watch->count].path = path;
        watch->disks[watch->count++].before = use_of(&status);
    }
}

void disk_watch_begin(struct disk_watch *watch, const struct grants *grants, const char *tmp)
{
    *watch = (struct disk_watch){.limit = grants->disk};
    for (size_t i = 0; grants->write && grants->write[i] && i < GRANTS_PATHS_MAX; i++)
        add_disk(watch, grants->write[i]);
    add_disk(watch, tmp);
}

static int look_at(const struct disk_watch *watch, const struct statvfs *status,
                   const struct disk_use *before, struct error *err)
{
    struct disk_use now = use_of(status);
    int64_t bytes = now.bytes - before->bytes, files = now.files - before->files;
    int64_t size = (int64_t)(status->f_blocks * status->f_frsize);
    int64_t kept = size / KEPT_PART < KEPT_MAX ? size / KEPT_PART : KEPT_MAX;
    int64_t left = (int64_t)(status->f_bavail * status->f_frsize);
    if (watch->limit && bytes > watch->limit)
        return error_set(err, -ENOSPC, "more than %lld MiB were taken of it meanwhile",
                         (long long)(watch->limit >> MIB));
    if (watch->limit && files > watch->limit / FILE_LEAST)
        return error_set(err, -ENOSPC, "more than %lld files were made there meanwhile",
                         (long long)(watch->limit / FILE_LEAST));
    if (left < kept && bytes > at_will.bytes)
        return error_set(err, -ENOSPC, "only %lld MiB are left of it", (long long)(left >> MIB));
    if (status->f_favail < status->f_files / KEPT_PART && files > at_will.files)
        return error_set(err, -ENOSPC, "it has room for only %lld more files",
                         (long long)status->f_favail);
    return 0;
}

int disk_watch_look(struct disk_watch *watch, int64_t now_ms, struct error *err)
{
    if (now_ms < watch->next_ms)
        return 0;
    watch->next_ms = now_ms + DISK_WATCH_MS;
    for (size_t i = 0; i < watch->count; i++) {
        const char *path = watch->disks[i].path;
        struct statvfs status;
        if (statvfs(path, &status) == 0 &&
            look_at(watch, &status, &watch->disks[i].before, err) < 0)
            return error_wrap(err,
                              "it filled the disk of %.256s and was stopped, but what it wrote is "
                              "still there",
                              path);
    }
    return 0;
}
