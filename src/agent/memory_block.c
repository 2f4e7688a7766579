#include "agent/memory_block.h"

#include <errno.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "tools/memory_file.h"

/*
 * The limit is a promise about what every request costs, and the tool that writes these files keeps
 * it; an editor does not. So it is kept here as well: what is beyond it is not shown, and both the
 * title and a last line say so.
 */
enum { LIMIT_MIN = 100, LIMIT_MAX = 20000 }; // characters

const struct option memory_options[] = {
    {.key = "memory.memory_enabled",
     .type = OPTION_BOOL,
     .offset = offsetof(struct memory_config, memory_enabled),
     .fallback = "true",
     .help = "memories/MEMORY.md is part of the prompt, and the memory tool writes it"},
    {.key = "memory.user_profile_enabled",
     .type = OPTION_BOOL,
     .offset = offsetof(struct memory_config, user_enabled),
     .fallback = "true",
     .help = "memories/USER.md is part of the prompt, and the memory tool writes it"},
    {.key = "memory.memory_char_limit",
     .type = OPTION_INT,
     .offset = offsetof(struct memory_config, memory_limit),
     .fallback = "2200",
     .min = LIMIT_MIN,
     .max = LIMIT_MAX,
     .help = "characters of memories/MEMORY.md"},
    {.key = "memory.user_char_limit",
     .type = OPTION_INT,
     .offset = offsetof(struct memory_config, user_limit),
     .fallback = "1375",
     .min = LIMIT_MIN,
     .max = LIMIT_MAX,
     .help = "characters of memories/USER.md"},
};

const size_t memory_option_count = ARRAY_LEN(memory_options);

struct block {
    const char *name, *title;
    bool enabled;
    size_t limit; // characters
};

static struct block block_of(const struct memory_config *config, enum memory_file file)
{
    if (file == MEMORY_USER)
        return (struct block){"USER.md", "USER PROFILE (who the user is)", config->user_enabled,
                              (size_t)config->user_limit};
    return (struct block){"MEMORY.md", "MEMORY (your notes)", config->memory_enabled,
                          (size_t)config->memory_limit};
}

// 0, or negative when this is not all of the file.
static int read_text(const char *home, const char *name, struct buf *out)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/memories/%s", home, name);
    BUF_AUTO file = BUF_INIT(ENTRIES_FILE_MAX);
    int r = fd_read_file(path, &file, NULL);
    struct span text = buf_span(&file);
    if (r < 0) // the cut may have gone through a character
        text.len -= utf8_incomplete_tail(text);
    utf8_sanitize(text, out);
    return r;
}

void memory_block_append_file(const struct memory_config *config, const char *home,
                              enum memory_file file, struct buf *out)
{
    struct block block = block_of(config, file);
    if (!block.enabled || block.limit == 0)
        return;
    BUF_AUTO text = BUF_INIT(UTF8_BYTES_MAX * (size_t)ENTRIES_FILE_MAX);
    bool whole = read_text(home, block.name, &text) == 0;
    struct entries entries;
    whole = entries_parse(buf_span(&text), &entries) && whole;
    if (entries.count == 0)
        return;

    BUF_AUTO shown = BUF_INIT(UTF8_BYTES_MAX * (size_t)ENTRIES_FILE_MAX);
    entries_write(&entries, &shown);
    size_t used = entries_characters(&entries);
    buf_printf(out, "\n\n════════════════\n%s [%zu%% — ", block.title, used * 100 / block.limit);
    entries_write_number(used, out);
    buf_append_char(out, '/');
    entries_write_number(block.limit, out);
    buf_append_text(out, " chars]\n");
    struct span all = span_trim(buf_span(&shown));
    size_t fits = entries_cut(all, block.limit);
    buf_append(out, all.data, fits);
    if (fits < all.len || !whole)
        buf_printf(out, "\n[memories/%s is longer than its limit; the rest is not shown]",
                   block.name);
}

void memory_block_list(const struct memory_config *config, const char *home, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(UTF8_BYTES_MAX * (size_t)ENTRIES_FILE_MAX);
    struct entries entries;
    size_t number = 0;
    for (enum memory_file at = MEMORY_NOTES; at <= MEMORY_USER; at++) {
        struct block block = block_of(config, at);
        buf_clear(&text);
        if (block.enabled)
            read_text(home, block.name, &text);
        entries_parse(buf_span(&text), &entries);
        if (entries.count) {
            buf_printf(out, "%s%s, %zu%% of ", number ? "\n\n" : "", block.name,
                       entries_characters(&entries) * 100 / block.limit);
            entries_write_number(block.limit, out);
            buf_append_text(out, " characters:");
        }
        for (size_t i = 0; i < entries.count; i++) {
            buf_printf(out, "\n%zu. ", ++number);
            buf_append_span(out, entries.items[i]);
        }
    }
}

int memory_block_forget(const struct memory_config *config, const char *home, struct span wanted,
                        struct buf *out, struct error *err)
{
    BUF_AUTO text = BUF_INIT(UTF8_BYTES_MAX * (size_t)ENTRIES_FILE_MAX);
    BUF_AUTO meant = BUF_INIT(UTF8_BYTES_MAX * (size_t)ENTRIES_FILE_MAX);
    enum memory_file file = MEMORY_NOTES;
    struct entries entries;
    int64_t wanted_number = 0, number = 0, found = 0;
    bool numbered = span_to_i64(wanted, &wanted_number);
    for (enum memory_file at = MEMORY_NOTES; at <= MEMORY_USER; at++) {
        struct block block = block_of(config, at);
        buf_clear(&text);
        if (block.enabled)
            read_text(home, block.name, &text);
        entries_parse(buf_span(&text), &entries);
        for (size_t i = 0; i < entries.count; i++) {
            number++;
            if (numbered ? number != wanted_number : span_find(entries.items[i], wanted) < 0)
                continue;
            found++;
            file = at;
            buf_clear(&meant);
            buf_append_span(&meant, entries.items[i]);
        }
    }
    if (found != 1)
        return error_set(err, -ENOENT,
                         "%s; /memory shows the entries, and forgets one by a part of its text or "
                         "by its number from the top",
                         found ? "more than one entry has that" : "no entry has that");
    buf_clear(&text); // what the model's tool says of it
    int r = memory_file_forget(home, file == MEMORY_USER, buf_span(&meant),
                               block_of(config, file).limit, &text, err);
    if (r == 0)
        buf_append_text(out, "removed, for conversations that begin from now on:\n");
    if (r == 0)
        buf_append_span(out, buf_span(&meant));
    return r;
}
