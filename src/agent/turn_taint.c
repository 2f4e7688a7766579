#include "agent/turn_taint.h"

#include <stdio.h>
#include <string.h>

#include "agent/turn.h"
#include "base/mem.h"
#include "tools/tool_target.h"
#include "tools/web_fetch.h"

enum {
    COPIED_MAX = 3,     // URLs of one turn: which ones are chosen tells something, too
    URL_MAX = 8 * 1024, // bytes
    URLS_MAX = 64,      // of one call
};

/* The mark */

// The call that a message is the result of, and which one of the conversation, counted from 1. By
// its place: results stand in the order of their calls, and ids are what a model or a server makes
// them, not always unique. NULL: it is no result.
static const struct chat_call *call_of(const struct chat_history *history, size_t at,
                                       size_t *ret_number)
{
    size_t asking = at;
    if (history->messages[at].role != CHAT_TOOL)
        return NULL;
    while (asking > 0 && history->messages[asking].role == CHAT_TOOL)
        asking--;
    const struct chat_message *message = &history->messages[asking];
    size_t place = at - asking - 1;
    *ret_number = 1 + place;
    for (size_t i = 0; i < asking; i++)
        *ret_number += history->messages[i].call_count;
    return place < message->call_count ? &message->calls[place] : NULL;
}

// The tool that a call means, also when that is gone; `room` holds its name behind call_tool.
static const char *tool_of(const struct chat_call *call, struct tool_target *room)
{
    tool_target_find(NULL, call->name, span_of(call->arguments), room);
    return *room->missing ? room->missing : call->name;
}

bool session_taint(const struct agent_session *session, char why[TURN_TAINT_MAX],
                   int64_t *ret_since_ms)
{
    const struct chat_history *history = &session->history;
    *ret_since_ms = 0;
    *why = '\0';
    if (session->prompt_tainted) {
        snprintf(why, TURN_TAINT_MAX, "tainted by an entry of the memory files");
        return true;
    }
    for (size_t i = 0; i < history->count; i++) {
        if (!history->messages[i].tainted)
            continue;
        size_t number;
        struct tool_target target;
        const struct chat_call *call = call_of(history, i, &number);
        *ret_since_ms = history->messages[i].at_ms;
        if (call)
            snprintf(why, TURN_TAINT_MAX, "tainted by %.64s of call %zu", tool_of(call, &target),
                     number);
        else if (history->messages[i].role == CHAT_USER && !history->messages[i].summary)
            snprintf(why, TURN_TAINT_MAX, "tainted by a message that was quoted or forwarded");
        else
            snprintf(why, TURN_TAINT_MAX, "tainted by what was said before");
        return true;
    }
    return false;
}

bool turn_taint(const struct turn *turn, char why[TURN_TAINT_MAX])
{
    int64_t since_ms;
    return session_taint(turn->session, why, &since_ms);
}

bool turn_is_tainted(const struct turn *turn)
{
    char why[TURN_TAINT_MAX];
    return turn_taint(turn, why);
}

/* URLs that were copied */

static bool is_web_tool(const char *name)
{
    return strcmp(name, "web_fetch") == 0 || strcmp(name, "web_extract") == 0 ||
           strcmp(name, "web_search") == 0;
}

static bool is_of_url(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("-._~:/?#@!$&'*+,;=%", c));
}

// Whole: what stands around it is no part of a URL, but for the point that ends a sentence.
static bool stands_in(const char *text, struct span url)
{
    struct span rest = span_of(text);
    ptrdiff_t at;
    while ((at = span_find(rest, url)) >= 0) {
        const char *begin = rest.data + at, *end = begin + url.len;
        bool alone = begin == text || !is_of_url(begin[-1]);
        while (*end && strchr(".,;:!?'", *end))
            end++;
        if (alone && !is_of_url(*end))
            return true;
        rest = span_skip(rest, (size_t)at + 1);
    }
    return false;
}

/*
 * A result of the web tools alone: what the model has written itself comes back out of a file, and
 * out of an error that quotes a call. A search that was made with such text was approved.
 */
static bool was_read(const struct turn *turn, struct span url)
{
    const struct chat_history *history = &turn->session->history;
    for (size_t i = 0; i < history->count; i++) {
        const struct chat_message *message = &history->messages[i];
        const char *text = message->text ? message->text : "";
        size_t number;
        struct tool_target target;
        const struct chat_call *call = call_of(history, i, &number);
        bool found = message->role == CHAT_TOOL && strncmp(text, "error: ", 7) != 0 && call &&
                     is_web_tool(tool_of(call, &target));
        bool said = message->role == CHAT_USER && !message->tainted && !message->summary;
        if ((found || said) && stands_in(text, url))
            return true;
    }
    return false;
}

// The URLs of a call; SIZE_MAX: one of them is none that was read.
static size_t count_urls(const struct turn *turn, struct span arguments, bool must_be_read)
{
    JSON_AUTO doc = JSON_INIT;
    if (json_parse(&doc, arguments, NULL) < 0)
        return must_be_read ? SIZE_MAX : 0;
    struct json_value value = web_fetch_urls(json_root(&doc));
    struct json_iter it = json_iter_init(value);
    size_t count = 0;
    bool more = json_type(value) == JSON_STRING ||
                (json_type(value) == JSON_ARRAY && json_iter_next(&it, NULL, &value));
    for (; more && count < URLS_MAX; more = json_iter_next(&it, NULL, &value)) {
        BUF_AUTO url = BUF_INIT(URL_MAX);
        count++;
        if (must_be_read &&
            (!json_string(value, &url) || url.len == 0 || !was_read(turn, buf_span(&url))))
            return SIZE_MAX;
    }
    return count;
}

// The URLs of this turn's calls before this one, whatever became of them.
static size_t count_before(const struct turn *turn, size_t ordinal)
{
    const struct chat_history *history = &turn->session->history;
    const struct chat_message *asking = turn_asking_message(turn);
    size_t begin = history->count, count = 0;
    while (begin > 0 && history->messages[begin - 1].role != CHAT_USER)
        begin--;
    for (size_t i = begin; i < history->count; i++) {
        const struct chat_message *message = &history->messages[i];
        size_t calls = message == asking ? ordinal : message->call_count;
        for (size_t j = 0; j < calls; j++) {
            struct tool_target target;
            tool_target_find(turn->tools, message->calls[j].name,
                             span_of(message->calls[j].arguments), &target);
            if (target.entry && is_web_tool(target.entry->name))
                count += count_urls(turn, target.arguments, false);
        }
    }
    return count;
}

bool turn_fetches_copied(const struct turn *turn, size_t ordinal, const char *tool,
                         struct span arguments)
{
    if (strcmp(tool, "web_fetch") != 0 && strcmp(tool, "web_extract") != 0)
        return false;
    size_t count = count_urls(turn, arguments, true);
    return count > 0 && count != SIZE_MAX && count_before(turn, ordinal) + count <= COPIED_MAX;
}
