#include "mcp/content.h"

#include "base/mem.h"
#include "codec/base64.h"
#include "mcp/rpc.h"

enum { NAME_MAX_BYTES = 200 }; // of a type or URI in a line

static void append_name(struct json_value text, const char *fallback, struct buf *out)
{
    CLEANUP(mem_cleanup) char *name = json_strdup(text, NAME_MAX_BYTES);
    buf_append_text(out, name && *name ? name : fallback);
}

static void begin_part(struct buf *out)
{
    if (out->len)
        buf_append_char(out, '\n');
}

void mcp_media_finish(struct mcp_media *media)
{
    while (media->count)
        buf_finish(&media->bytes[--media->count]);
    media->size = 0;
}

// NULL: it is kept; or why not.
static const char *keep(struct json_value data, struct mcp_media *media)
{
    BUF_AUTO text = BUF_INIT(RPC_MESSAGE_MAX);
    BUF_AUTO bytes = BUF_INIT(RPC_MESSAGE_MAX);
    if (media->count == TOOL_PARTS_MAX)
        return "not shown, as there are more than 8";
    if (!json_string(data, &text) || !base64_decode(buf_span(&text), &bytes))
        return "not shown, as its data is no base64";
    if (bytes.len > TOOL_PART_MAX)
        return "not shown, as it is larger than 3840 KiB";
    if (bytes.len > TOOL_PARTS_BYTES - media->size)
        return "not shown, as all of them are larger than 6 MiB";
    const struct media_type *type = media_type_of(buf_span(&bytes));
    if (!type)
        return "not shown, as it is no PNG, JPEG, GIF, WebP, WAV, MP3, Ogg or FLAC";
    media->size += bytes.len;
    media->bytes[media->count] = bytes;
    media->parts[media->count++] = (struct tool_part){type, buf_span(&bytes)};
    bytes = (struct buf)BUF_INIT(0);
    return NULL;
}

// Base64 has four characters for three bytes.
static void append_blob(const char *kind, struct json_value type, struct json_value data,
                        struct buf *out, struct mcp_media *media)
{
    const char *why = keep(data, media);
    buf_printf(out, "[%s, ", kind);
    if (why)
        append_name(type, "of an unknown type", out);
    else
        buf_append_text(out, media->parts[media->count - 1].type->name);
    buf_printf(out, ", %zu bytes%s%s]",
               why ? json_raw(data).len / 4 * 3 : media->parts[media->count - 1].bytes.len,
               why ? ": " : "", why ? why : "");
}

static void append_resource(struct json_value resource, struct buf *out, struct mcp_media *media)
{
    struct json_value text = json_get(resource, "text");
    buf_append_char(out, '[');
    append_name(json_get(resource, "uri"), "a resource", out);
    buf_append_text(out, "]\n");
    if (json_type(text) == JSON_STRING)
        json_string(text, out);
    else
        append_blob("a file", json_get(resource, "mimeType"), json_get(resource, "blob"), out,
                    media);
}

static void append_link(struct json_value link, struct buf *out)
{
    buf_append_text(out, "[resource ");
    append_name(json_get(link, "uri"), "without a URI", out);
    buf_append_text(out, ": ");
    append_name(json_get(link, "name"), "no name", out);
    buf_append_char(out, ']');
}

static void append_part(struct json_value part, struct buf *out, struct mcp_media *media)
{
    struct json_value type = json_get(part, "type");
    begin_part(out);
    if (json_is(type, "text"))
        json_string(json_get(part, "text"), out);
    else if (json_is(type, "image") || json_is(type, "audio"))
        append_blob(json_is(type, "image") ? "an image" : "sound", json_get(part, "mimeType"),
                    json_get(part, "data"), out, media);
    else if (json_is(type, "resource"))
        append_resource(json_get(part, "resource"), out, media);
    else if (json_is(type, "resource_link"))
        append_link(part, out);
    else {
        buf_append_text(out, "[content of the unknown type ");
        append_name(type, "that was not said", out);
        buf_append_char(out, ']');
    }
}

static void append_message(struct json_value message, struct buf *out, struct mcp_media *media)
{
    begin_part(out);
    append_name(json_get(message, "role"), "somebody", out);
    buf_append_char(out, ':');
    append_part(json_get(message, "content"), out, media);
}

void mcp_content_append(struct json_value result, struct buf *out, struct mcp_media *media)
{
    struct json_value each, structured = json_get(result, "structuredContent");
    struct json_iter parts = json_iter_init(json_get(result, "content"));
    struct json_iter resources = json_iter_init(json_get(result, "contents"));
    struct json_iter messages = json_iter_init(json_get(result, "messages"));
    while (json_iter_next(&parts, NULL, &each))
        append_part(each, out, media);
    while (json_iter_next(&resources, NULL, &each)) {
        begin_part(out);
        append_resource(each, out, media);
    }
    while (json_iter_next(&messages, NULL, &each))
        append_message(each, out, media);
    if (out->len == 0 && json_type(structured) != JSON_ABSENT)
        buf_append_span(out, json_raw(structured));
}

static void append_text(const char *before, struct json_value text, const char *behind,
                        struct buf *out)
{
    if (json_type(text) != JSON_STRING)
        return;
    buf_append_text(out, before);
    json_string(text, out);
    buf_append_text(out, behind);
}

static void append_argument(struct json_value argument, struct buf *out)
{
    bool required = false;
    json_bool(json_get(argument, "required"), &required);
    append_text("\n  ", json_get(argument, "name"), required ? " (required)" : "", out);
    append_text(": ", json_get(argument, "description"), "", out);
}

void mcp_list_append(struct json_value result, struct buf *out)
{
    struct json_value each, argument;
    struct json_iter resources = json_iter_init(json_get(result, "resources"));
    struct json_iter prompts = json_iter_init(json_get(result, "prompts"));
    while (json_iter_next(&resources, NULL, &each)) {
        begin_part(out);
        append_text("", json_get(each, "uri"), "", out);
        append_text(" (", json_get(each, "mimeType"), ")", out);
        append_text(": ", json_get(each, "name"), "", out);
        append_text("; ", json_get(each, "description"), "", out);
    }
    while (json_iter_next(&prompts, NULL, &each)) {
        begin_part(out);
        append_text("", json_get(each, "name"), "", out);
        append_text(": ", json_get(each, "description"), "", out);
        struct json_iter arguments = json_iter_init(json_get(each, "arguments"));
        while (json_iter_next(&arguments, NULL, &argument))
            append_argument(argument, out);
    }
}

bool mcp_result_failed(struct json_value result)
{
    bool failed = false;
    json_bool(json_get(result, "isError"), &failed);
    return failed;
}
