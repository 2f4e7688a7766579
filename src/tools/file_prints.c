#include "tools/file_prints.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/sha256.h"
#include "tools/beneath.h"

enum {
    REQUEST_MAX = 4 << 20, // bytes
    PIECE = 64 * 1024,     // bytes that are read at a time
};

struct printing {
    int workspace_fd;
    size_t files;
    int64_t bytes_left;
};

static int hash_file(int fd, int64_t most, int64_t *ret_size, char *hex)
{
    CLEANUP(mem_cleanup) char *piece = mem_alloc(PIECE);
    struct sha256 hash;
    sha256_init(&hash);
    ssize_t n;
    while ((n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        *ret_size += n < 0 ? 0 : n;
        if (n < 0 || *ret_size > most) // it grows while it is read
            return -EFBIG;
        sha256_add(&hash, span_make(piece, (size_t)n));
    }
    sha256_end_hex(&hash, hex);
    return 0;
}

// 1: `hex` is its digest; 0: there is no regular file; negative: there is one, and no digest.
static int print_file(struct printing *printing, const char *path, char *hex)
{
    FD_AUTO place = -1;
    FD_AUTO fd = -1;
    struct stat stat;
    if (beneath_open(printing->workspace_fd, path, O_PATH, 0, &place, NULL) < 0 ||
        fstat(place, &stat) < 0 || !S_ISREG(stat.st_mode))
        return 0;
    if (printing->files == FILE_PRINTS_FILES_MAX || stat.st_size > printing->bytes_left ||
        beneath_open_file(printing->workspace_fd, path, &fd, &stat, NULL) < 0)
        return -EFBIG;
    int64_t size = 0;
    int r = hash_file(fd, printing->bytes_left, &size, hex);
    if (r < 0)
        return r;
    printing->files++;
    printing->bytes_left -= size;
    return 1;
}

static void print_all(struct printing *printing, struct json_value paths, struct json_writer *w,
                      struct json_writer *left_out)
{
    struct json_iter it = json_iter_init(paths);
    struct json_value value;
    while (json_iter_next(&it, NULL, &value)) {
        char hex[SHA256_HEX_SIZE];
        CLEANUP(mem_cleanup) char *path = json_strdup(value, TOOL_PATH_MAX);
        int r = path && *path ? print_file(printing, path, hex) : 0;
        if (r < 0)
            json_write_text(left_out, path);
        if (r <= 0)
            continue;
        json_write_array_begin(w);
        json_write_text(w, path);
        json_write_text(w, hex);
        json_write_array_end(w);
    }
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct printing printing = {.workspace_fd = workspace_fd, .bytes_left = FILE_PRINTS_BYTES_MAX};
    struct json_writer w, left_out;
    BUF_AUTO names = BUF_INIT(FILE_PRINTS_TEXT_MAX / 2);
    bool more = false;
    json_bool(json_get(arguments, "more"), &more);
    json_writer_init(&w, out);
    json_writer_init(&left_out, &names);
    json_write_array_begin(&left_out);
    json_write_object_begin(&w);
    json_write_key(&w, "files");
    json_write_array_begin(&w);
    print_all(&printing, json_get(arguments, "paths"), &w, &left_out);
    json_write_array_end(&w);
    json_write_array_end(&left_out);
    json_write_member_raw(&w, "left_out", buf_span(&names));
    json_write_member_bool(&w, "more", more);
    json_write_object_end(&w);
    return json_write_done(&w) && json_write_done(&left_out)
               ? 0
               : error_set(err, -E2BIG, "the names of the files are too long");
}

int file_prints_start(const struct tool_env *env, uint64_t flow, const struct named_files *files,
                      tool_process_done_fn *done, void *context, struct tool_process **ret_process,
                      struct error *err)
{
    BUF_AUTO request = BUF_INIT(REQUEST_MAX);
    struct json_writer w;
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_key(&w, "paths");
    json_write_array_begin(&w);
    for (size_t i = 0; i < files->count; i++)
        if (!files->all[i].pattern)
            json_write_text(&w, files->all[i].path);
    json_write_array_end(&w);
    json_write_member_bool(&w, "more", files->more);
    json_write_object_end(&w);
    return tool_process_start(env, &tool_file_prints, flow, buf_span(&request), done, context,
                              ret_process, err);
}

static void append_name(struct json_value name, const char *before, struct buf *out)
{
    buf_append_text(out, before);
    json_string(name, out);
}

void file_prints_tell_gaps(struct span prints, struct buf *out)
{
    JSON_AUTO doc = JSON_INIT;
    bool more = false, any = false;
    if (json_parse(&doc, prints, NULL) < 0) {
        buf_append_text(out, "the files that it names could not be read, and may change before it "
                             "runs");
        return;
    }
    struct json_iter it = json_iter_init(json_get(json_root(&doc), "left_out"));
    struct json_value name;
    for (; json_iter_next(&it, NULL, &name); any = true)
        append_name(name, any ? ", " : "", out);
    json_bool(json_get(json_root(&doc), "more"), &more);
    if (any)
        buf_printf(out, " may change before it runs: only %d files of %d MiB together are compared",
                   FILE_PRINTS_FILES_MAX, FILE_PRINTS_BYTES_MAX >> 20);
    if (more)
        buf_printf(out,
                   "%sit names more than %d files, of which the others may change before it "
                   "runs",
                   any ? "; " : "", NAMED_FILES_MAX);
}

// The digest of a path; absent: it has none.
static struct span digest_of(struct json_value files, struct json_value path)
{
    struct json_iter it = json_iter_init(files);
    struct json_value file;
    while (json_iter_next(&it, NULL, &file))
        if (span_equal(json_raw(json_at(file, 0)), json_raw(path)))
            return json_raw(json_at(file, 1));
    return SPAN_ABSENT;
}

bool file_prints_differ(struct span before, struct span now, struct buf *out)
{
    JSON_AUTO old_doc = JSON_INIT;
    JSON_AUTO new_doc = JSON_INIT;
    struct json_value file;
    size_t begin = out->len;
    if (json_parse(&old_doc, before, NULL) < 0) // nothing was known
        return false;
    if (json_parse(&new_doc, now, NULL) < 0) {
        buf_append_text(out, "its files cannot be read");
        return true;
    }
    struct json_value old = json_get(json_root(&old_doc), "files");
    struct json_value new = json_get(json_root(&new_doc), "files");
    for (struct json_iter it = json_iter_init(old); json_iter_next(&it, NULL, &file);) {
        struct span digest = digest_of(new, json_at(file, 0));
        if (digest.data && span_equal(digest, json_raw(json_at(file, 1))))
            continue;
        append_name(json_at(file, 0), out->len > begin ? ", " : "", out);
        buf_append_text(out, digest.data ? " has changed" : " is gone, or too large by now");
    }
    for (struct json_iter it = json_iter_init(new); json_iter_next(&it, NULL, &file);)
        if (!digest_of(old, json_at(file, 0)).data) {
            append_name(json_at(file, 0), out->len > begin ? ", " : "", out);
            buf_append_text(out, " was not there, or too large");
        }
    return out->len > begin;
}

const struct tool tool_file_prints = {
    .name = "file_prints",
    .description = "",
    .parameters = "{}",
    .flags = TOOL_READS | TOOL_REPEATABLE,
    .work = work,
};
