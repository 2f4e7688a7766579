#include "mcp/param_headers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "net/http_field.h"

struct walk {
    struct span names[MCP_PARAM_HEADERS_MAX]; // with their quotes
    size_t count;
    char **lines;
    size_t line_count;
    struct error *err;
};

bool mcp_header_value(struct span text, struct buf *out)
{
    bool plain = span_printable(text) == text.len && span_trim(text).len == text.len &&
                 !(span_starts_with(text, "=?base64?") && span_ends_with(text, "?="));
    return plain ? buf_append_span(out, text)
                 : buf_append_text(out, "=?base64?") && base64_encode(text, out) &&
                       buf_append_text(out, "?=");
}

static int add_line(struct walk *walk, struct span name, struct json_value value)
{
    BUF_AUTO line = BUF_INIT(MCP_PARAM_VALUE_MAX);
    BUF_AUTO text = BUF_INIT(MCP_PARAM_VALUE_MAX);
    int64_t number;
    enum json_type type = json_type(value);
    if (type == JSON_ABSENT || type == JSON_NULL || type == JSON_ARRAY || type == JSON_OBJECT)
        return 0;
    if (json_int64(value, &number))
        buf_append_int(&text, number);
    else if (type != JSON_STRING)
        buf_append_span(&text, json_raw(value));
    else
        json_string(value, &text);
    buf_append_text(&line, "Mcp-Param-");
    buf_append(&line, name.data + 1, name.len - 2);
    buf_append_text(&line, ": ");
    mcp_header_value(buf_span(&text), &line);
    if (buf_is_full(&text) || buf_is_full(&line))
        return error_set(walk->err, -EMSGSIZE,
                         "an argument that goes into a header is longer than %d bytes",
                         MCP_PARAM_VALUE_MAX);
    walk->lines[walk->line_count++] = buf_take_text(&line);
    return 0;
}

static int refuse(struct walk *walk, const char *why)
{
    return error_set(walk->err, -EINVAL, "an x-mcp-header of its input schema %s", why);
}

static int add_name(struct walk *walk, struct json_value name, struct json_value schema)
{
    struct span raw = json_raw(name); // a token needs no escapes
    struct json_value type = json_get(schema, "type");
    if (json_type(name) != JSON_STRING || !http_is_token(span_make(raw.data + 1, raw.len - 2)))
        return refuse(walk, "is no name of a header");
    if (!json_is(type, "string") && !json_is(type, "integer") && !json_is(type, "boolean"))
        return refuse(walk, "is on a property that is neither string, integer nor boolean");
    if (walk->count == MCP_PARAM_HEADERS_MAX)
        return refuse(walk, "is one too many");
    for (size_t i = 0; i < walk->count; i++)
        if (http_same_name(walk->names[i], raw))
            return refuse(walk, "has the name of another");
    walk->names[walk->count++] = raw;
    return 0;
}

// `reached`: by keys of "properties" alone, so that there is one place in the arguments for it.
static int visit(struct walk *walk, struct json_value schema, struct json_value value, bool reached,
                 bool root)
{
    struct json_value name = json_get(schema, "x-mcp-header"), key, member;
    struct json_iter it = json_iter_init(schema);
    int r = 0;
    if (json_type(name) != JSON_ABSENT) {
        r = !reached || root ? refuse(walk, "is not on a property that is always the same one")
                             : add_name(walk, name, schema);
        if (r == 0)
            r = add_line(walk, json_raw(name), value);
    }
    while (r == 0 && json_iter_next(&it, &key, &member)) {
        if (!json_is(key, "properties")) {
            r = visit(walk, member, JSON_VALUE_ABSENT, false, false);
            continue;
        }
        struct json_value property, schema_of;
        struct json_iter properties = json_iter_init(member);
        while (r == 0 && json_iter_next(&properties, &property, &schema_of)) {
            CLEANUP(mem_cleanup) char *text = json_strdup(property, MCP_PARAM_VALUE_MAX);
            r = visit(walk, schema_of, text ? json_get(value, text) : JSON_VALUE_ABSENT, reached,
                      false);
        }
    }
    return r;
}

int mcp_param_headers(struct json_value schema, struct json_value arguments, char ***ret_lines,
                      struct error *err)
{
    struct walk walk = {.err = err};
    walk.lines = mem_zalloc((MCP_PARAM_HEADERS_MAX + 1) * sizeof *walk.lines);
    int r = visit(&walk, schema, arguments, true, true);
    if (r < 0)
        mcp_lines_free(walk.lines);
    else
        *ret_lines = walk.lines;
    return r;
}

void mcp_lines_free(char **lines)
{
    for (size_t i = 0; lines && lines[i]; i++)
        free(lines[i]);
    free(lines);
}
