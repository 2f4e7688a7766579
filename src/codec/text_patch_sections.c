// The form with sections: "*** Update File: PATH", and hunks that tell by their lines where they
// are.
#include "codec/text_patch_reader.h"

static const struct {
    const char *prefix;
    enum text_patch_kind kind;
} headers[] = {
    {"*** Update File:", TEXT_PATCH_UPDATE},
    {"*** Add File:", TEXT_PATCH_ADD},
    {"*** Delete File:", TEXT_PATCH_DELETE},
};

// A line that begins with "***".
static int read_header(struct patch_reader *reader, bool *inside)
{
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        if (patch_reader_at(reader, headers[i].prefix)) {
            *inside = true;
            int r = patch_add_file(reader, headers[i].kind,
                                   span_trim(span_skip(reader->line, strlen(headers[i].prefix))));
            if (r == 0 && headers[i].kind == TEXT_PATCH_ADD)
                r = patch_add_hunk(reader);
            return r;
        }
    if (patch_reader_at(reader, "*** Begin Patch") || patch_reader_at(reader, "*** End Patch"))
        *inside = false;
    else if (patch_reader_at(reader, "*** End of File") && *inside && patch_last_hunk(reader))
        patch_last_hunk(reader)->at_end = true;
    else if (patch_reader_at(reader, "*** Move"))
        return patch_reader_refuse(reader, "moves a file, which patch cannot: add the new one and "
                                           "delete the old one");
    else
        return patch_reader_refuse(reader, "is no line of a patch: \"*** Update File: PATH\", "
                                           "\"*** Add File: PATH\", \"*** Delete File: PATH\" and "
                                           "\"*** End Patch\" are");
    return 0;
}

static int read_body(struct patch_reader *reader)
{
    uint64_t old, new;
    const struct text_patch_file *file = patch_last_file(reader);
    if (file->kind == TEXT_PATCH_ADD && reader->line.len == 0) {
        int r = patch_add_line(reader, '+', SPAN_ABSENT); // an empty line that has lost its "+"
        patch_reader_next(reader);
        return r;
    }
    if (file->kind == TEXT_PATCH_DELETE && patch_reader_at_filler(reader)) {
        patch_reader_next(reader);
        return 0;
    }
    if (file->kind == TEXT_PATCH_UPDATE && patch_reader_at(reader, "@@"))
        return patch_read_hunk_header(reader, &old, &new);
    const struct text_patch_hunk *hunk = patch_last_hunk(reader);
    int r = hunk && !hunk->at_end ? 0 : patch_add_hunk(reader);
    if (r == 0)
        r = patch_read_hunk_line(reader);
    if (r == 0)
        return patch_reader_refuse(reader, "begins with none of \" \", \"+\", \"-\" and \"@@\"; "
                                           "each line of a hunk does");
    return r < 0 ? r : 0;
}

int patch_read_sections(struct patch_reader *reader)
{
    bool inside = false; // of a file's section
    int r = 0;
    while (r == 0 && !reader->ended) {
        if (patch_reader_at(reader, "***")) {
            r = read_header(reader, &inside);
            patch_reader_next(reader);
        } else if (inside) {
            r = read_body(reader);
        } else if (patch_reader_at_filler(reader)) {
            patch_reader_next(reader);
        } else {
            r = patch_reader_refuse(reader, "belongs to no file");
        }
    }
    return r;
}
