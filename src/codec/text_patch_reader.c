#include "codec/text_patch_reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void patch_reader_next(struct patch_reader *reader)
{
    struct text_line line = {0};
    reader->ended = !text_line_next(&reader->rest, &line);
    reader->line = line.text;
    reader->number += !reader->ended;
}

struct span patch_reader_ahead(const struct patch_reader *reader, unsigned distance)
{
    struct span rest = reader->rest;
    struct text_line line = {0};
    for (; distance > 0; distance--)
        if (!text_line_next(&rest, &line))
            return (struct span){0};
    return line.text;
}

bool patch_reader_at(const struct patch_reader *reader, const char *prefix)
{
    return span_starts_with(reader->line, prefix);
}

bool patch_reader_at_filler(const struct patch_reader *reader)
{
    return span_trim(reader->line).len == 0 || patch_reader_at(reader, "```");
}

int patch_reader_refuse(const struct patch_reader *reader, const char *fmt, ...)
{
    char sentence[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    return error_set(reader->err, -EINVAL, "line %zu of the patch %s", reader->number, sentence);
}

int patch_add_file(struct patch_reader *reader, enum text_patch_kind kind, struct span path)
{
    struct text_patch *patch = reader->patch;
    if (path.len == 0 || path.data[0] == '"' || memchr(path.data, '\0', path.len))
        return patch_reader_refuse(reader, "names no file; write the path as it is, unquoted");
    if (patch->file_count == TEXT_PATCH_FILES_MAX)
        return patch_reader_refuse(reader, "begins file %d; that is too many for one patch",
                                   TEXT_PATCH_FILES_MAX + 1);
    patch->files =
        mem_grow(patch->files, patch->file_count, &patch->file_capacity, sizeof *patch->files);
    patch->files[patch->file_count++] =
        (struct text_patch_file){.kind = kind, .path = path, .first = patch->hunk_count};
    return 0;
}

int patch_add_hunk(struct patch_reader *reader)
{
    struct text_patch *patch = reader->patch;
    if (patch->hunk_count == TEXT_PATCH_HUNKS_MAX)
        return patch_reader_refuse(reader, "begins hunk %d; that is too many for one patch",
                                   TEXT_PATCH_HUNKS_MAX + 1);
    patch->hunks =
        mem_grow(patch->hunks, patch->hunk_count, &patch->hunk_capacity, sizeof *patch->hunks);
    patch->hunks[patch->hunk_count++] =
        (struct text_patch_hunk){.first = patch->line_count, .patch_line = reader->number};
    patch_last_file(reader)->count++;
    return 0;
}

int patch_add_line(struct patch_reader *reader, char kind, struct span text)
{
    struct text_patch *patch = reader->patch;
    if (patch->line_count == TEXT_PATCH_LINES_MAX)
        return patch_reader_refuse(reader, "is too many: hunks may have %d lines together",
                                   TEXT_PATCH_LINES_MAX);
    patch->lines =
        mem_grow(patch->lines, patch->line_count, &patch->line_capacity, sizeof *patch->lines);
    patch->lines[patch->line_count++] = (struct text_patch_line){.text = text, .kind = kind};
    patch_last_hunk(reader)->count++;
    return 0;
}

struct text_patch_file *patch_last_file(const struct patch_reader *reader)
{
    struct text_patch *patch = reader->patch;
    return patch->file_count ? &patch->files[patch->file_count - 1] : NULL;
}

struct text_patch_hunk *patch_last_hunk(const struct patch_reader *reader)
{
    const struct text_patch_file *file = patch_last_file(reader);
    return file && file->count ? &reader->patch->hunks[file->first + file->count - 1] : NULL;
}

static struct text_patch_line *last_line(const struct patch_reader *reader)
{
    const struct text_patch_hunk *hunk = patch_last_hunk(reader);
    return hunk && hunk->count ? &reader->patch->lines[hunk->first + hunk->count - 1] : NULL;
}

static bool read_number(struct span *rest, uint64_t *ret_number)
{
    size_t len = 0;
    while (len < rest->len && rest->data[len] >= '0' && rest->data[len] <= '9')
        len++;
    if (!span_to_u64((struct span){rest->data, len}, ret_number) || *ret_number > INT32_MAX)
        return false;
    *rest = span_skip(*rest, len);
    return true;
}

// "-1,2" or "+1": a sign, where it begins, and how many lines it has.
static bool read_range(struct span *rest, const char *sign, uint64_t *ret_line, uint64_t *ret_count)
{
    *ret_count = 1;
    if (!span_starts_with(*rest, sign))
        return false;
    *rest = span_skip(*rest, 1);
    if (!read_number(rest, ret_line))
        return false;
    if (!span_starts_with(*rest, ","))
        return true;
    *rest = span_skip(*rest, 1);
    return read_number(rest, ret_count);
}

int patch_read_hunk_header(struct patch_reader *reader, uint64_t *ret_old, uint64_t *ret_new)
{
    struct span rest = span_trim(span_skip(reader->line, 2));
    uint64_t old_line, old_count, new_line, new_count;
    const struct text_patch_line *last = last_line(reader);
    bool ranged = read_range(&rest, "-", &old_line, &old_count);
    rest = span_trim(rest);
    ranged = ranged && read_range(&rest, "+", &new_line, &new_count);
    if (ranged || !last || last->kind != '@') {
        int r = patch_add_hunk(reader);
        if (r < 0)
            return r;
    }
    if (ranged) {
        patch_last_hunk(reader)->has_range = true;
        patch_last_hunk(reader)->old_line = (int64_t)old_line;
        patch_last_hunk(reader)->has_old = old_count > 0;
    } else {
        rest = span_trim(span_skip(reader->line, 2));
        if (span_ends_with(rest, "@@"))
            rest = span_trim((struct span){rest.data, rest.len - 2});
        int r = rest.len ? patch_add_line(reader, '@', rest) : 0;
        if (r < 0)
            return r;
    }
    *ret_old = ranged ? old_count : 0;
    *ret_new = ranged ? new_count : 0;
    patch_reader_next(reader);
    return 0;
}

int patch_read_hunk_line(struct patch_reader *reader)
{
    char kind = reader->line.len ? reader->line.data[0] : ' ';
    if (kind == '\\') {
        struct text_patch_line *last = last_line(reader);
        if (!last || last->kind == '@')
            return patch_reader_refuse(reader, "stands behind no line of a file");
        last->no_newline = true;
    } else if (kind != ' ' && kind != '+' && kind != '-') {
        return 0;
    } else {
        // An empty one has lost its blank on the way, or separates (drop_separators()).
        struct span text = reader->line.len ? span_skip(reader->line, 1) : SPAN_ABSENT;
        int r = patch_add_line(reader, kind, text);
        if (r < 0)
            return r;
    }
    patch_reader_next(reader);
    return PATCH_LINE_TAKEN;
}
