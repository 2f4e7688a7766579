#include "agent/context.h"

#include <stdio.h>

#include "agent/agent.h"
#include "agent/compression.h"
#include "codec/document.h"
#include "codec/entries.h"
#include "llm/chat.h"
#include "tools/tool_set.h"

/*
 * The table is also shown in a chat on a telephone, in a monospaced block that must not wrap: 40
 * columns, of which the numbers take 16.
 */
enum {
    BYTES_PER_TOKEN = 4,
    NAME_COLUMNS = 22,
    NUMBER_COLUMNS = 9,   // "1,234,567"
    SCHEMA_MAX = 1 << 20, // bytes of one tool as it is sent
    REPORT_MAX = 1 << 20, // bytes of memory of a report in JSON
};

struct context_report context_measure(const struct agent *agent,
                                      const struct agent_session *session)
{
    const struct agent_env *env = agent_env(agent);
    struct context_report report = {.prompt_tokens = -1};
    BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
    prompt_build_parts(env->config, env->memory, env->skills, env->home, &prompt, &report.prompt);
    report.tools = agent_tools(agent);
    if (session) {
        report.history = &session->history;
        report.prompt_tokens = session->prompt_tokens;
    }
    return report;
}

static size_t tokens_of(size_t bytes)
{
    return (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

// As a request holds it, less what every wire format wraps around it.
static size_t tool_bytes(const struct tool_set_entry *tool)
{
    BUF_AUTO text = BUF_INIT(SCHEMA_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(SCHEMA_MAX);
    struct node root = document_object(&doc);
    node_add_text(root, "name", tool->name);
    node_add_text(root, "description", tool->description);
    node_add_raw(root, "parameters", span_of(tool->parameters));
    document_print(&doc, &text, NULL);
    return text.len;
}

static size_t history_bytes(const struct context_report *report)
{
    return report->history ? compression_bytes(report->history, 0, report->history->count) : 0;
}

// The others are found by the model, and go out with no request.
static bool is_listed(const struct tool_set_entry *tool)
{
    return !(tool->flags & TOOL_FOUND);
}

static size_t tools_bytes(const struct context_report *report)
{
    size_t sum = 0;
    for (size_t i = 0; i < report->tools->count; i++)
        sum += is_listed(&report->tools->tools[i]) ? tool_bytes(&report->tools->tools[i]) : 0;
    return sum;
}

static const char *const part_names[PROMPT_PARTS] = {
    [PROMPT_IDENTITY] = "identity", [PROMPT_RULES] = "rules", [PROMPT_SKILLS] = "skills",
    [PROMPT_MEMORY] = "MEMORY",     [PROMPT_USER] = "USER",
};

static size_t total_bytes(const struct context_report *report)
{
    size_t sum = tools_bytes(report) + history_bytes(report);
    for (size_t i = 0; i < PROMPT_PARTS; i++)
        sum += report->prompt.bytes[i];
    return sum;
}

static void append_number(size_t number, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(32);
    entries_write_number(number, &text);
    buf_printf(out, "%*s", NUMBER_COLUMNS, buf_text(&text));
}

static void append_row(const char *name, size_t bytes, struct buf *out)
{
    buf_printf(out, "%-*.*s", NAME_COLUMNS, NAME_COLUMNS, name);
    append_number(bytes, out);
    append_number(tokens_of(bytes), out);
    buf_append_char(out, '\n');
}

static void append_prompt_rows(const struct prompt_parts *prompt, struct buf *out)
{
    char name[NAME_COLUMNS + 1];
    for (size_t i = 0; i < PROMPT_PARTS; i++) {
        bool identity = i == PROMPT_IDENTITY;
        snprintf(name, sizeof name, "%s%s%s%s", part_names[i], identity ? " (" : "",
                 identity ? prompt->identity : "", identity ? ")" : "");
        append_row(name, prompt->bytes[i], out);
    }
}

void context_render_text(const struct context_report *report, struct buf *out)
{
    char name[NAME_COLUMNS + 1];
    buf_printf(out, "%-*s%*s%*s\n", NAME_COLUMNS, "", NUMBER_COLUMNS, "bytes", NUMBER_COLUMNS,
               "~tokens");
    append_prompt_rows(&report->prompt, out);
    size_t listed = 0;
    for (size_t i = 0; i < report->tools->count; i++)
        listed += is_listed(&report->tools->tools[i]);
    snprintf(name, sizeof name, "tools (%zu)", listed);
    append_row(name, tools_bytes(report), out);
    for (size_t i = 0; i < report->tools->count; i++) {
        if (!is_listed(&report->tools->tools[i]))
            continue;
        snprintf(name, sizeof name, "  %s", report->tools->tools[i].name);
        append_row(name, tool_bytes(&report->tools->tools[i]), out);
    }
    if (report->history) {
        snprintf(name, sizeof name, "history (%zu)", report->history->count);
        append_row(name, history_bytes(report), out);
    }
    append_row("total", total_bytes(report), out);
    buf_append_text(out, "~ is bytes / 4, not a count\n");
    if (report->prompt_tokens < 0)
        return;
    buf_append_text(out, "the last prompt, counted: ");
    entries_write_number((uint64_t)report->prompt_tokens, out);
    buf_append_char(out, '\n');
}

static void write_sizes(struct node object, size_t bytes)
{
    node_add_int(object, "bytes", (int64_t)bytes);
    node_add_int(object, "approximate_tokens", (int64_t)tokens_of(bytes));
}

static void write_part(struct node parts, const char *name, const char *source, size_t bytes)
{
    struct node part = node_add_object(parts, NULL);
    node_add_text(part, "name", name);
    if (source)
        node_add_text(part, "source", source);
    write_sizes(part, bytes);
}

void context_render_json(const struct context_report *report, struct buf *out)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(REPORT_MAX);
    struct node root = document_object(&doc);
    struct node parts = node_add_array(root, "prompt");
    for (size_t i = 0; i < PROMPT_PARTS; i++)
        write_part(parts, part_names[i], i == PROMPT_IDENTITY ? report->prompt.identity : NULL,
                   report->prompt.bytes[i]);
    struct node tools = node_add_array(root, "tools");
    for (size_t i = 0; i < report->tools->count; i++)
        if (is_listed(&report->tools->tools[i]))
            write_part(tools, report->tools->tools[i].name, NULL,
                       tool_bytes(&report->tools->tools[i]));
    if (report->history) {
        struct node history = node_add_object(root, "history");
        node_add_int(history, "messages", (int64_t)report->history->count);
        write_sizes(history, history_bytes(report));
    }
    write_sizes(node_add_object(root, "total"), total_bytes(report));
    if (report->prompt_tokens < 0)
        node_add_null(root, "prompt_tokens");
    else
        node_add_int(root, "prompt_tokens", report->prompt_tokens);
    document_print(&doc, out, NULL);
}
