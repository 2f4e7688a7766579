#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "codec/text_line.h"
#include "codec/text_patch_apply.h"
#include "codec/text_replace.h"
#include "codec/unified_diff.h"
#include "tools/patched_files.h"
#include "tools/table.h"

enum {
    SHOWN_BUDGET = 24 * 1024, // bytes of all diffs of one result
    SHOWN_MAX = 40 * 1024,    // bytes, with what begins before the budget ends
    HELP_MAX = 4 * 1024,      // bytes of the file that a refusal shows
    MEMORY = 4 << 20,         // bytes: an old file, the new ones, and edits
};

struct patching {
    struct patched_files files;
    struct buf shown, help;
    struct error *err;
};

static void finish(struct patching *patching)
{
    patched_files_finish(&patching->files);
    buf_finish(&patching->shown);
    buf_finish(&patching->help);
}

// The edits of the last file are known; `remarks` are about them.
static int change(struct patching *patching, struct span old, const struct text_edits *edits,
                  struct span remarks)
{
    struct patched_file *file = &patching->files.files[patching->files.count - 1];
    int r = patched_files_make_room(&patching->files, text_edits_size(edits, old), patching->err);
    if (r < 0)
        return r;
    if (!text_edits_apply(edits, old, &file->text))
        return error_set(patching->err, -ENOMEM, "there is no memory for %s", file->path);
    if (span_equal(old, buf_span(&file->text)))
        return error_set(patching->err, -EINVAL, "%s is as it would be made already", file->path);
    buf_printf(&patching->shown, "--- a/%s\n+++ b/%s\n", file->path, file->path);
    unified_diff_write(old, buf_span(&file->text), edits, SHOWN_BUDGET, &patching->shown);
    if (remarks.len)
        buf_printf(&patching->shown, "[did not fit exactly: %.*s]\n", (int)remarks.len - 1,
                   remarks.data);
    return 0;
}

static int update_file(struct patching *patching, const char *path, const struct text_patch *patch,
                       const struct text_patch_file *part, const struct text_replace *replace)
{
    BUF_AUTO old = BUF_INIT(0);
    BUF_AUTO remarks = BUF_INIT(HELP_MAX);
    TEXT_EDITS_AUTO edits;
    text_edits_init(&edits, PATCHED_TEXTS_MAX);
    enum text_patch_kind kind = part ? part->kind : TEXT_PATCH_UPDATE;
    int r = patched_files_open(&patching->files, kind, path, &old, patching->err);
    if (r < 0)
        return r;
    if (part)
        r = text_patch_find(patch, part, buf_span(&old), &edits, &remarks, &patching->help,
                            patching->err);
    else
        r = text_replace_find(replace, buf_span(&old), &edits, &remarks, &patching->help,
                              patching->err);
    if (r < 0)
        return error_wrap(patching->err, "%s", path);
    if (kind == TEXT_PATCH_UPDATE)
        return change(patching, buf_span(&old), &edits, buf_span(&remarks));
    buf_printf(&patching->shown, "deleted %s, %zu bytes\n", path, old.len);
    return 0;
}

static int add_file(struct patching *patching, const char *path, const struct text_patch *patch,
                    const struct text_patch_file *part)
{
    struct patched_file *file = &patching->files.files[patching->files.count];
    BUF_AUTO text = BUF_INIT(TEXT_PATCH_BYTES_MAX);
    int r = patched_files_add(&patching->files, path, patching->err);
    text_patch_new_text(patch, part, &text);
    if (r == 0)
        r = patched_files_make_room(&patching->files, text.len, patching->err);
    if (r == 0 && !buf_append_span(&file->text, buf_span(&text)))
        r = error_set(patching->err, -ENOMEM, "there is no memory for %s", path);
    if (r == 0)
        buf_printf(&patching->shown, "added %s, %zu bytes\n", path, text.len);
    return r;
}

static int change_by_patch(struct patching *patching, struct json_value arguments)
{
    BUF_AUTO text = BUF_INIT(0);
    TEXT_PATCH_AUTO patch = {0};
    int r = tool_need_text(arguments, "patch", TEXT_PATCH_BYTES_MAX, &text, patching->err);
    if (r == 0)
        r = text_patch_parse(buf_span(&text), &patch, patching->err);
    for (size_t i = 0; r == 0 && i < patch.file_count; i++) {
        const struct text_patch_file *part = &patch.files[i];
        if (part->path.len > TOOL_PATH_MAX)
            return error_set(patching->err, -ENAMETOOLONG, "a path in the patch is too long");
        CLEANUP(mem_cleanup) char *path = mem_strndup(part->path.data, part->path.len);
        r = part->kind == TEXT_PATCH_ADD ? add_file(patching, path, &patch, part)
                                         : update_file(patching, path, &patch, part, NULL);
    }
    return r;
}

static int change_by_replacing(struct patching *patching, struct json_value arguments)
{
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO old = BUF_INIT(0);
    BUF_AUTO new = BUF_INIT(0);
    struct text_replace replace;
    int r = tool_need_path(arguments, "path", NULL, &path, patching->err);
    if (r == 0)
        r = tool_need_text(arguments, "old_string", TEXT_PATCH_BYTES_MAX, &old, patching->err);
    if (r == 0)
        r = tool_need_text(arguments, "new_string", TEXT_PATCH_BYTES_MAX, &new, patching->err);
    if (r == 0)
        r = tool_want_bool(arguments, "replace_all", &replace.all, patching->err);
    if (r < 0)
        return r;
    replace.old_text = buf_span(&old);
    replace.new_text = buf_span(&new);
    return update_file(patching, buf_text(&path), NULL, NULL, &replace);
}

// Either may be meant when nobody says which: then it is the one whose text is there.
static int choose_mode(struct json_value arguments, bool *ret_patch, struct error *err)
{
    struct json_value mode = json_get(arguments, "mode");
    if (json_is(mode, "patch") || json_is(mode, "replace"))
        *ret_patch = json_is(mode, "patch");
    else if (tool_has(arguments, "mode"))
        return error_set(err, -EINVAL, "the parameter \"mode\" must be \"replace\" or \"patch\"");
    else if (tool_has(arguments, "patch") == tool_has(arguments, "old_string"))
        return error_set(err, -EINVAL, "give old_string and new_string, or patch, and mode");
    else
        *ret_patch = tool_has(arguments, "patch");
    return 0;
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    CLEANUP(finish)
    struct patching patching = {
        .files = {.workspace_fd = workspace_fd},
        .shown = BUF_INIT(SHOWN_MAX),
        .help = BUF_INIT(HELP_MAX),
        .err = err,
    };
    bool is_patch;
    int r = choose_mode(arguments, &is_patch, err);
    if (r == 0)
        r = is_patch ? change_by_patch(&patching, arguments)
                     : change_by_replacing(&patching, arguments);
    if (r == 0)
        r = patched_files_write(&patching.files, &patching.help, err);
    buf_append_span(out, buf_span(r == 0 ? &patching.shown : &patching.help));
    return r;
}

const struct tool tool_patch = {
    .name = "patch",
    .description = "Change text files, all or nothing; shows the diff.",
    .parameters = // taken as well: mode (replace, patch), which the others tell
    "{\"type\":\"object\",\"properties\":{"
    "\"path\":{\"type\":\"string\",\"description\":\"File\"},"
    "\"old_string\":{\"type\":\"string\",\"description\":\"Text found once\"},"
    "\"new_string\":{\"type\":\"string\",\"description\":\"Text instead\"},"
    "\"replace_all\":{\"type\":\"boolean\",\"description\":\"Every place\"},"
    "\"patch\":{\"type\":\"string\",\"description\":\"Unified diff, or *** Begin Patch, "
    "*** Update|Add|Delete File: PATH\"}}}",
    .flags = TOOL_WRITES | TOOL_UNATTENDED,
    .memory = MEMORY,
    .work = work,
};
