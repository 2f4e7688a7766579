/*
 * The few lines that stand in every prompt: memories/MEMORY.md and USER.md, in hermes-agent's
 * format (codec/entries.h). The files belong to their owner, who edits them too. So every call
 * reads what is there now, an entry that is not meant keeps its bytes, and what has to make room
 * goes to ARCHIVE.jsonl, on disk before the file that lacks it. Several changes of one call are
 * made in memory, and the file is replaced when all of them could be; only the last state must fit.
 *
 * Two calls of one reply run side by side, in two processes, hence the lock on the directory. Files
 * are replaced, so a lock on one of them would be a lock on what is no longer there.
 */
#include "tools/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/replace.h"
#include "codec/entries.h"
#include "codec/json_write.h"
#include "tools/table.h"

enum {
    CONTENT_MAX = 64 * 1024, // bytes
    CHANGES_MAX = 32,        // of one call
    BEGINNING_CHARACTERS = 40,
    BEGINNINGS_MAX = 5, // shown in a refusal
    NEW_FILE_MODE = 0600,
};

enum action { ADD, REPLACE, REMOVE };

struct change {
    enum action action;
    struct buf content, old;  // owned
    struct span entry, where; // trimmed, in those
};

struct edit { // all that one call wants of a file
    bool user;
    size_t limit;           // characters
    struct change *changes; // owned
    size_t count;
};

static void edit_finish(struct edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        buf_finish(&edit->changes[i].content);
        buf_finish(&edit->changes[i].old);
    }
    free(edit->changes);
}

static const char *file_of(const struct edit *edit)
{
    return edit->user ? "USER.md" : "MEMORY.md";
}

static int take_target(struct json_value arguments, struct edit *edit, struct error *err)
{
    struct json_value target = json_get(arguments, "target");
    edit->user = json_is(target, "user");
    if (!edit->user && !json_is(target, "memory"))
        return error_set(err, -EINVAL, "the parameter \"target\" must be memory or user");
    int64_t limit = tool_setting(arguments, edit->user ? "user_characters" : "memory_characters");
    if (limit <= 0)
        return error_set(err, -EPERM, "%s is switched off in the configuration (memory.%s)",
                         file_of(edit), edit->user ? "user_profile_enabled" : "memory_enabled");
    edit->limit = (size_t)limit;
    return 0;
}

static int take_action(struct json_value arguments, struct change *change, struct error *err)
{
    static const char *const names[] = {[ADD] = "add", [REPLACE] = "replace", [REMOVE] = "remove"};
    struct json_value action = json_get(arguments, "action");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (json_is(action, names[i])) {
            change->action = (enum action)i;
            return 0;
        }
    return error_set(err, -EINVAL, "the parameter \"action\" must be add, replace or remove");
}

static int check_entry(const struct edit *edit, const struct change *change, struct error *err)
{
    uint32_t rune;
    size_t length = entries_count(change->entry);
    if (length == 0)
        return error_set(err, -EINVAL, "the entry is empty%s",
                         change->action == REPLACE ? "; remove takes one away" : "");
    if (entries_would_split(change->entry))
        return error_set(err, -EINVAL,
                         "a line of the entry is only \xc2\xa7, which separates entries; "
                         "add them one by one");
    if (entries_find_hidden(change->entry, &rune))
        return error_set(err, -EINVAL,
                         "the entry holds U+%04X, a character that nobody sees; write it without",
                         (unsigned)rune);
    if (length > edit->limit)
        return error_set(err, -E2BIG, "the entry has %zu characters, and %s may have %zu in all",
                         length, file_of(edit), edit->limit);
    return 0;
}

static int take_change(struct json_value arguments, const struct edit *edit, struct change *change,
                       struct error *err)
{
    int r = take_action(arguments, change, err);
    if (r == 0 && change->action != ADD) {
        r = tool_need_text(arguments, "old_text", CONTENT_MAX, &change->old, err);
        change->where = span_trim(buf_span(&change->old));
        if (r == 0 && change->where.len == 0)
            r = error_set(err, -EINVAL, "the parameter \"old_text\" is empty");
    }
    if (r < 0 || change->action == REMOVE)
        return r;
    bool alias = !tool_has(arguments, "content") && tool_has(arguments, "new_text");
    r = tool_need_text(arguments, alias ? "new_text" : "content", CONTENT_MAX, &change->content,
                       err);
    change->entry = span_trim(buf_span(&change->content));
    return r < 0 ? r : check_entry(edit, change, err);
}

// Which of several changes cannot be made; alone it needs no number.
static int name_change(const struct edit *edit, size_t index, int code, struct error *err)
{
    if (edit->count > 1)
        error_wrap(err, "nothing was changed, because of operation %zu of %zu", index + 1,
                   edit->count);
    return code;
}

// The call's own change, or those of its list.
static int take_changes(struct json_value arguments, struct edit *edit, struct error *err)
{
    struct json_value list = json_get(arguments, "operations");
    bool several = tool_has(arguments, "operations");
    size_t count = several ? json_count(list) : 1;
    if (several && (json_type(list) != JSON_ARRAY || count == 0 || count > CHANGES_MAX))
        return error_set(err, -EINVAL,
                         "the parameter \"operations\" must be a list of 1 to %d objects",
                         CHANGES_MAX);
    edit->changes = mem_zalloc(count * sizeof *edit->changes);
    edit->count = count;
    struct json_iter it = json_iter_init(list);
    struct json_value item = arguments;
    for (size_t i = 0; i < count; i++) {
        if (several)
            json_iter_next(&it, NULL, &item);
        int r = take_change(item, edit, &edit->changes[i], err);
        if (r < 0)
            return name_change(edit, i, r, err);
    }
    return 0;
}

static int lock(int directory_fd, int *ret_fd, struct error *err)
{
    FD_AUTO fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return error_errno(err, errno, "cannot lock the memories");
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int read_file(int directory_fd, const char *name, struct buf *out, mode_t *ret_mode,
                     struct error *err)
{
    struct stat stat;
    *ret_mode = NEW_FILE_MODE;
    FD_AUTO fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno == ELOOP)
        return error_set(err, -ELOOP, "%s is a link and was left alone", name);
    if (fd < 0 || fstat(fd, &stat) < 0)
        return error_errno(err, errno, "cannot open %s", name);
    if (!S_ISREG(stat.st_mode))
        return error_set(err, -EINVAL, "%s is not a regular file and was left alone", name);
    *ret_mode = stat.st_mode & 0777;
    int r = fd_read_all(fd, out);
    if (r == -EFBIG)
        return error_set(err, r, "%s is larger than %d KiB; its owner must shorten it", name,
                         ENTRIES_FILE_MAX / 1024);
    return r < 0 ? error_errno(err, -r, "cannot read %s", name) : 0;
}

static void append_beginning(struct span entry, struct buf *out)
{
    size_t cut = entries_cut(entry, BEGINNING_CHARACTERS);
    buf_append_text(out, out->len ? ", \"" : "\"");
    for (size_t i = 0; i < cut; i++)
        buf_append_char(out, (unsigned char)entry.data[i] < ' ' ? ' ' : entry.data[i]);
    buf_append_text(out, cut < entry.len ? "...\"" : "\"");
}

static bool is_meant(struct span entry, struct span where)
{
    return span_find(entry, where) >= 0;
}

static int refuse_choice(const struct entries *entries, struct span where, size_t found,
                         struct error *err)
{
    BUF_AUTO list = BUF_INIT(ERROR_TEXT_MAX);
    size_t shown = 0;
    for (size_t i = 0; i < entries->count && shown < BEGINNINGS_MAX; i++)
        if (found == 0 || is_meant(entries->items[i], where)) {
            append_beginning(entries->items[i], &list);
            shown++;
        }
    size_t candidates = found ? found : entries->count;
    const char *more = shown < candidates ? ", ..." : "";
    if (candidates == 0)
        return error_set(err, -ENOENT, "there are no entries yet");
    if (found == 0)
        return error_set(err, -ENOENT, "old_text is in no entry; they begin %s%s", buf_text(&list),
                         more);
    return error_set(err, -EEXIST, "old_text is in %zu entries; say more of the one: %s%s", found,
                     buf_text(&list), more);
}

// The entry that is the text, else the one that holds it; of equal ones the first.
static int find_entry(const struct entries *entries, struct span where, size_t *ret_index,
                      struct error *err)
{
    size_t found = 0, first = 0;
    bool equal = true;
    for (size_t i = 0; i < entries->count; i++) {
        if (span_equal(entries->items[i], where)) {
            *ret_index = i;
            return 0;
        }
        if (!is_meant(entries->items[i], where))
            continue;
        if (found++ == 0)
            first = i;
        equal = equal && span_equal(entries->items[i], entries->items[first]);
    }
    if (found == 0 || !equal)
        return refuse_choice(entries, where, found, err);
    *ret_index = first;
    return 0;
}

static bool holds(const struct entries *entries, struct span entry)
{
    for (size_t i = 0; i < entries->count; i++)
        if (span_equal(entries->items[i], entry))
            return true;
    return false;
}

struct state { // of a file that is being edited
    struct entries entries, evicted;
    size_t old; // how many of the entries were there before; what is new stands behind them
    bool added;
};

static void state_drop(struct state *state, size_t at)
{
    struct entries *entries = &state->entries;
    entries->count--;
    memmove(entries->items + at, entries->items + at + 1,
            (entries->count - at) * sizeof entries->items[0]);
    state->old -= at < state->old;
}

static void evict_oldest(struct state *state)
{
    state->evicted.items[state->evicted.count++] = state->entries.items[0];
    state_drop(state, 0);
}

static int add(const struct change *change, struct state *state, struct error *err)
{
    if (holds(&state->entries, change->entry))
        return 1;
    if (state->entries.count == ENTRIES_MAX)
        evict_oldest(state);
    state->entries.items[state->entries.count++] = change->entry;
    state->added = true;
    return 0;
}

static int replace(const struct change *change, struct state *state, struct error *err)
{
    size_t at;
    int r = find_entry(&state->entries, change->where, &at, err);
    if (r < 0)
        return r;
    if (span_equal(state->entries.items[at], change->entry))
        return 1;
    if (holds(&state->entries, change->entry))
        state_drop(state, at);
    else
        state->entries.items[at] = change->entry;
    return 0;
}

// Positive when nothing changed.
static int apply(const struct change *change, struct state *state, struct error *err)
{
    size_t at;
    if (change->action == ADD)
        return add(change, state, err);
    if (change->action == REPLACE)
        return replace(change, state, err);
    int r = find_entry(&state->entries, change->where, &at, err);
    if (r == 0)
        state_drop(state, at);
    return r;
}

// The oldest entries make room for new ones. Where none is new, a file that is too long already may
// become shorter step by step.
static int make_room(const struct edit *edit, struct state *state, size_t before, struct error *err)
{
    size_t after = entries_characters(&state->entries);
    if (!state->added && after > edit->limit && after > before)
        return error_set(err, -ENOSPC,
                         "%s would have %zu of %zu characters; shorten this entry or remove "
                         "another one first",
                         file_of(edit), after, edit->limit);
    while (state->added && after > edit->limit && state->old) {
        evict_oldest(state);
        after = entries_characters(&state->entries);
    }
    if (state->added && after > edit->limit)
        return error_set(err, -E2BIG,
                         "nothing was changed: the new entries have %zu characters together, and "
                         "%s may have %zu in all",
                         after, file_of(edit), edit->limit);
    return 0;
}

// How many of the changes made a difference.
static int apply_all(const struct edit *edit, struct state *state, size_t *ret_made,
                     struct error *err)
{
    size_t made = 0, before = entries_characters(&state->entries);
    state->old = state->entries.count;
    for (size_t i = 0; i < edit->count; i++) {
        int r = apply(&edit->changes[i], state, err);
        if (r < 0)
            return name_change(edit, i, r, err);
        made += r == 0;
    }
    *ret_made = made;
    return make_room(edit, state, before, err);
}

static void write_archive_lines(const struct edit *edit, const struct entries *evicted,
                                struct buf *out)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format_utc(clock_wall_ms(&clock_system), now);
    for (size_t i = 0; i < evicted->count; i++) {
        struct json_writer w;
        json_writer_init(&w, out);
        json_write_object_begin(&w);
        json_write_member_text(&w, "target", edit->user ? "user" : "memory");
        json_write_member_string(&w, "content", evicted->items[i]);
        json_write_member_text(&w, "archived_at", now);
        json_write_object_end(&w);
        buf_append_char(out, '\n');
    }
}

static int archive(int directory_fd, const struct edit *edit, const struct entries *evicted,
                   struct error *err)
{
    if (evicted->count == 0)
        return 0;
    BUF_AUTO lines = BUF_INIT(8 * (size_t)ENTRIES_FILE_MAX);
    FD_AUTO fd =
        openat(directory_fd, "ARCHIVE.jsonl",
               O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, NEW_FILE_MODE);
    char last = '\n';
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n')
        buf_append_char(&lines, '\n'); // a stop of the machine cut the line before
    write_archive_lines(edit, evicted, &lines);
    int r = fd < 0 ? -errno : fd_write_all(fd, lines.data, lines.len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r < 0 ? error_errno(err, -r, "cannot keep the oldest entries in ARCHIVE.jsonl") : 0;
}

static int save(int directory_fd, const struct edit *edit, const struct entries *entries,
                mode_t mode, struct error *err)
{
    BUF_AUTO text = BUF_INIT(2 * (size_t)ENTRIES_FILE_MAX);
    entries_write(entries, &text);
    return replace_file(directory_fd, file_of(edit), mode, buf_span(&text), true, err);
}

static void answer(const struct edit *edit, size_t made, const struct state *state, struct buf *out)
{
    static const char *const done[] = {
        [ADD] = "saved", [REPLACE] = "replaced", [REMOVE] = "removed"};
    size_t evicted = state->evicted.count;
    if (edit->count > 1)
        buf_printf(out, "%zu of %zu changes made%s", made, edit->count,
                   made < edit->count ? "; the others were there already" : "");
    else
        buf_append_text(out, made ? done[edit->changes[0].action]
                                  : "nothing changed: it is there already");
    buf_printf(out, "; %zu%% of ", entries_characters(&state->entries) * 100 / edit->limit);
    entries_write_number(edit->limit, out);
    buf_append_text(out, " characters");
    if (evicted == 1)
        buf_append_text(out, "; to make room the oldest entry went to ARCHIVE.jsonl");
    else if (evicted)
        buf_printf(out, "; to make room the %zu oldest entries went to ARCHIVE.jsonl", evicted);
    if (made)
        buf_append_text(out, "; shown from the next conversation on");
}

static int edit_file(int directory_fd, const struct edit *edit, struct buf *out, struct error *err)
{
    BUF_AUTO text = BUF_INIT(ENTRIES_FILE_MAX);
    struct state state = {0};
    size_t made;
    mode_t mode;
    int r = read_file(directory_fd, file_of(edit), &text, &mode, err);
    if (r == 0 && !entries_parse(buf_span(&text), &state.entries))
        r = error_set(err, -E2BIG, "%s has more than %d entries; its owner must shorten it",
                      file_of(edit), ENTRIES_MAX);
    if (r == 0)
        r = apply_all(edit, &state, &made, err);
    if (r == 0 && made)
        r = archive(directory_fd, edit, &state.evicted, err);
    if (r == 0 && made)
        r = save(directory_fd, edit, &state.entries, mode, err);
    if (r == 0)
        answer(edit, made, &state, out);
    return r;
}

static int work(int directory_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    CLEANUP(edit_finish) struct edit edit = {0};
    FD_AUTO locked = -1;
    int r = take_target(arguments, &edit, err);
    if (r == 0)
        r = take_changes(arguments, &edit, err);
    if (r == 0)
        r = lock(directory_fd, &locked, err);
    return r < 0 ? r : edit_file(directory_fd, &edit, out, err);
}

int memory_file_forget(const char *home, bool user, struct span entry, size_t limit,
                       struct buf *out, struct error *err)
{
    struct change change = {.action = REMOVE, .where = entry};
    const struct edit edit = {user, limit, &change, 1};
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/memories", home);
    FD_AUTO locked = -1;
    FD_AUTO directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(err, errno, "cannot open %s", path);
    int r = lock(directory, &locked, err);
    return r < 0 ? r : edit_file(directory, &edit, out, err);
}

const struct tool tool_memory = {
    .name = "memory",
    .description = "Edit lines shown in every later prompt: \"memory\", your notes; \"user\", who "
                   "the user is.",
    .parameters = // taken as well: operations, several of {action, content, old_text}
    "{\"type\":\"object\",\"properties\":{"
    "\"target\":{\"type\":\"string\",\"enum\":[\"memory\",\"user\"],"
    "\"description\":\"Which list\"},"
    "\"action\":{\"type\":\"string\",\"enum\":[\"add\",\"replace\",\"remove\"],"
    "\"description\":\"What to do\"},"
    "\"content\":{\"type\":\"string\",\"description\":\"New entry, short\"},"
    "\"old_text\":{\"type\":\"string\",\"description\":\"Part of that entry\"}},"
    "\"required\":[\"target\"]}",
    .flags = TOOL_WRITES, // not repeatable: what was replaced or removed is not found again
    .place = TOOL_IN_MEMORIES,
    .work = work,
};
