#include "tools/changed_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "tools/beneath.h"
#include "tools/directory.h"

enum {
    MEMORY = 8 << 20,                         // bytes: names of directories within each other
    REQUEST_MAX = 3 * CHANGED_FILES_NOTE_MAX, // bytes
};

struct noted {  // a marked file, or a directory of which all files are
    char *path; // owned
    bool whole; // it stands for all that is in it
    int64_t marked_ms, device, inode;
};

struct noted_files {
    struct noted *all; // owned; by device and inode
    size_t count, capacity;
};

struct looking {
    int64_t since_ms;
    int looked, told;
    bool more;
    struct noted_files noted;
    struct json_writer *w;
};

static void noted_files_finish(struct noted_files *noted)
{
    for (size_t i = 0; i < noted->count; i++)
        free(noted->all[i].path);
    free(noted->all);
}

static int compare(const void *a, const void *b)
{
    const struct noted *one = a, *other = b;
    if (one->device != other->device)
        return one->device < other->device ? -1 : 1;
    return one->inode == other->inode ? 0 : one->inode < other->inode ? -1 : 1;
}

// Those of [["a",MARKED_MS,DEVICE,INODE],...], where the last two may be missing.
static void read_noted(struct json_value rows, struct noted_files *noted)
{
    struct json_iter it = json_iter_init(rows);
    struct json_value row;
    while (json_iter_next(&it, NULL, &row)) {
        struct noted one = {.path = json_strdup(json_at(row, 0), TOOL_PATH_MAX)};
        size_t len = one.path ? strlen(one.path) : 0;
        one.whole = len && one.path[len - 1] == '/';
        if (one.whole)
            one.path[len - 1] = '\0';
        json_int64(json_at(row, 1), &one.marked_ms);
        json_int64(json_at(row, 2), &one.device);
        json_int64(json_at(row, 3), &one.inode);
        if (!one.path || !*one.path) {
            free(one.path);
            continue;
        }
        noted->all = mem_grow(noted->all, noted->count, &noted->capacity, sizeof *noted->all);
        noted->all[noted->count++] = one;
    }
    if (noted->count)
        qsort(noted->all, noted->count, sizeof *noted->all, compare);
}

// The one that this is by now; NULL: it is none, or has kept its name.
static const struct noted *find_moved(const struct noted_files *noted, const char *path,
                                      const struct stat *stat)
{
    struct noted key = {.device = (int64_t)stat->st_dev, .inode = (int64_t)stat->st_ino};
    const struct noted *found =
        noted->count ? bsearch(&key, noted->all, noted->count, sizeof key, compare) : NULL;
    if (!found)
        return NULL;
    const struct noted *end = noted->all + noted->count, *whole = found;
    while (found > noted->all && compare(found - 1, &key) == 0)
        found--;
    for (; found < end && compare(found, &key) == 0; found++) {
        if (strcmp(found->path, path) == 0)
            return NULL;
        whole = found->whole ? found : whole;
    }
    return whole;
}

static bool is_changed(const struct looking *looking, const struct stat *stat)
{
    return (int64_t)stat->st_ctim.tv_sec * 1000 + stat->st_ctim.tv_nsec / 1000000 >=
           looking->since_ms;
}

static void tell(struct looking *looking, const char *path, const char *behind)
{
    looking->more = looking->more || looking->told == CHANGED_FILES_MAX;
    if (looking->more)
        return;
    looking->told++;
    CLEANUP(mem_cleanup) char *whole = mem_printf("%s%s", path, behind);
    json_write_text(looking->w, whole);
}

static bool has_many(const struct looking *looking, int fd, const struct directory *directory)
{
    int count = 0;
    for (size_t i = 0; i < directory->count; i++) {
        struct stat stat;
        if (fstatat(fd, directory->names[i], &stat, AT_SYMLINK_NOFOLLOW) == 0)
            count += !S_ISDIR(stat.st_mode) && is_changed(looking, &stat);
    }
    return count > CHANGED_FILES_OF_DIRECTORY;
}

static bool look(struct looking *looking, int fd, const char *path, int depth);

static void look_at(struct looking *looking, int fd, const char *path, const char *name, int depth)
{
    struct stat stat;
    if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return; // it is gone
    CLEANUP(mem_cleanup) char *child = mem_printf("%s%s%s", path, *path ? "/" : "", name);
    looking->more = looking->more || ++looking->looked > CHANGED_FILES_LOOKED_MAX;
    const struct noted *moved = find_moved(&looking->noted, child, &stat);
    bool changed = is_changed(looking, &stat);
    if (changed || moved)
        tell(looking, child, ""); // a directory for its name; what is in it has marks of its own
    if (!S_ISDIR(stat.st_mode))
        return;
    FD_AUTO next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool listed = next >= 0 && look(looking, next, child, depth + 1);
    if ((moved && moved->whole) || (changed && !listed))
        tell(looking, child, "/");
}

// False: this program cannot list it, and so its tools cannot read what is in it; yet.
static bool look(struct looking *looking, int fd, const char *path, int depth)
{
    CLEANUP(directory_finish) struct directory directory = {0};
    if (directory_read(fd, &directory, NULL) < 0)
        return false;
    looking->more = looking->more || depth > CHANGED_FILES_DEPTH_MAX || directory.more;
    if (*path && has_many(looking, fd, &directory)) {
        tell(looking, path, "/");
        return true;
    }
    for (size_t i = 0; i < directory.count && !looking->more; i++)
        look_at(looking, fd, path, directory.names[i], depth);
    return true;
}

// Is it certain that it is there, or is not?
static bool is_certain(int workspace_fd, const char *path, bool there, struct stat *ret_stat)
{
    FD_AUTO fd = -1;
    int r = beneath_open(workspace_fd, path, O_PATH | O_NOFOLLOW, 0, &fd, NULL);
    return there ? r >= 0 && fstat(fd, ret_stat) == 0 : r == -ENOENT || r == -ENOTDIR;
}

static void write_rows(int workspace_fd, const struct noted_files *noted, bool there,
                       struct json_writer *w)
{
    int left = there ? INT_MAX : CHANGED_FILES_MAX;
    for (size_t i = 0; i < noted->count && left; i++) {
        const struct noted *one = &noted->all[i];
        struct stat stat = {0};
        if (!is_certain(workspace_fd, one->path, there, &stat))
            continue;
        left--;
        CLEANUP(mem_cleanup) char *name = mem_printf("%s%s", one->path, one->whole ? "/" : "");
        json_write_array_begin(w);
        json_write_text(w, name);
        json_write_int(w, one->marked_ms);
        json_write_int(w, (int64_t)stat.st_dev);
        json_write_int(w, (int64_t)stat.st_ino);
        json_write_array_end(w);
    }
}

static int end_answer(const struct json_writer *w, struct error *err)
{
    return json_write_done(w) ? 0 : error_set(err, -E2BIG, "the names are too long");
}

static int note(int workspace_fd, struct json_value marks, struct json_writer *w, struct error *err)
{
    CLEANUP(noted_files_finish) struct noted_files noted = {0};
    read_noted(marks, &noted);
    json_write_array_begin(w);
    write_rows(workspace_fd, &noted, true, w);
    json_write_array_end(w);
    return end_answer(w, err);
}

static void finish_looking(struct looking *looking)
{
    noted_files_finish(&looking->noted);
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct json_writer w;
    CLEANUP(finish_looking) struct looking looking = {.w = &w};
    struct json_value marks = json_get(arguments, "marks");
    json_writer_init(&w, out);
    if (json_type(marks) == JSON_ARRAY)
        return note(workspace_fd, marks, &w, err);
    if (!json_int64(json_get(arguments, "since_ms"), &looking.since_ms))
        return error_set(err, -EINVAL, "since when?");
    read_noted(json_get(arguments, "note"), &looking.noted);
    json_write_object_begin(&w);
    // Before the files, so that what is moved away meanwhile is not taken for gone.
    json_write_key(&w, "gone");
    json_write_array_begin(&w);
    write_rows(workspace_fd, &looking.noted, false, &w);
    json_write_array_end(&w);
    json_write_key(&w, "files");
    json_write_array_begin(&w);
    look(&looking, workspace_fd, "", 0);
    json_write_array_end(&w);
    json_write_member_bool(&w, "more", looking.more);
    json_write_object_end(&w);
    return end_answer(&w, err);
}

int changed_files_note(const struct tool_env *env, struct span marks, tool_process_done_fn *done,
                       void *context, struct tool_process **ret_process, struct error *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_MAX);
    struct json_writer w;
    if (marks.len > CHANGED_FILES_NOTE_MAX)
        return error_set(err, -E2BIG, "the names of what is marked are too long");
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_raw(&w, "marks", marks);
    json_write_object_end(&w);
    return tool_process_start(env, &tool_changed_files, 0, buf_span(&request), done, context,
                              ret_process, err);
}

int changed_files_start(const struct tool_env *env, int64_t since_ms, struct span note,
                        tool_process_done_fn *done, void *context,
                        struct tool_process **ret_process, struct error *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_MAX);
    struct json_writer w;
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_int(&w, "since_ms", since_ms);
    if (note.len)
        json_write_member_raw(&w, "note", note);
    json_write_object_end(&w);
    return tool_process_start(env, &tool_changed_files, 0, buf_span(&request), done, context,
                              ret_process, err);
}

const struct tool tool_changed_files = {
    .name = "changed_files",
    .description = "",
    .parameters = "{}",
    .flags = TOOL_READS | TOOL_REPEATABLE,
    .memory = MEMORY,
    .work = work,
};
