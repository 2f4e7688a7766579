#include "tools/patched_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tools/beneath.h"

void patched_files_finish(struct patched_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        replace_drop(&files->files[i].written);
        fd_close(&files->files[i].parent_fd);
        buf_finish(&files->files[i].text);
        free(files->files[i].path);
    }
    files->count = 0;
}

static struct patched_file *begin(struct patched_files *files, enum text_patch_kind kind,
                                  const char *path)
{
    struct patched_file *file = &files->files[files->count++];
    *file = (struct patched_file){.path = mem_strdup(path), .parent_fd = -1, .kind = kind};
    return file;
}

static int read_text(const struct patched_file *file, struct buf *text, struct error *err)
{
    FD_AUTO fd = -1;
    struct stat stat;
    int r = beneath_open_file(file->parent_fd, file->name, &fd, &stat, err);
    if (r < 0)
        return r;
    buf_init(text, PATCHED_FILE_MAX + 1);
    if (stat.st_size <= PATCHED_FILE_MAX)
        buf_reserve(text, (size_t)stat.st_size); // at once, instead of step by step
    r = fd_read_all(fd, text);
    if (r == -EFBIG || text->len > PATCHED_FILE_MAX)
        return error_set(err, -EFBIG, "%s is larger than %d MiB", file->path,
                         PATCHED_FILE_MAX >> 20);
    if (r < 0)
        return error_errno(err, -r, "cannot read %s", file->path);
    if (text->len && memchr(text->data, '\0', text->len))
        return error_set(err, -EINVAL, "%s is a binary file of %zu bytes", file->path, text->len);
    return 0;
}

int patched_files_open(struct patched_files *files, enum text_patch_kind kind, const char *path,
                       struct buf *ret_text, struct error *err)
{
    struct patched_file *file = begin(files, kind, path);
    int r =
        beneath_open_parent(files->workspace_fd, file->path, &file->parent_fd, &file->name, err);
    if (r == 0)
        r = file_target_look(file->parent_fd, file->name, path, &file->target, err);
    if (r == 0 && !file->target.exists)
        r = error_set(err, -ENOENT, "%s does not exist", path);
    return r < 0 ? r : read_text(file, ret_text, err);
}

int patched_files_add(struct patched_files *files, const char *path, struct error *err)
{
    struct patched_file *file = begin(files, TEXT_PATCH_ADD, path);
    struct error missing = ERROR_INIT;
    int r = beneath_open_parent(files->workspace_fd, file->path, &file->parent_fd, &file->name,
                                &missing);
    if (r == -ENOENT) // its directory is made when it is written
        return 0;
    if (r < 0)
        return error_set(err, r, "%s", missing.text);
    r = file_target_look(file->parent_fd, file->name, path, &file->target, err);
    if (r == 0 && file->target.exists)
        r = error_set(err, -EEXIST, "%s is there already; update it, or delete it first", path);
    return r;
}

int patched_files_make_room(struct patched_files *files, size_t size, struct error *err)
{
    struct patched_file *file = &files->files[files->count - 1];
    if (size > PATCHED_FILE_MAX || files->size > PATCHED_FILE_MAX - size)
        return error_set(err, -EFBIG,
                         "%s: what is written would be larger than %d MiB, all files "
                         "together; change fewer at once",
                         file->path, PATCHED_FILE_MAX >> 20);
    files->size += size;
    buf_init(&file->text, size);
    return 0;
}

static bool is_same_place(const struct patched_file *a, const struct patched_file *b)
{
    struct stat x, y;
    return strcmp(a->name, b->name) == 0 && fstat(a->parent_fd, &x) == 0 &&
           fstat(b->parent_fd, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

// What may be refused is done before the first file changes.
static int prepare(struct patched_files *files, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        struct patched_file *file = &files->files[i];
        if (file->parent_fd < 0)
            r = beneath_make_parent(files->workspace_fd, file->path, &file->parent_fd, &file->name,
                                    err);
        for (size_t j = 0; r == 0 && j < i; j++)
            if (is_same_place(file, &files->files[j]))
                r = error_set(err, -EINVAL, "%s stands twice in the patch; put its hunks together",
                              file->path);
    }
    return r;
}

static int look_again(const struct patched_file *file, mode_t *ret_mode, struct error *err)
{
    struct file_target now = {0};
    int r = file_target_look(file->parent_fd, file->name, file->path, &now, err);
    if (r == 0 && !file_target_is_same(&file->target, &now))
        r = error_set(err, -EAGAIN, "%s was changed by somebody else meanwhile; read it again",
                      file->path);
    *ret_mode = now.mode;
    return r;
}

static int write_one(struct patched_file *file, struct error *err)
{
    mode_t mode;
    int r = look_again(file, &mode, err);
    if (r < 0 || file->kind == TEXT_PATCH_DELETE)
        return r;
    return replace_begin(file->parent_fd, file->name, mode, buf_span(&file->text), true,
                         &file->written, err);
}

static int change_one(struct patched_file *file, struct error *err)
{
    mode_t mode;
    int r = look_again(file, &mode, err);
    if (r < 0)
        return r;
    if (file->kind != TEXT_PATCH_DELETE)
        return replace_end(&file->written, file->name, true, err);
    if (unlinkat(file->parent_fd, file->name, 0) < 0)
        return error_errno(err, errno, "cannot delete %s", file->path);
    return 0;
}

static void list(const struct patched_files *files, size_t from, size_t to, struct buf *out)
{
    for (size_t i = from; i < to; i++)
        buf_printf(out, "%s %s", i == from ? "" : ",", files->files[i].path);
    buf_append_char(out, '\n');
}

int patched_files_write(struct patched_files *files, struct buf *out, struct error *err)
{
    int r = prepare(files, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < files->count; i++)
        r = write_one(&files->files[i], err);
    if (r < 0) {
        buf_append_text(out, files->count > 1 ? "nothing was changed\n" : "");
        return r;
    }
    for (size_t i = 0; i < files->count; i++) {
        r = change_one(&files->files[i], err);
        if (r == 0)
            continue;
        if (files->count > 1) {
            buf_append_text(out, i ? "changed before that:" : "nothing was changed");
            list(files, 0, i, out);
            buf_append_text(out, "not changed:");
            list(files, i, files->count, out);
        }
        return r;
    }
    return 0;
}
