/*
 * What belongs to which part: line_keys decodes bytes into commands, line_text holds the line and
 * its cursor, line_history what was entered before, and line_row the terminal's row. Here commands
 * are carried out. The screen is brought up to date once for all keys of a feed, so that a large
 * paste draws one row and not one for each of its characters.
 */
#include "channels/line_editor.h"

#include <stdlib.h>

#include "base/mem.h"
#include "channels/line_history.h"
#include "channels/line_keys.h"
#include "channels/line_row.h"
#include "channels/line_text.h"

struct line_editor {
    struct line_keys keys;
    struct line_text text;
    struct line_history history;
    struct line_row row;
};

struct line_editor *line_editor_create(const char *prompt)
{
    struct line_editor *editor = mem_new(struct line_editor);
    line_text_init(&editor->text, LINE_BYTES_MAX);
    line_history_init(&editor->history, LINE_HISTORY_MAX);
    line_row_init(&editor->row, prompt ? prompt : "");
    return editor;
}

void line_editor_destroy(struct line_editor *editor)
{
    if (!editor)
        return;
    line_text_finish(&editor->text);
    line_history_finish(&editor->history);
    line_row_finish(&editor->row);
    free(editor);
}

static void update(struct line_editor *editor, struct buf *screen)
{
    line_row_update(&editor->row, buf_span(&editor->text.bytes), editor->text.cursor, screen);
}

void line_editor_set_columns(struct line_editor *editor, unsigned columns, struct buf *screen)
{
    line_row_resize(&editor->row, columns, screen);
    update(editor, screen);
}

void line_editor_begin(struct line_editor *editor, struct buf *screen)
{
    line_row_hide(&editor->row, screen);
    line_text_set(&editor->text, SPAN_ABSENT);
    line_history_rewind(&editor->history);
    line_row_show(&editor->row, screen);
}

void line_editor_hide(struct line_editor *editor, struct buf *screen)
{
    line_row_hide(&editor->row, screen);
}

struct span line_editor_text(const struct line_editor *editor)
{
    return buf_span(&editor->text.bytes);
}

void line_editor_remember(struct line_editor *editor, struct span line)
{
    line_history_add(&editor->history, line);
}

static void replace(struct line_editor *editor, struct span line)
{
    if (line.data)
        line_text_set(&editor->text, line);
}

// The commands that do something with what lies between the cursor and another place.
static const struct {
    size_t (*place)(const struct line_text *text);
    void (*act)(struct line_text *text, size_t place);
} reaches[] = {
    [LINE_DO_LEFT] = {line_text_left, line_text_move},
    [LINE_DO_RIGHT] = {line_text_right, line_text_move},
    [LINE_DO_WORD_LEFT] = {line_text_word_left, line_text_move},
    [LINE_DO_WORD_RIGHT] = {line_text_word_right, line_text_move},
    [LINE_DO_HOME] = {line_text_start, line_text_move},
    [LINE_DO_END] = {line_text_end, line_text_move},
    [LINE_DO_DELETE_LEFT] = {line_text_left, line_text_delete},
    [LINE_DO_DELETE_RIGHT] = {line_text_right, line_text_delete},
    [LINE_DO_DELETE_OR_END] = {line_text_right, line_text_delete},
    [LINE_DO_KILL_TO_START] = {line_text_start, line_text_kill},
    [LINE_DO_KILL_TO_END] = {line_text_end, line_text_kill},
    [LINE_DO_KILL_BLANK_LEFT] = {line_text_blank_left, line_text_kill},
    [LINE_DO_KILL_WORD_LEFT] = {line_text_word_left, line_text_kill},
    [LINE_DO_KILL_WORD_RIGHT] = {line_text_word_right, line_text_kill},
};

static void edit(struct line_editor *editor, enum line_command command, struct buf *screen)
{
    switch (command) {
    case LINE_DO_OLDER:
        replace(editor, line_history_older(&editor->history, line_editor_text(editor)));
        break;
    case LINE_DO_NEWER:
        replace(editor, line_history_newer(&editor->history));
        break;
    case LINE_DO_SEARCH:
        replace(editor, line_history_search(&editor->history, line_editor_text(editor)));
        break;
    case LINE_DO_CLEAR_SCREEN:
        line_row_clear_screen(&editor->row, screen);
        break;
    default:
        if (command < ARRAY_LEN(reaches) && reaches[command].place)
            reaches[command].act(&editor->text, reaches[command].place(&editor->text));
    }
}

static enum line_event event_of(const struct line_editor *editor, enum line_command command)
{
    if (command == LINE_DO_DELETE_OR_END && editor->text.bytes.len == 0)
        return LINE_ENDED;
    return command == LINE_DO_ENTER       ? LINE_ENTERED
           : command == LINE_DO_INTERRUPT ? LINE_INTERRUPTED
                                          : LINE_MORE;
}

enum line_event line_editor_feed(struct line_editor *editor, struct span *input, struct buf *screen)
{
    enum line_event event = LINE_MORE;
    bool fits = true;
    struct line_key key;
    while (event == LINE_MORE && line_keys_next(&editor->keys, input, &key)) {
        event = event_of(editor, key.command);
        if (key.command == LINE_DO_INSERT)
            fits &= line_text_insert(&editor->text, key.rune);
        else if (key.command == LINE_DO_YANK)
            fits &= line_text_yank(&editor->text);
        else if (event == LINE_MORE)
            edit(editor, key.command, screen);
    }
    update(editor, screen);
    if (!fits && editor->row.shown)
        buf_append_char(screen, '\a');
    if (event == LINE_ENTERED)
        line_row_complete(&editor->row, line_editor_text(editor), screen);
    if (event != LINE_MORE)
        line_row_leave(&editor->row, screen);
    return event;
}
