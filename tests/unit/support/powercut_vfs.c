#include "support/powercut_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"

/*
 * The model of a disk.
 *
 * A file is an inode: the bytes that were synced, and after them a list of writes and truncations
 * that were not. xSync moves the list into the bytes. A directory is a table of names, again with a
 * list of changes that were not synced; it is synced where SQLite's unix VFS does so: with the
 * first sync of a new journal or log, and with a deletion that asks for it. Names and contents are
 * independent, as POSIX allows: a file that was synced may lose its name.
 *
 * Everything also happens on the real file system, so that reading needs no model. After a cut the
 * files are rewritten from the model: of what was not synced any part may be there, in units of a
 * sector of 512 bytes, for that is what a disk writes as a whole. The shared memory of the log
 * (-shm) is memory, and is gone.
 *
 * Only what goes through SQLite is seen. The store makes an empty file itself before it opens it;
 * that counts as synced.
 */

enum { SECTOR = 512, NAMES_MAX = 16 };

struct change {
    struct list link; // inode.changes
    int64_t offset;   // of a write, or the new size
    size_t len;
    char *data; // NULL is a truncation
};

struct inode {
    struct inode *next; // disk.inodes
    char *data;         // synced
    int64_t size;
    struct list changes; // struct change.link, not synced
};

struct name {
    char *path;
    struct inode *now, *synced; // NULL is absent
};

struct rename_op {
    struct list link; // disk.renames
    struct name *name;
    struct inode *inode; // NULL is a deletion
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs, *real;
    struct inode *inodes;
    struct name names[NAMES_MAX];
    struct list renames; // struct rename_op.link, changes of the directory that were not synced
    int operations, cut_at, syncs;
    bool off;
    int64_t room;
    int read_delay_us;
    uint64_t random;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = -1};

struct file {
    sqlite3_file base;
    struct inode *inode;
    bool syncs_directory;
    sqlite3_file *real; // behind this struct
};

static uint64_t next_random(void)
{
    disk.random ^= disk.random << 13;
    disk.random ^= disk.random >> 7;
    disk.random ^= disk.random << 17;
    return disk.random;
}

static void resize(struct inode *inode, int64_t size)
{
    if (size > inode->size) {
        inode->data = mem_realloc(inode->data, (size_t)size);
        memset(inode->data + inode->size, 0, (size_t)(size - inode->size));
    }
    inode->size = size;
}

static void write_synced(struct inode *inode, int64_t offset, const char *data, size_t len)
{
    if (offset + (int64_t)len > inode->size)
        resize(inode, offset + (int64_t)len);
    if (len)
        memcpy(inode->data + offset, data, len);
}

static void apply(struct inode *inode, const struct change *change)
{
    if (change->data)
        write_synced(inode, change->offset, change->data, change->len);
    else
        resize(inode, change->offset);
}

static void free_change(struct change *change)
{
    list_remove(&change->link);
    free(change->data);
    free(change);
}

static void sync_inode(struct inode *inode)
{
    list_for_each(link, &inode->changes) {
        struct change *change = list_entry(link, struct change, link);
        apply(inode, change);
        free_change(change);
    }
}

static void add_change(struct inode *inode, int64_t offset, const void *data, size_t len)
{
    struct change *change = mem_new(struct change);
    change->offset = offset;
    change->len = len;
    if (data) {
        change->data = mem_alloc(len);
        memcpy(change->data, data, len);
    }
    list_append(&inode->changes, &change->link);
}

static struct inode *make_inode(void)
{
    struct inode *inode = mem_new(struct inode);
    list_init(&inode->changes);
    inode->next = disk.inodes;
    disk.inodes = inode;
    return inode;
}

static struct name *name_of(const char *path)
{
    for (size_t i = 0; i < NAMES_MAX; i++) {
        struct name *name = &disk.names[i];
        if (!name->path) {
            name->path = mem_strdup(path);
            return name;
        }
        if (strcmp(name->path, path) == 0)
            return name;
    }
    abort(); // a test opens a handful of files
}

static void add_rename(struct name *name, struct inode *inode)
{
    struct rename_op *op = mem_new(struct rename_op);
    *op = (struct rename_op){.name = name, .inode = inode};
    name->now = inode;
    list_append(&disk.renames, &op->link);
}

static void sync_directory(void)
{
    for (struct list *link; (link = list_shift(&disk.renames));) {
        struct rename_op *op = list_entry(link, struct rename_op, link);
        op->name->synced = op->inode;
        free(op);
    }
}

// Counts an operation that changes something. False when the power was off before; the operation in
// whose middle it goes is still noted by the caller, and then fails as well.
static bool count_operation(void)
{
    if (disk.off)
        return false;
    disk.operations++;
    disk.off = disk.operations == disk.cut_at;
    return true;
}

static int file_close(sqlite3_file *base)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xClose(file->real);
}

static int file_read(sqlite3_file *base, void *data, int len, sqlite3_int64 offset)
{
    struct file *file = (struct file *)base;
    pthread_mutex_lock(&disk.lock);
    bool off = disk.off;
    int delay_us = disk.read_delay_us;
    pthread_mutex_unlock(&disk.lock);
    if (off)
        return SQLITE_IOERR_READ;
    if (delay_us)
        usleep((useconds_t)delay_us);
    return file->real->pMethods->xRead(file->real, data, len, offset);
}

static bool takes_room(struct file *file, int64_t end)
{
    sqlite3_int64 size = 0;
    file->real->pMethods->xFileSize(file->real, &size);
    if (disk.room < 0 || end <= size)
        return true;
    if (end - size > disk.room)
        return false;
    disk.room -= end - size;
    return true;
}

static int file_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
    struct file *file = (struct file *)base;
    int rc = SQLITE_IOERR_WRITE;
    pthread_mutex_lock(&disk.lock);
    if (!takes_room(file, offset + len)) {
        rc = SQLITE_FULL;
    } else if (count_operation()) {
        add_change(file->inode, offset, data, (size_t)len);
        if (!disk.off)
            rc = file->real->pMethods->xWrite(file->real, data, len, offset);
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = (struct file *)base;
    int rc = SQLITE_IOERR_TRUNCATE;
    pthread_mutex_lock(&disk.lock);
    if (count_operation()) {
        add_change(file->inode, size, NULL, 0);
        if (!disk.off)
            rc = file->real->pMethods->xTruncate(file->real, size);
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct file *file = (struct file *)base;
    (void)flags;
    int rc = SQLITE_IOERR_FSYNC;
    pthread_mutex_lock(&disk.lock);
    if (count_operation() && !disk.off) {
        disk.syncs++;
        sync_inode(file->inode);
        if (file->syncs_directory)
            sync_directory();
        file->syncs_directory = false;
        rc = SQLITE_OK;
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xFileSize(file->real, size);
}

static int file_lock(sqlite3_file *base, int level)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xLock(file->real, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xUnlock(file->real, level);
}

static int file_check_lock(sqlite3_file *base, int *held)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xCheckReservedLock(file->real, held);
}

static int file_control(sqlite3_file *base, int op, void *argument)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xFileControl(file->real, op, argument);
}

static int file_sector_size(sqlite3_file *base)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xSectorSize(file->real);
}

static int file_characteristics(sqlite3_file *base)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xDeviceCharacteristics(file->real);
}

static int file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **ret)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xShmMap(file->real, page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xShmLock(file->real, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
    struct file *file = (struct file *)base;
    file->real->pMethods->xShmBarrier(file->real);
}

static int file_shm_unmap(sqlite3_file *base, int deletes)
{
    struct file *file = (struct file *)base;
    return file->real->pMethods->xShmUnmap(file->real, deletes);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static struct inode *inode_on_disk(const char *path)
{
    struct buf content = BUF_INIT(256 << 20);
    if (fd_read_file(path, &content, NULL) < 0)
        return NULL;
    struct inode *inode = make_inode();
    write_synced(inode, 0, buf_text(&content), content.len);
    buf_finish(&content);
    return inode;
}

// Finds the inode of a path, from the model or from the disk; NULL when there is none.
static struct name *look_up(const char *path)
{
    struct name *name = name_of(path);
    bool known = name->now || name->synced;
    list_for_each(link, &disk.renames)
        known = known || list_entry(link, struct rename_op, link)->name == name;
    if (!known)
        name->now = name->synced = inode_on_disk(path);
    return name;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    struct file *file = (struct file *)base;
    (void)vfs;
    if (!path) // a temporary file, of which nothing outlives its process
        return disk.real->xOpen(disk.real, NULL, base, flags, ret_flags);
    *file = (struct file){.real = (sqlite3_file *)(file + 1)};
    int rc = SQLITE_CANTOPEN;
    pthread_mutex_lock(&disk.lock);
    struct name *name = look_up(path);
    if (!name->now && (flags & SQLITE_OPEN_CREATE) && count_operation())
        add_rename(name, make_inode());
    if (!disk.off)
        rc = disk.real->xOpen(disk.real, path, file->real, flags, ret_flags);
    if (rc == SQLITE_OK) {
        file->base.pMethods = &methods;
        file->inode = name->now;
        // As in os_unix.c: whatever may have been created, and is not the database itself.
        file->syncs_directory =
            (flags & SQLITE_OPEN_CREATE) && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int syncs_directory)
{
    (void)vfs;
    int rc = SQLITE_IOERR_DELETE;
    pthread_mutex_lock(&disk.lock);
    if (count_operation()) {
        add_rename(look_up(path), NULL);
        if (!disk.off) {
            rc = disk.real->xDelete(disk.real, path, 0);
            if (syncs_directory)
                sync_directory();
        }
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

void powercut_register(void)
{
    disk.real = sqlite3_vfs_find("unix");
    disk.vfs = *disk.real;
    disk.vfs.zName = "powercut";
    disk.vfs.szOsFile = (int)sizeof(struct file) + disk.real->szOsFile;
    disk.vfs.pNext = NULL;
    disk.vfs.xOpen = vfs_open;
    disk.vfs.xDelete = vfs_delete;
    list_init(&disk.renames);
    sqlite3_vfs_register(&disk.vfs, 0);
}

void powercut_start(void)
{
    sync_directory(); // frees the list
    for (size_t i = 0; i < NAMES_MAX; i++) {
        free(disk.names[i].path);
        disk.names[i] = (struct name){0};
    }
    for (struct inode *inode; (inode = disk.inodes);) {
        disk.inodes = inode->next;
        list_for_each(link, &inode->changes)
            free_change(list_entry(link, struct change, link));
        free(inode->data);
        free(inode);
    }
    disk.operations = disk.cut_at = disk.syncs = 0;
    disk.off = false;
    disk.room = -1;
    disk.read_delay_us = 0;
}

void powercut_cut_at(int operation)
{
    disk.cut_at = operation ? disk.operations + operation : 0;
}

bool powercut_is_off(void)
{
    pthread_mutex_lock(&disk.lock);
    bool off = disk.off;
    pthread_mutex_unlock(&disk.lock);
    return off;
}

int powercut_operations(void)
{
    pthread_mutex_lock(&disk.lock);
    int operations = disk.operations;
    pthread_mutex_unlock(&disk.lock);
    return operations;
}

int powercut_syncs(void)
{
    pthread_mutex_lock(&disk.lock);
    int syncs = disk.syncs;
    pthread_mutex_unlock(&disk.lock);
    return syncs;
}

void powercut_set_room(int64_t bytes)
{
    pthread_mutex_lock(&disk.lock);
    disk.room = bytes;
    pthread_mutex_unlock(&disk.lock);
}

void powercut_set_read_delay(int microseconds)
{
    pthread_mutex_lock(&disk.lock);
    disk.read_delay_us = microseconds;
    pthread_mutex_unlock(&disk.lock);
}

static int length_of(const struct list *list)
{
    int count = 0;
    for (const struct list *link = list->next; link != list; link = link->next)
        count++;
    return count;
}

static void keep_some_sectors(struct inode *inode, const struct change *change)
{
    int64_t end = change->offset + (int64_t)change->len;
    for (int64_t at = change->offset; at < end;) {
        int64_t stop = (at / SECTOR + 1) * SECTOR;
        stop = stop < end ? stop : end;
        if (next_random() & 1)
            write_synced(inode, at, change->data + (at - change->offset), (size_t)(stop - at));
        at = stop;
    }
}

static void keep_in_part(struct inode *inode, const struct change *change)
{
    if (change->data)
        keep_some_sectors(inode, change);
    else if (next_random() & 1)
        apply(inode, change);
}

// Which of `count` changes in a row is the first to be lost.
static int first_lost(enum powercut_loss loss, int count)
{
    switch (loss) {
    case POWERCUT_LOSE_ALL:
        return 0;
    case POWERCUT_LOSE_LAST:
        return count - 1;
    default:
        return (int)(next_random() % (uint64_t)(count + 1));
    }
}

static void settle_inode(struct inode *inode, enum powercut_loss loss)
{
    int lost = first_lost(loss, length_of(&inode->changes));
    int i = 0;
    list_for_each(link, &inode->changes) {
        struct change *change = list_entry(link, struct change, link);
        if (loss == POWERCUT_LOSE_RANDOM || (loss != POWERCUT_LOSE_ALL && i == lost))
            keep_in_part(inode, change);
        else if (i < lost)
            apply(inode, change);
        free_change(change);
        i++;
    }
}

static void settle_names(enum powercut_loss loss)
{
    int lost = first_lost(loss, length_of(&disk.renames));
    int i = 0;
    list_for_each(link, &disk.renames) {
        struct rename_op *op = list_entry(link, struct rename_op, link);
        if (loss == POWERCUT_LOSE_RANDOM ? next_random() & 1 : i < lost)
            op->name->synced = op->inode;
        list_remove(link);
        free(op);
        i++;
    }
}

static void write_file(const struct name *name)
{
    if (!name->synced) {
        unlink(name->path);
        return;
    }
    FD_AUTO fd = open(name->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || fd_write_all(fd, name->synced->data, (size_t)name->synced->size) < 0)
        abort();
}

void powercut_settle(enum powercut_loss loss, uint64_t seed)
{
    disk.random = seed * 0x9e3779b97f4a7c15u + 1;
    settle_names(loss);
    for (struct inode *inode = disk.inodes; inode; inode = inode->next)
        settle_inode(inode, loss);
    for (size_t i = 0; i < NAMES_MAX && disk.names[i].path; i++) {
        write_file(&disk.names[i]);
        CLEANUP(mem_cleanup) char *shared = mem_printf("%s-shm", disk.names[i].path);
        unlink(shared);
    }
    powercut_start();
}
