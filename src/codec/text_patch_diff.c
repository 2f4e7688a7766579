// The unified form, of diff -u and git. The numbers in its hunks' first lines are hints: a model
// that counts wrong has usually written the lines right.
#include "codec/text_patch_reader.h"

static bool is_null(struct span path)
{
    return span_is(path, "/dev/null");
}

// Behind "--- " or "+++ "; a tab begins the time.
static struct span header_path(struct span line)
{
    line = span_skip(line, 4);
    return span_trim(span_cut(&line, '\t'));
}

static bool at_file_header(const struct patch_reader *reader)
{
    return patch_reader_at(reader, "--- ") &&
           span_starts_with(patch_reader_ahead(reader, 1), "+++ ");
}

static int read_file_header(struct patch_reader *reader)
{
    struct span old = header_path(reader->line);
    patch_reader_next(reader);
    struct span new = header_path(reader->line);
    bool added = is_null(old), deleted = is_null(new);
    // git's prefixes, unless only one side has them: then it is a directory's name.
    if ((added || span_starts_with(old, "a/")) && (deleted || span_starts_with(new, "b/"))) {
        old = span_skip(old, 2);
        new = span_skip(new, 2);
    }
    int r = added && deleted ? patch_reader_refuse(reader, "names no file")
                             : patch_add_file(reader,
                                              added     ? TEXT_PATCH_ADD
                                              : deleted ? TEXT_PATCH_DELETE
                                                        : TEXT_PATCH_UPDATE,
                                              deleted ? old : new);
    patch_reader_next(reader);
    return r;
}

// "--- x" and "+++ y" may be a line that goes and one that comes, of a file with such lines.
static bool ends_hunk(const struct patch_reader *reader, uint64_t old_left, uint64_t new_left)
{
    if (patch_reader_at(reader, "@@"))
        return true;
    if (old_left == 0 && new_left == 0)
        return at_file_header(reader) || span_is(reader->line, "-- ") || // a mail's signature
               span_is(reader->line, "--");
    return at_file_header(reader) && (old_left != 1 || new_left != 1) &&
           span_starts_with(patch_reader_ahead(reader, 2), "@@");
}

static int read_hunk(struct patch_reader *reader)
{
    uint64_t old_left, new_left;
    int r = patch_read_hunk_header(reader, &old_left, &new_left);
    while (r == 0 && !reader->ended && !ends_hunk(reader, old_left, new_left)) {
        char kind = reader->line.len ? reader->line.data[0] : ' ';
        r = patch_read_hunk_line(reader);
        if (r <= 0)
            break;
        r = 0;
        old_left -= old_left > 0 && (kind == ' ' || kind == '-');
        new_left -= new_left > 0 && (kind == ' ' || kind == '+');
    }
    return r;
}

static bool is_refused(const struct patch_reader *reader, const char **ret_why)
{
    static const struct {
        const char *prefix, *why;
    } rows[] = {
        {"rename ", "renames a file, which patch cannot: add the new one and delete the old one"},
        {"copy ", "copies a file, which patch cannot: add the new one"},
        {"old mode ", "changes the mode of a file, which patch cannot"},
        {"Binary files ", "is about a binary file"},
        {"GIT binary patch", "is about a binary file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (patch_reader_at(reader, rows[i].prefix)) {
            *ret_why = rows[i].why;
            return true;
        }
    return false;
}

// What programs write between the hunks of two files.
static bool at_known(const struct patch_reader *reader)
{
    static const char *const known[] = {"diff ",
                                        "index ",
                                        "new file mode ",
                                        "new mode ",
                                        "deleted file mode ",
                                        "similarity index ",
                                        "dissimilarity index ",
                                        "Index: ",
                                        "======"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (patch_reader_at(reader, known[i]))
            return true;
    return patch_reader_at_filler(reader);
}

int patch_read_diff(struct patch_reader *reader)
{
    int r = 0;
    const char *why;
    while (r == 0 && !reader->ended) {
        bool begun = patch_last_file(reader) != NULL;
        if (at_file_header(reader))
            r = read_file_header(reader);
        else if (patch_reader_at(reader, "@@") && begun)
            r = read_hunk(reader);
        else if (is_refused(reader, &why))
            r = patch_reader_refuse(reader, "%s", why);
        else if (begun && (span_is(reader->line, "-- ") || span_is(reader->line, "--")))
            break; // what follows is a signature
        else if (begun && !at_known(reader))
            r = patch_reader_refuse(reader,
                                    "begins with none of \" \", \"+\", \"-\" and \"@@\"; each "
                                    "line of a hunk does");
        else if (patch_reader_at(reader, "@@"))
            r = patch_reader_refuse(reader, "begins a hunk of no file: \"--- a/PATH\" and "
                                            "\"+++ b/PATH\" come first");
        else
            patch_reader_next(reader);
    }
    return r;
}
