#include "codec/text_patch.h"

#include "codec/text_patch_apply.h"
#include "codec/text_replace.h"
#include "codec/unified_diff.h"
#include "fuzz.h"

// A patch and a text, with a NUL between them: whatever they are, it is refused with a sentence, or
// what becomes of the text is as large as it was said to be.
enum { TEXTS_MAX = 1 << 20, OUT_MAX = 8 << 20, SHOWN = 4096 };

static void apply(struct text_edits *edits, struct span text)
{
    BUF_AUTO new = BUF_INIT(OUT_MAX);
    BUF_AUTO shown = BUF_INIT(OUT_MAX);
    REQUIRE(text_edits_apply(edits, text, &new));
    REQUIRE(new.len == text_edits_size(edits, text));
    unified_diff_write(text, buf_span(&new), edits, SHOWN, &shown);
    REQUIRE(!buf_is_full(&shown));
    if (!span_equal(text, buf_span(&new)))
        REQUIRE(span_starts_with(buf_span(&shown), "@@ -"));
}

static void check_file(const struct text_patch *patch, const struct text_patch_file *file,
                       struct span text)
{
    TEXT_EDITS_AUTO edits;
    BUF_AUTO remarks = BUF_INIT(SHOWN);
    BUF_AUTO help = BUF_INIT(SHOWN);
    struct error err = ERROR_INIT;
    text_edits_init(&edits, TEXTS_MAX);
    if (text_patch_find(patch, file, text, &edits, &remarks, &help, &err) < 0)
        REQUIRE(err.text[0]);
    else
        apply(&edits, text);
}

// The same two as what is looked for and what stands in its place.
static void check_replace(struct span old, struct span text, bool all)
{
    TEXT_EDITS_AUTO edits;
    BUF_AUTO remarks = BUF_INIT(SHOWN);
    BUF_AUTO help = BUF_INIT(SHOWN);
    struct error err = ERROR_INIT;
    struct span rest = old;
    struct text_replace replace = {.old_text = span_cut(&rest, '|'), .new_text = rest, .all = all};
    text_edits_init(&edits, TEXTS_MAX);
    if (text_replace_find(&replace, text, &edits, &remarks, &help, &err) < 0)
        REQUIRE(err.text[0]);
    else
        apply(&edits, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size), head = span_cut(&text, '\0');
    struct error err = ERROR_INIT;
    TEXT_PATCH_AUTO patch = {0};
    check_replace(head, text, false);
    check_replace(head, text, true);
    if (text_patch_parse(head, &patch, &err) < 0) {
        REQUIRE(err.text[0]);
        return 0;
    }
    REQUIRE(patch.file_count > 0);
    for (size_t i = 0; i < patch.file_count; i++) {
        BUF_AUTO added = BUF_INIT(OUT_MAX);
        REQUIRE(patch.files[i].path.len > 0);
        if (patch.files[i].kind == TEXT_PATCH_ADD)
            REQUIRE(text_patch_new_text(&patch, &patch.files[i], &added));
        else
            check_file(&patch, &patch.files[i], text);
    }
    return 0;
}
