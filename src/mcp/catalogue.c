#include "mcp/catalogue.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/utf8.h"
#include "mcp/param_headers.h"
#include "mcp/tool_name.h"

void mcp_catalogue_finish(struct mcp_catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        free(catalogue->tools[i].original);
        free(catalogue->tools[i].description);
        free(catalogue->tools[i].parameters);
        free(catalogue->tools[i].was_description);
        free(catalogue->tools[i].was_parameters);
    }
    free(catalogue->tools);
    *catalogue = (struct mcp_catalogue){0};
}

struct mcp_tool *mcp_catalogue_find(const struct mcp_catalogue *catalogue, const char *name)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->tools[i].name, name) == 0)
            return &catalogue->tools[i];
    return NULL;
}

/* Schemas */

// False: too deep, or of too many parts.
static bool is_bounded(struct json_value value, unsigned depth, unsigned *parts)
{
    struct json_iter it = json_iter_init(value);
    struct json_value inner;
    if (depth == MCP_SCHEMA_DEPTH_MAX)
        return false;
    while (json_iter_next(&it, NULL, &inner))
        if (++*parts > MCP_SCHEMA_PARTS_MAX || !is_bounded(inner, depth + 1, parts))
            return false;
    return true;
}

static bool is_noise(struct json_value key)
{
    return json_is(key, "$schema") || json_is(key, "title") || json_is(key, "_meta") ||
           json_is(key, "type");
}

// The root says "object", as providers demand; everything in it stays as it is.
static char *project(struct json_value schema)
{
    BUF_AUTO out = BUF_INIT(TOOL_PARAMETERS_MAX);
    struct json_iter it = json_iter_init(schema);
    struct json_value key, value;
    buf_append_text(&out, "{\"type\":\"object\"");
    while (json_iter_next(&it, &key, &value))
        if (!is_noise(key)) {
            buf_append_char(&out, ',');
            buf_append_span(&out, json_raw(key));
            buf_append_char(&out, ':');
            buf_append_span(&out, json_raw(value));
        }
    buf_append_char(&out, '}');
    return buf_is_full(&out) ? NULL : buf_take_text(&out);
}

static const char *fault_of_schema(struct json_value schema)
{
    unsigned parts = 0;
    struct json_value type = json_get(schema, "type");
    struct json_value properties = json_get(schema, "properties");
    if (json_type(schema) != JSON_OBJECT)
        return "its inputSchema is no object";
    if (json_type(type) != JSON_ABSENT && !json_is(type, "object"))
        return "its inputSchema is not of type \"object\"";
    if (json_type(properties) != JSON_ABSENT && json_type(properties) != JSON_OBJECT)
        return "the \"properties\" of its inputSchema are no object";
    if (!is_bounded(schema, 0, &parts))
        return "its inputSchema is too deep, or of too many parts";
    return NULL;
}

/* Descriptions */

// Without tag characters, which only models see, and controls; cut where it is too long.
static char *readable(struct json_value text)
{
    BUF_AUTO out = BUF_INIT(TOOL_DESCRIPTION_MAX);
    struct span raw = json_raw(text);
    if (json_type(text) != JSON_STRING)
        return mem_strdup("");
    raw = span_make(raw.data + 1, raw.len - 2);
    while (raw.len) {
        char character[UTF8_BYTES_MAX];
        uint32_t rune = json_next_rune(&raw);
        bool hidden = (rune >= 0xE0000 && rune <= 0xE007F) || rune == 0;
        if (hidden || (rune_is_unsafe(rune) && rune != '\n' && rune != '\t'))
            continue;
        if (!buf_append(&out, character, utf8_encode(rune, character)))
            break;
    }
    return out.len ? buf_take_text(&out) : mem_strdup("");
}

/* What a server says of its tools counts only as far as it is trusted; see docs/mcp.md. */

static bool hint(struct json_value annotations, const char *name, bool fallback)
{
    bool value = fallback;
    json_bool(json_get(annotations, name), &value);
    return value;
}

static unsigned flags_of(const struct mcp_server_config *config, struct json_value annotations)
{
    bool reads = hint(annotations, "readOnlyHint", false);
    bool idempotent = hint(annotations, "idempotentHint", false);
    bool destroys = !reads && hint(annotations, "destructiveHint", true);
    unsigned flags = TOOL_FOUND | TOOL_UNATTENDED | TOOL_KEEPS;
    flags |= reads ? TOOL_READS : TOOL_WRITES;
    if (reads || idempotent)
        flags |= TOOL_REPEATABLE;
    if (!reads || !config->trusted)
        flags |= TOOL_NETWORK;
    if (!config->trusted)
        flags |= TOOL_FOREIGN;
    if (config->trusted ? destroys : !reads)
        flags |= TOOL_NEEDS_APPROVAL;
    return flags;
}

static bool is_among(const struct mcp_texts *globs, const char *name)
{
    for (size_t i = 0; i < globs->count; i++)
        if (fnmatch(globs->texts[i], name, 0) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct mcp_server_config *config, const char *name)
{
    return config->include.count ? is_among(&config->include, name)
                                 : !is_among(&config->exclude, name);
}

static void hash_definition(struct mcp_tool *tool, struct json_value listed)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, json_raw(json_get(listed, "name")));
    sha256_add(&hash, json_raw(json_get(listed, "description")));
    sha256_add(&hash, json_raw(json_get(listed, "inputSchema")));
    sha256_end_hex(&hash, tool->hash);
}

static void keep(struct mcp_catalogue *catalogue, const struct mcp_tool *tool)
{
    catalogue->tools = mem_grow(catalogue->tools, catalogue->count, &catalogue->capacity,
                                sizeof *catalogue->tools);
    catalogue->tools[catalogue->count++] = *tool;
}

// Members are strings and objects, so their bytes cannot run into each other.
static void add_tool(struct mcp_catalogue *catalogue, const struct mcp_server_config *config,
                     struct json_value listed)
{
    struct json_value schema = json_get(listed, "inputSchema");
    char **lines = NULL;
    struct mcp_tool tool = {.original =
                                json_strdup(json_get(listed, "name"), MCP_TOOL_ORIGINAL_MAX)};
    if (!tool.original || !*tool.original) {
        free(tool.original);
        return; // nobody could call it
    }
    mcp_tool_name(config->name, span_of(tool.original), tool.name);
    tool.description = readable(json_get(listed, "description"));
    tool.flags = flags_of(config, json_get(listed, "annotations"));
    tool.why = fault_of_schema(schema);
    tool.parameters = tool.why ? NULL : project(schema);
    if (!tool.why && !tool.parameters)
        tool.why = "its inputSchema is too long";
    if (!tool.why && json_is(json_get(json_get(listed, "execution"), "taskSupport"), "required"))
        tool.why = "it can only be called as a task, which is not supported";
    if (!tool.why && mcp_catalogue_find(catalogue, tool.name)) {
        tool.why = "the server has two of that name";
        free(STEAL(tool.parameters));
    }
    if (!tool.why && config->url && mcp_param_headers(schema, JSON_VALUE_ABSENT, &lines, NULL) < 0)
        tool.why = "its x-mcp-header annotations cannot be obeyed";
    mcp_lines_free(lines);
    tool.mirrored = tool.parameters && config->url &&
                    span_find(span_of(tool.parameters), SPAN_LITERAL("\"x-mcp-header\"")) >= 0;
    tool.state = tool.why                           ? MCP_TOOL_QUARANTINED
                 : is_wanted(config, tool.original) ? MCP_TOOL_OFFERED
                                                    : MCP_TOOL_EXCLUDED;
    hash_definition(&tool, listed);
    keep(catalogue, &tool);
}

void mcp_catalogue_add(struct mcp_catalogue *catalogue, const struct mcp_server_config *config,
                       struct json_value result)
{
    struct json_iter it = json_iter_init(json_get(result, "tools"));
    struct json_value listed;
    while (json_iter_next(&it, NULL, &listed)) {
        catalogue->cut = catalogue->count == MCP_TOOLS_MAX;
        if (catalogue->cut)
            return;
        add_tool(catalogue, config, listed);
    }
}

static const struct {
    enum mcp_tool_kind kind;
    const char *name, *description, *parameters;
} utilities[] = {
    {MCP_KIND_LIST_RESOURCES, "list_resources",
     "Lists the resources of the server, with their URIs",
     "{\"type\":\"object\",\"properties\":{}}"},
    {MCP_KIND_READ_RESOURCE, "read_resource", "Reads a resource of the server",
     "{\"type\":\"object\",\"properties\":{\"uri\":{\"type\":\"string\",\"description\":"
     "\"As list_resources has it\"}},\"required\":[\"uri\"]}"},
    {MCP_KIND_LIST_PROMPTS, "list_prompts", "Lists the prompts of the server, with their arguments",
     "{\"type\":\"object\",\"properties\":{}}"},
    {MCP_KIND_GET_PROMPT, "get_prompt", "Shows a prompt of the server, filled in",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"arguments\":"
     "{\"type\":\"object\",\"description\":\"Texts by name\"}},\"required\":[\"name\"]}"},
};

void mcp_catalogue_add_utilities(struct mcp_catalogue *catalogue,
                                 const struct mcp_server_config *config, bool resources,
                                 bool prompts)
{
    for (size_t i = 0; i < ARRAY_LEN(utilities); i++) {
        struct mcp_tool tool = {.kind = utilities[i].kind, .state = MCP_TOOL_OFFERED};
        bool of_prompts = tool.kind >= MCP_KIND_LIST_PROMPTS;
        mcp_tool_name(config->name, span_of(utilities[i].name), tool.name);
        if (!(of_prompts ? prompts : resources) || mcp_catalogue_find(catalogue, tool.name))
            continue;
        tool.original = mem_strdup(utilities[i].name);
        tool.description = mem_strdup(utilities[i].description);
        tool.parameters = mem_strdup(utilities[i].parameters);
        tool.flags = TOOL_FOUND | TOOL_UNATTENDED | TOOL_READS | TOOL_REPEATABLE | TOOL_KEEPS |
                     (config->trusted ? 0 : TOOL_NETWORK);
        keep(catalogue, &tool);
    }
}

/* Pins */

// Half of the room is for hashes.
static void write_pin(struct json_writer *w, const struct mcp_tool *tool)
{
    size_t len = strlen(tool->description) + strlen(tool->parameters);
    if (w->out->len + len > w->out->max / 2) {
        json_write_text(w, tool->hash);
        return;
    }
    json_write_array_begin(w);
    json_write_text(w, tool->hash);
    json_write_text(w, tool->description);
    json_write_raw(w, span_of(tool->parameters));
    json_write_array_end(w);
}

static void compare_with_pin(struct mcp_tool *tool, struct json_value pin, bool same)
{
    struct span parameters = json_raw(json_at(pin, 2));
    CLEANUP(mem_cleanup)
    char *description = json_strdup(json_at(pin, 1), TOOL_DESCRIPTION_MAX);
    free(STEAL(tool->was_description));
    free(STEAL(tool->was_parameters));
    if (tool->state <= MCP_TOOL_CHANGED)
        tool->state = same ? MCP_TOOL_OFFERED : MCP_TOOL_CHANGED;
    if (same || !description || !parameters.len)
        return;
    tool->was_description = STEAL(description);
    tool->was_parameters = mem_strndup(parameters.data, parameters.len);
}

// What was made here needs none, and what cannot be called has nothing to hide.
static bool is_pinned(const struct mcp_tool *tool)
{
    return tool->kind == MCP_KIND_TOOL && tool->parameters;
}

static struct mcp_tool *find_original(struct mcp_catalogue *catalogue, struct json_value name)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (is_pinned(&catalogue->tools[i]) && json_is(name, catalogue->tools[i].original))
            return &catalogue->tools[i];
    return NULL;
}

size_t mcp_catalogue_pin(struct mcp_catalogue *catalogue, struct span pins, bool accept,
                         struct buf *out)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_writer w;
    struct json_value known, name, pin;
    size_t waiting = 0;
    bool any = pins.len && json_parse(&doc, pins, NULL) == 0;
    known = any ? json_root(&doc) : JSON_VALUE_ABSENT;
    struct json_iter it = json_iter_init(known);
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    while (json_iter_next(&it, &name, &pin)) {
        BUF_AUTO text = BUF_INIT(MCP_TOOL_ORIGINAL_MAX);
        struct json_value hash = json_type(pin) == JSON_ARRAY ? json_at(pin, 0) : pin;
        struct mcp_tool *tool = find_original(catalogue, name);
        bool same = tool && (accept || json_is(hash, tool->hash));
        json_string(name, &text);
        json_write_key_span(&w, buf_span(&text));
        if (same)
            write_pin(&w, tool);
        else
            json_write_raw(&w, json_raw(pin));
        if (tool)
            compare_with_pin(tool, pin, same);
        waiting += tool && tool->state == MCP_TOOL_CHANGED;
    }
    for (size_t i = 0; i < catalogue->count; i++)
        if (is_pinned(&catalogue->tools[i]) &&
            json_type(json_get(known, catalogue->tools[i].original)) == JSON_ABSENT) {
            json_write_key(&w, catalogue->tools[i].original);
            write_pin(&w, &catalogue->tools[i]);
        }
    json_write_object_end(&w);
    return waiting;
}
