#include "channels/line_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void line_history_init(struct line_history *history, size_t max)
{
    *history = (struct line_history){.max = max};
}

void line_history_finish(struct line_history *history)
{
    for (size_t i = 0; i < history->count; i++)
        free(history->lines[i]);
    free(history->lines);
    free(history->unfinished);
}

void line_history_rewind(struct line_history *history)
{
    free(STEAL(history->unfinished));
    history->at = history->count;
}

void line_history_add(struct line_history *history, struct span line)
{
    size_t count = history->count;
    line.len = line.len ? strnlen(line.data, line.len) : 0; // the lines are C strings
    bool again = count > 0 && span_is(line, history->lines[count - 1]);
    if (line.len > 0 && line.len <= LINE_HISTORY_BYTES_MAX && !again) {
        while (history->count == history->max ||
               history->bytes + line.len > LINE_HISTORY_BYTES_MAX) {
            history->bytes -= strlen(history->lines[0]);
            free(history->lines[0]);
            history->count--;
            memmove(history->lines, history->lines + 1, history->count * sizeof *history->lines);
        }
        history->lines =
            mem_grow(history->lines, history->count, &history->capacity, sizeof *history->lines);
        history->lines[history->count++] = mem_strndup(line.data, line.len);
        history->bytes += line.len;
    }
    line_history_rewind(history);
}

static void keep_unfinished(struct line_history *history, struct span current)
{
    if (history->at < history->count)
        return;
    free(history->unfinished);
    history->unfinished = mem_strndup(current.data, current.len);
}

struct span line_history_older(struct line_history *history, struct span current)
{
    if (history->at == 0)
        return SPAN_ABSENT;
    keep_unfinished(history, current);
    history->at--;
    return span_of(history->lines[history->at]);
}

struct span line_history_newer(struct line_history *history)
{
    if (history->at == history->count)
        return SPAN_ABSENT;
    history->at++;
    return span_of(history->at == history->count ? history->unfinished
                                                 : history->lines[history->at]);
}

struct span line_history_search(struct line_history *history, struct span current)
{
    keep_unfinished(history, current);
    struct span wanted = span_of(history->unfinished);
    for (size_t at = history->at; at > 0; at--) {
        struct span line = span_of(history->lines[at - 1]);
        if (span_find(line, wanted) >= 0 && !span_equal(line, current)) {
            history->at = at - 1;
            return line;
        }
    }
    return SPAN_ABSENT;
}
