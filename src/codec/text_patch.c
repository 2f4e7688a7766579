#include "codec/text_patch.h"

#include <errno.h>
#include <stdlib.h>

#include "codec/text_patch_reader.h"

void text_patch_finish(struct text_patch *patch)
{
    free(patch->lines);
    free(patch->hunks);
    free(patch->files);
    *patch = (struct text_patch){0};
}

static int refuse_hunk(const struct text_patch_hunk *hunk, const char *why, struct error *err)
{
    return error_set(err, -EINVAL, "the hunk at line %zu of the patch %s", hunk->patch_line, why);
}

static int check_hunk(const struct text_patch *patch, const struct text_patch_file *file,
                      const struct text_patch_hunk *hunk, struct error *err)
{
    bool has[256] = {false};
    for (size_t i = 0; i < hunk->count; i++)
        has[(unsigned char)patch->lines[hunk->first + i].kind] = true;
    if (file->kind == TEXT_PATCH_UPDATE && !has['-'] && !has['+'])
        return refuse_hunk(hunk, "changes nothing", err);
    if (file->kind == TEXT_PATCH_ADD && (has['-'] || has[' '] || has['@']))
        return refuse_hunk(hunk, "may hold only lines with \"+\", as its file is new", err);
    if (file->kind == TEXT_PATCH_DELETE && (has['+'] || has[' '] || has['@']))
        return refuse_hunk(hunk, "may hold only lines with \"-\", as its file is deleted", err);
    return 0;
}

static int check_file(const struct text_patch *patch, const struct text_patch_file *file,
                      struct error *err)
{
    size_t most = file->kind == TEXT_PATCH_UPDATE ? TEXT_PATCH_HUNKS_MAX : 1;
    if (file->count > most || (file->kind == TEXT_PATCH_UPDATE && file->count == 0))
        return error_set(err, -EINVAL, "%.*s has %zu hunks in the patch, which must be %s",
                         (int)file->path.len, file->path.data, file->count,
                         file->count ? "one for a new or deleted file" : "one at least");
    for (size_t i = 0; i < file->count; i++) {
        struct text_patch_hunk *hunk = &patch->hunks[file->first + i];
        // Empty lines behind a hunk are no part of it.
        while (hunk->count && !patch->lines[hunk->first + hunk->count - 1].text.data)
            hunk->count--;
        int r = check_hunk(patch, file, hunk, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool begins_section(struct span line)
{
    return span_starts_with(line, "*** Begin Patch") ||
           span_starts_with(line, "*** Update File:") || span_starts_with(line, "*** Add File:") ||
           span_starts_with(line, "*** Delete File:");
}

int text_patch_parse(struct span text, struct text_patch *ret_patch, struct error *err)
{
    TEXT_PATCH_AUTO patch = {0};
    struct patch_reader reader = {.rest = text, .patch = &patch, .err = err};
    if (text.len > TEXT_PATCH_BYTES_MAX)
        return error_set(err, -E2BIG, "the patch is longer than %d KiB",
                         TEXT_PATCH_BYTES_MAX >> 10);
    patch_reader_next(&reader);
    while (!reader.ended && patch_reader_at_filler(&reader))
        patch_reader_next(&reader);
    int r = begins_section(reader.line) ? patch_read_sections(&reader) : patch_read_diff(&reader);
    if (r == 0 && patch.file_count == 0)
        r = error_set(err, -EINVAL,
                      "the patch names no file: begin with \"--- a/PATH\" and \"+++ b/PATH\", or "
                      "with \"*** Begin Patch\" and \"*** Update File: PATH\"");
    for (size_t i = 0; r == 0 && i < patch.file_count; i++)
        r = check_file(&patch, &patch.files[i], err);
    if (r < 0)
        return r;
    *ret_patch = patch;
    patch = (struct text_patch){0};
    return 0;
}
