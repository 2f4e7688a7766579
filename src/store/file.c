#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "store/migrate.h"

/*
 * A home may be one of hermes-agent, whose own state.db is a SQLite database too. That file is
 * never opened by SQLite, because opening is enough to change it: recovery of its log, a checkpoint
 * on close. So the decision is made from the first 108 bytes: magic, application id, user version
 * (sqlite.org/fileformat2.html §1.3) and the number of tables on page 1. Ours carries its id from
 * its first transaction on, in the main file and not only in the log (migrate.c).
 *
 * Closing a descriptor drops every POSIX lock that this process holds on the file, SQLite's
 * included; so all this happens before a connection is opened, and never beside one.
 */

enum {
    HEADER_BYTES = 108,
    OFFSET_USER_VERSION = 60,
    OFFSET_APPLICATION_ID = 68,
    OFFSET_PAGE_TYPE = 100, // of page 1, which holds the list of tables
    OFFSET_CELL_COUNT = 103,
    PAGE_TYPE_LEAF = 0x0d,
    SET_ASIDE_TRIES = 100, // files set aside within one second
};

static const char magic[16] = "SQLite format 3"; // with its NUL

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool has_bytes(const char *path, const char *suffix)
{
    CLEANUP(mem_cleanup) char *beside = mem_printf("%s%s", path, suffix);
    struct stat st;
    return stat(beside, &st) == 0 && st.st_size > 0;
}

static bool lists_no_table(const unsigned char *header, size_t len)
{
    return len == HEADER_BYTES && header[OFFSET_PAGE_TYPE] == PAGE_TYPE_LEAF &&
           header[OFFSET_CELL_COUNT] == 0 && header[OFFSET_CELL_COUNT + 1] == 0;
}

static enum store_file_kind judge(const char *path, const unsigned char *header, size_t len,
                                  int *ret_version)
{
    bool logged = has_bytes(path, "-wal");
    if (len == 0)
        return logged ? STORE_FILE_DAMAGED : STORE_FILE_NEW;
    if (len < 100 || memcmp(header, magic, sizeof magic) != 0) {
        // The first transaction was cut short; its journal makes the file empty again.
        return has_bytes(path, "-journal") ? STORE_FILE_OURS : STORE_FILE_DAMAGED;
    }
    uint32_t id = read_u32(header + OFFSET_APPLICATION_ID);
    if (id == STORE_APPLICATION_ID) {
        *ret_version = (int)read_u32(header + OFFSET_USER_VERSION);
        return STORE_FILE_OURS;
    }
    bool unused = id == 0 && !logged && lists_no_table(header, len);
    return unused ? STORE_FILE_NEW : STORE_FILE_FOREIGN;
}

int store_file_inspect(const char *home_dir, const char *name, struct store_file *ret_file,
                       struct error *err)
{
    unsigned char header[HEADER_BYTES];
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", home_dir, name);
    struct store_file file = {0};
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        return error_errno(err, errno, "opening the database %s", path);
    ssize_t len = fd < 0 ? 0 : pread(fd, header, sizeof header, 0);
    if (len < 0)
        return error_errno(err, errno, "reading the database %s", path);
    file.kind = judge(path, header, (size_t)len, &file.version);
    file.path = STEAL(path);
    *ret_file = file;
    return 0;
}

// Is it a profile of a hermes-agent's home, which makes its own state.db in there?
static bool is_foreign_profile(const char *home_dir)
{
    struct store_file file = {0};
    CLEANUP(mem_cleanup) char *root = mem_strdup(home_dir);
    for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
        root[len - 1] = '\0';
    for (int i = 0; i < 2; i++) { // the name of the profile, then "profiles"
        char *slash = strrchr(root, '/');
        if (!slash || (i && strcmp(slash, "/profiles") != 0))
            return false;
        *slash = '\0';
    }
    bool foreign =
        store_file_inspect(root, "state.db", &file, NULL) == 0 && file.kind == STORE_FILE_FOREIGN;
    free(file.path);
    return foreign;
}

int store_file_choose(const char *home_dir, struct store_file *ret_file, struct error *err)
{
    struct store_file usual = {0}, other = {0};
    int r = store_file_inspect(home_dir, "state.db", &usual, err);
    if (r == 0 && (usual.kind == STORE_FILE_NEW || usual.kind == STORE_FILE_FOREIGN))
        r = store_file_inspect(home_dir, "hermes.db", &other, err);
    if (r < 0)
        goto out;

    bool displaced = usual.kind == STORE_FILE_FOREIGN;
    if (displaced && other.kind == STORE_FILE_FOREIGN) {
        r = error_set(err, -EEXIST,
                      "%s and %s both belong to another program; move one of them away", usual.path,
                      other.path);
        goto out;
    }
    // A home that was shared once keeps its hermes.db when the other program's file is gone.
    bool use_other = displaced || (other.path && other.kind == STORE_FILE_OURS) ||
                     (other.path && other.kind == STORE_FILE_NEW && is_foreign_profile(home_dir));
    *ret_file = use_other ? other : usual;
    ret_file->displaced = displaced;
    *(use_other ? &other.path : &usual.path) = NULL;
out:
    free(usual.path);
    free(other.path);
    return r;
}

int store_file_prepare(const char *path, struct error *err)
{
    struct stat st;
    FD_AUTO fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0 && errno == ENOSPC)
        return error_set(err, -ENOSPC, "the disk that holds %s is full; free some space", path);
    if (fd < 0)
        return error_errno(err, errno, "the database %s cannot be opened for writing", path);
    // A conversation is private; a failure to say so to the file system is no reason to stop.
    if (fstat(fd, &st) == 0 && (st.st_mode & 077))
        (void)!fchmod(fd, 0600);
    return 0;
}

static const char *const companions[] = {"", "-wal", "-shm", "-journal"};

static bool name_is_free(const char *name)
{
    bool is_free = true;
    for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s%s", name, companions[i]);
        struct stat st;
        is_free = is_free && lstat(path, &st) < 0 && errno == ENOENT;
    }
    return is_free;
}

// With "20261121T014712Z": that sorts by name, and is a file name everywhere.
static char *free_name(const char *path, int64_t wall_ms)
{
    char stamp[CLOCK_TEXT_SIZE];
    size_t len = 0;
    clock_format_utc(wall_ms, stamp);
    for (const char *c = stamp; *c; c++)
        if (*c != '-' && *c != ':')
            stamp[len++] = *c;
    for (int i = 1; i <= SET_ASIDE_TRIES; i++) {
        CLEANUP(mem_cleanup)
        char *name = i == 1 ? mem_printf("%s.damaged-%.*s", path, (int)len, stamp)
                            : mem_printf("%s.damaged-%.*s-%d", path, (int)len, stamp, i);
        if (name_is_free(name))
            return STEAL(name);
    }
    return NULL;
}

/*
 * The database goes first: from then on the home has no database, and a log that a power cut left
 * behind is set aside at the next start instead of being taken for the log of a new file.
 */
int store_file_set_aside(const char *path, int64_t wall_ms, char **ret_path, struct error *err)
{
    CLEANUP(mem_cleanup) char *name = free_name(path, wall_ms);
    if (!name)
        return error_set(err, -EEXIST, "%s is damaged, and there is no free name to set it aside",
                         path);
    for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
        CLEANUP(mem_cleanup) char *from = mem_printf("%s%s", path, companions[i]);
        CLEANUP(mem_cleanup) char *to = mem_printf("%s%s", name, companions[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return error_errno(err, errno, "setting the damaged %s aside", from);
    }
    CLEANUP(mem_cleanup) char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    FD_AUTO fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
    *ret_path = STEAL(name);
    return 0;
}
