#include "channels/pairing_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/replace.h"

enum {
    FILE_MAX = 256 * 1024,   // bytes
    TREE_MAX = 8 * FILE_MAX, // bytes of memory of one that is written
};

const char pairing_pending[] = "pending";
const char pairing_approved[] = "approved";
const char pairing_limits[] = "_rate_limits";

static int open_directory(const char *home, const char *name, int *ret_fd)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", home, name);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

// As with files: what root makes in somebody's home belongs to that somebody.
static int make_directory(const char *home, int *ret_fd)
{
    FD_AUTO home_fd = -1;
    struct stat stat;
    int r = open_directory(home, ".", &home_fd);
    if (r == 0 && mkdirat(home_fd, "pairing", 0700) < 0 && errno != EEXIST)
        r = -errno;
    if (r == 0)
        r = open_directory(home, "pairing", ret_fd);
    if (r == 0 && geteuid() == 0 && fstat(home_fd, &stat) == 0 && stat.st_uid != 0 &&
        fchown(*ret_fd, stat.st_uid, stat.st_gid) < 0)
        errno = 0; // where it may not be given away, root's it is
    return r;
}

static bool has_files(const struct pairing *pairing, int directory_fd)
{
    const char *const kinds[] = {pairing_approved, pairing_pending};
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP(mem_cleanup) char *name = mem_printf("%s-%s.json", pairing->platform, kinds[i]);
        found = found || faccessat(directory_fd, name, F_OK, 0) == 0;
    }
    return found;
}

int pairing_open(const struct pairing *pairing, enum pairing_place place, enum pairing_lock lock,
                 int *ret_fd, struct error *err)
{
    FD_AUTO fd = -1;
    FD_AUTO newer = -1;
    int r = open_directory(pairing->home, "pairing", &fd);
    bool is_newer = open_directory(pairing->home, "platforms/pairing", &newer) == 0 &&
                    (r == -ENOENT || has_files(pairing, newer));
    if (is_newer != (place == PAIRING_OTHER)) {
        r = newer < 0 ? -ENOENT : 0;
        fd_close(&fd);
        fd = newer;
        newer = -1;
    }
    if (r == -ENOENT && place == PAIRING_OTHER)
        lock = PAIRING_UNLOCKED;
    if (r == -ENOENT && lock != PAIRING_UNLOCKED)
        r = make_directory(pairing->home, &fd);
    if (r == -ENOENT && lock == PAIRING_UNLOCKED)
        r = 0;
    if (r < 0)
        return error_errno(err, -r, "cannot open %s/pairing", pairing->home);
    if (lock != PAIRING_UNLOCKED &&
        flock(fd, LOCK_EX | (lock == PAIRING_LOCK_TRY ? LOCK_NB : 0)) < 0)
        return errno == EWOULDBLOCK
                   ? error_set(err, -EAGAIN, "another process is changing the pairing")
                   : error_errno(err, errno, "cannot lock %s/pairing", pairing->home);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int read_text(int directory_fd, const char *name, struct buf *out)
{
    if (directory_fd < 0)
        return 0;
    FD_AUTO fd = openat(directory_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return fd_read_all(fd, out);
}

int pairing_file_load(const struct pairing *pairing, int directory_fd, const char *kind,
                      struct pairing_file *ret_file, struct error *err)
{
    struct pairing_file *file = ret_file;
    bool shared = kind == pairing_limits;
    *file = (struct pairing_file){.text = BUF_INIT(FILE_MAX)};
    snprintf(file->name, sizeof file->name, "%s%s%s.json", shared ? "" : pairing->platform,
             shared ? "" : "-", kind);
    int r = read_text(directory_fd, file->name, &file->text);
    if (r < 0)
        return error_errno(err, -r, "cannot read pairing/%s", file->name);
    struct span text = span_trim(buf_span(&file->text));
    if (span_starts_with(text, "\xef\xbb\xbf"))
        text = span_trim(span_skip(text, 3));
    if (text.len == 0)
        text = SPAN_LITERAL("{}");
    if (json_parse(&file->doc, text, NULL) < 0 || json_type(json_root(&file->doc)) != JSON_OBJECT)
        return error_set(err, -EBADMSG,
                         "pairing/%s is not a JSON object and was left alone; fix or remove it",
                         file->name);
    return 0;
}

void pairing_file_finish(struct pairing_file *file)
{
    json_finish(&file->doc);
    buf_finish(&file->text);
}

static void decode_key(struct json_value key, struct buf *out)
{
    buf_clear(out);
    json_string(key, out);
}

struct json_value pairing_file_find(const struct pairing_file *file, struct span key)
{
    struct json_iter it = json_iter_init(json_root(&file->doc));
    struct json_value name, value, found = JSON_VALUE_ABSENT;
    BUF_AUTO text = BUF_INIT(FILE_MAX);
    while (json_iter_next(&it, &name, &value)) {
        decode_key(name, &text);
        if (span_equal(buf_span(&text), key))
            found = value;
    }
    return found;
}

int pairing_edit_begin(struct pairing_edit *edit, struct error *err)
{
    edit->doc = (struct document)DOCUMENT_INIT(TREE_MAX);
    edit->root = document_object(&edit->doc);
    int r = pairing_file_load(edit->pairing, edit->fd, edit->kind, &edit->file, err);
    if (r < 0 || !edit->keep)
        return r;
    struct json_iter it = json_iter_init(json_root(&edit->file.doc));
    struct json_value name, value;
    BUF_AUTO text = BUF_INIT(FILE_MAX);
    while (json_iter_next(&it, &name, &value)) {
        decode_key(name, &text);
        if (!edit->keep(edit, buf_span(&text), value))
            continue;
        if (strlen(buf_text(&text)) < text.len)
            return error_set(
                err, -EILSEQ,
                "pairing/%s has a key with U+0000 and was left alone; fix or remove it",
                edit->file.name);
        node_add_raw(edit->root, buf_text(&text), json_raw(value));
    }
    return 0;
}

int pairing_edit_save(struct pairing_edit *edit, bool durable, struct error *err)
{
    const char *name = edit->file.name;
    BUF_AUTO text = BUF_INIT(FILE_MAX);
    if (document_print(&edit->doc, &text, NULL) < 0 || !buf_append_char(&text, '\n'))
        return error_set(err, -EFBIG, "pairing/%s would be larger than %d KiB", name,
                         FILE_MAX / 1024);
    return replace_file(edit->fd, name, 0600, buf_span(&text), durable, err);
}

void pairing_edit_finish(struct pairing_edit *edit)
{
    pairing_file_finish(&edit->file);
    document_finish(&edit->doc);
}

bool pairing_time(struct json_value seconds, int64_t *ret_ms)
{
    return json_fixed(seconds, 3, ret_ms);
}
