#include "tools/changed_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "tools/directory.h"

enum { MEMORY = 8 << 20 }; // bytes: names of directories within each other

struct looking {
    int64_t since_ms;
    int looked, told;
    bool more;
    struct json_writer *w;
};

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

static void look(struct looking *looking, int fd, const char *path, int depth);

static void look_at(struct looking *looking, int fd, const char *path, const char *name, int depth)
{
    struct stat stat;
    if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return; // it is gone
    CLEANUP(mem_cleanup) char *child = mem_printf("%s%s%s", path, *path ? "/" : "", name);
    looking->more = looking->more || ++looking->looked > CHANGED_FILES_LOOKED_MAX;
    if (is_changed(looking, &stat))
        tell(looking, child, ""); // a directory for its name; what is in it has marks of its own
    if (!S_ISDIR(stat.st_mode))
        return;
    FD_AUTO next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next >= 0)
        look(looking, next, child, depth + 1);
}

static void look(struct looking *looking, int fd, const char *path, int depth)
{
    CLEANUP(directory_finish) struct directory directory = {0};
    // What this program cannot list, its tools cannot read.
    if (directory_read(fd, &directory, NULL) < 0)
        return;
    looking->more = looking->more || depth > CHANGED_FILES_DEPTH_MAX || directory.more;
    if (*path && has_many(looking, fd, &directory)) {
        tell(looking, path, "/");
        return;
    }
    for (size_t i = 0; i < directory.count && !looking->more; i++)
        look_at(looking, fd, path, directory.names[i], depth);
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct json_writer w;
    struct looking looking = {.w = &w};
    if (!json_int64(json_get(arguments, "since_ms"), &looking.since_ms))
        return error_set(err, -EINVAL, "since when?");
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_key(&w, "files");
    json_write_array_begin(&w);
    look(&looking, workspace_fd, "", 0);
    json_write_array_end(&w);
    json_write_member_bool(&w, "more", looking.more);
    json_write_object_end(&w);
    return json_write_done(&w) ? 0 : error_set(err, -E2BIG, "the names are too long");
}

int changed_files_start(const struct tool_env *env, int64_t since_ms, tool_process_done_fn *done,
                        void *context, struct tool_process **ret_process, struct error *err)
{
    BUF_AUTO request = BUF_INIT(128);
    struct json_writer w;
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_int(&w, "since_ms", since_ms);
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
