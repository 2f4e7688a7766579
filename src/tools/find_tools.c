#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/utf8.h"
#include "tools/table.h"
#include "tools/tool_set.h"
#include "tools/tool_target.h"

/*
 * Most tools are not described in every request: a model finds them with find_tools and calls them
 * through call_tool. Both stay as they are whatever else there is, so the beginning of a prompt,
 * which providers keep, does not change when a source comes or goes.
 */
enum {
    QUERY_MAX = 1024, // bytes
    WORD_MIN = 3,     // bytes; shorter ones are in everything
    SHOWN_MAX = 8,    // tools with their parameters
    LINE_MAX = 100,   // bytes of a description in the list of all
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool contains(const char *text, struct span word)
{
    for (; *text; text++) {
        size_t i = 0;
        while (i < word.len && text[i] && lower(text[i]) == word.data[i])
            i++;
        if (i == word.len)
            return true;
    }
    return false;
}

// A word in the name counts more than one in the description.
static unsigned score(const struct tool_set_entry *tool, struct span query)
{
    unsigned sum = 0;
    while (query.len) {
        size_t len = 0;
        while (len < query.len && is_word(query.data[len]))
            len++;
        struct span word = {query.data, len};
        if (len >= WORD_MIN)
            sum += contains(tool->name, word) ? 3 : contains(tool->description, word);
        query = span_skip(query, len ? len : 1);
    }
    return sum;
}

// True: with words that nobody vouches for.
static bool show_names(const struct tool_set *set, struct buf *out)
{
    bool foreign = false;
    for (size_t i = 0; i < set->count; i++) {
        const struct tool_set_entry *tool = &set->tools[i];
        struct span line = span_of(tool->description);
        if (!(tool->flags & TOOL_FOUND))
            continue;
        if (line.len > LINE_MAX)
            line.len = LINE_MAX - utf8_incomplete_tail(span_make(line.data, LINE_MAX));
        line = span_cut(&line, '\n');
        buf_printf(out, "%s: %.*s\n", tool->name, (int)line.len, line.data);
        foreign = foreign || tool->flags & TOOL_FOREIGN;
    }
    if (out->len == 0)
        buf_append_text(out, "there are no other tools than those you have");
    return foreign;
}

static bool show_best(const struct tool_set *set, struct span query, struct buf *out)
{
    bool foreign = false;
    unsigned scores[TOOL_SET_MAX];
    for (size_t i = 0; i < set->count; i++)
        scores[i] = set->tools[i].flags & TOOL_FOUND ? score(&set->tools[i], query) : 0;
    for (size_t shown = 0; shown < SHOWN_MAX; shown++) {
        size_t best = 0;
        for (size_t i = 1; i < set->count; i++)
            best = scores[i] > scores[best] ? i : best;
        if (scores[best] == 0)
            break;
        const struct tool_set_entry *tool = &set->tools[best];
        scores[best] = 0;
        if (strlen(tool->description) + strlen(tool->parameters) + TOOL_NAME_MAX + 32 >
            out->max - out->len)
            continue;
        buf_printf(out, "%s: %s\nparameters: %s\n", tool->name, tool->description,
                   tool->parameters);
        foreign = foreign || tool->flags & TOOL_FOREIGN;
    }
    return foreign;
}

static int start_find(const struct tool_env *env, const struct tool_call *call,
                      struct tool_run *run, struct buf *out, struct error *err)
{
    BUF_AUTO query = BUF_INIT(0);
    int r = tool_has(call->arguments, "query")
                ? tool_need_text(call->arguments, "query", QUERY_MAX, &query, err)
                : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < query.len; i++)
        query.data[i] = lower(query.data[i]);
    bool foreign = show_best(call->set, buf_span(&query), out);
    if (out->len == 0)
        foreign = show_names(call->set, out);
    return foreign ? TOOL_ENDED_TAINTED : TOOL_ENDED;
}

const struct tool tool_find_tools = {
    .name = "find_tools",
    .description = "Finds more tools and their parameters.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"query\":{\"type\":\"string\",\"description\":\"For what; none: all names\"}}}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .start = start_find,
};

// Only what has no target comes here (tool_target.h).
static int start_call(const struct tool_env *env, const struct tool_call *call,
                      struct tool_run *run, struct buf *out, struct error *err)
{
    return error_set(
        err, -EINVAL,
        "call_tool wants \"name\", a tool that find_tools has shown, and \"arguments\", "
        "an object");
}

const struct tool tool_call_tool = {
    .name = tool_call_tool_name,
    .description = "Calls a found tool.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"name\":{\"type\":\"string\",\"description\":\"Its name\"},"
                  "\"arguments\":{\"type\":\"object\",\"description\":\"Its parameters\"}},"
                  "\"required\":[\"name\"]}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED,
    .start = start_call,
};
