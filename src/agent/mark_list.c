#include "agent/mark_list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/sha256.h"
#include "tools/beneath.h"

static void end_id(struct sha256 *hash, char id[MARK_ID_SIZE])
{
    char hex[SHA256_HEX_SIZE];
    sha256_end_hex(hash, hex);
    snprintf(id, MARK_ID_SIZE, "%s", hex);
}

static void look_at_file(int workspace_fd, struct listed_mark *listed, struct stat *ret_stat)
{
    FD_AUTO fd = -1;
    const char *path = listed->mark.taint.name.len ? listed->mark.taint.name.data : ".";
    listed->gone = beneath_open(workspace_fd, path, O_PATH | O_NOFOLLOW, 0, &fd, NULL) < 0 ||
                   fstat(fd, ret_stat) < 0;
    if (listed->gone)
        return;
    listed->size = ret_stat->st_size;
    listed->changed_ms =
        (int64_t)ret_stat->st_ctim.tv_sec * 1000 + ret_stat->st_ctim.tv_nsec / 1000000;
}

static bool on_mark(void *context, const struct store_mark *mark)
{
    struct mark_list *list = context;
    struct stat stat = {0};
    struct sha256 hash;
    list->all = mem_grow(list->all, list->count, &list->capacity, sizeof *list->all);
    struct listed_mark *listed = &list->all[list->count++];
    *listed = (struct listed_mark){.mark = *mark};
    const struct span name = mark->taint.name, why = mark->why;
    listed->mark.taint.name.data = mem_strndup(name.len ? name.data : "", name.len);
    listed->mark.why.data = mem_strndup(why.len ? why.data : "", why.len);
    if (mark->taint.kind == STORE_TAINT_FILE)
        look_at_file(list->workspace_fd, listed, &stat);
    // With the time of each change that the kernel keeps, which no program sets.
    CLEANUP(mem_cleanup)
    char *as_it_is = mem_printf(
        "%s %" PRId64 " %d %lld %lld.%ld ", store_taint_words[mark->taint.kind], mark->marked_ms,
        listed->gone, (long long)stat.st_ino, (long long)stat.st_ctim.tv_sec, stat.st_ctim.tv_nsec);
    sha256_init(&hash);
    sha256_add(&hash, span_of(as_it_is));
    sha256_add(&hash, name);
    end_id(&hash, listed->id);
    return true;
}

int mark_list_read(struct store_view *view, const char *workspace, struct mark_list *ret_list,
                   struct error *err)
{
    FD_AUTO fd = open(workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(mark_list_finish) struct mark_list list = {.workspace_fd = fd};
    struct sha256 hash;
    if (fd < 0)
        return error_errno(err, errno, "cannot open the workspace %s", workspace);
    int r = store_read_marks(view, on_mark, &list, err);
    if (r < 0)
        return r;
    sha256_init(&hash);
    for (size_t i = 0; i < list.count; i++)
        if (list.all[i].mark.taint.kind == STORE_TAINT_FILE) {
            sha256_add(&hash, span_of(list.all[i].id));
            list.file_count++;
        }
    end_id(&hash, list.files_id);
    *ret_list = list;
    list = (struct mark_list){0};
    return 0;
}

void mark_list_finish(struct mark_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((char *)list->all[i].mark.taint.name.data);
        free((char *)list->all[i].mark.why.data);
    }
    free(list->all);
    *list = (struct mark_list){0};
}

bool mark_list_means(const struct mark_list *list, const struct listed_mark *mark, struct span word)
{
    if (span_is(word, mark->id))
        return true;
    return mark->mark.taint.kind == STORE_TAINT_FILE &&
           (span_is(word, list->files_id) || (word.len && span_equal(word, mark->mark.taint.name)));
}

size_t mark_list_lift(const struct mark_list *list, struct span word, const char *by,
                      struct store_mark **ret_marks)
{
    struct store_mark *marks = mem_zalloc((list->count + 1) * sizeof *marks);
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct listed_mark *listed = &list->all[i];
        bool is_file = listed->mark.taint.kind == STORE_TAINT_FILE;
        if (!mark_list_means(list, listed, word))
            continue;
        marks[count++] = listed->mark;
        LOG_EVENT(LOG_INFO, "taint.lift", "", LOG_OWN("mark", listed->id),
                  LOG_OWN("kind", store_taint_words[listed->mark.taint.kind]),
                  LOG_DETAIL("file", is_file ? mark_list_name(listed) : ""),
                  LOG_TEXT("why", listed->mark.why.data), LOG_TEXT("by", by));
    }
    *ret_marks = marks;
    return count;
}

const char *mark_list_name(const struct listed_mark *mark)
{
    return mark->mark.taint.name.len ? mark->mark.taint.name.data : "(every file)";
}
