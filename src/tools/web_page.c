#include "tools/web_page.h"

#include <errno.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/html_text.h"
#include "codec/json_write.h"
#include "tools/excerpt.h"
#include "tools/tool_process.h"

enum {
    TEXT_MAX = 2 << 20,      // bytes of a whole page's text
    BINARY_PROBE = 8 * 1024, // bytes that are looked at for a NUL
    SNIFF_MAX = 512,         // bytes in which a page without a type says that it is HTML
    MEMORY_PER_BYTE = 2,     // of the page: it is kept once, in a buffer that doubles as it grows
    HEADER_MAX = 64 * 1024,  // bytes of what stands before the body
};

static struct span essence_of(struct span type) // without its parameters
{
    return span_trim(span_cut(&type, ';'));
}

static bool is_type(struct span type, const char *name)
{
    return type.len == strlen(name) && strncasecmp(type.data, name, type.len) == 0;
}

static bool ends_with(struct span type, const char *end)
{
    size_t len = strlen(end);
    return type.len > len && strncasecmp(type.data + type.len - len, end, len) == 0;
}

bool web_page_is_text(struct span type)
{
    static const char *const names[] = {
        "application/json",       "application/xml",   "application/javascript",
        "application/ecmascript", "application/yaml",  "application/x-yaml",
        "application/toml",       "application/x-sh",  "application/x-ndjson",
        "application/graphql",    "application/jsonl", "application/x-javascript",
        "application/x-sql",      "application/sql",   "application/x-latex",
        "message/rfc822",
    };
    type = essence_of(type);
    if (type.len == 0 || (type.len > 5 && strncasecmp(type.data, "text/", 5) == 0) ||
        ends_with(type, "+json") || ends_with(type, "+xml") || ends_with(type, "+yaml"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_type(type, names[i]))
            return true;
    return false;
}

int web_page_start(struct processes *processes, const char *directory, uint64_t flow,
                   const struct web_page *page, const struct process_events *events, void *context,
                   process_id *ret_id, struct error *err)
{
    BUF_AUTO request = BUF_INIT(PROCESS_INPUT_MAX);
    struct json_writer w;
    json_writer_init(&w, &request);
    json_write_object_begin(&w);
    json_write_member_string(&w, "type", page->type);
    json_write_member_string(&w, "url", page->url);
    json_write_member_int(&w, "characters", page->characters);
    json_write_member_int(&w, "bytes", page->bytes);
    json_write_object_end(&w);
    buf_append_char(&request, '\n');
    buf_append_span(&request, page->body);
    if (!json_write_done(&w) || buf_is_full(&request))
        return error_set(err, -E2BIG, "the page is too large");
    struct process_spec spec = {
        .function = web_page_function.name,
        .directory = directory,
        .flow = flow,
        .limits = {.wall_ms = TOOL_PROCESS_TIME_MAX_MS,
                   .cpu_s = TOOL_PROCESS_CPU_MAX_S,
                   .memory = TOOL_PROCESS_MEMORY + MEMORY_PER_BYTE * (int64_t)request.len,
                   .file_size = 1},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER, .bytes = buf_span(&request)},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = TOOL_PROCESS_OUTPUT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    return process_start(processes, &spec, events, context, ret_id, err);
}

/* In its process */

static bool is_html(struct span type, struct span body)
{
    type = essence_of(type);
    if (type.len)
        return is_type(type, "text/html") || is_type(type, "application/xhtml+xml");
    for (size_t i = 0; i + 5 < body.len && i < SNIFF_MAX; i++)
        if (strncasecmp(body.data + i, "<html", 5) == 0 ||
            strncasecmp(body.data + i, "<!doct", 6) == 0)
            return true;
    return false;
}

static void append_plain(enum charset charset, struct span text, struct buf *out)
{
    while (text.len && !buf_is_full(out)) {
        uint32_t rune;
        size_t len = charset_decode(charset, text, &rune);
        charset_append(rune, out);
        text = span_skip(text, len);
    }
}

static int read_page(struct span type, struct span url, struct span body, struct buf *text,
                     struct error *err)
{
    enum charset charset = html_charset(body, type);
    size_t probe = body.len < BINARY_PROBE ? body.len : BINARY_PROBE;
    if (charset == CHARSET_UTF16)
        return error_set(err, -EILSEQ, "its text is UTF-16, which this tool does not read");
    if (probe && memchr(body.data, '\0', probe))
        return error_set(err, -EILSEQ, "it is not a text, whatever its type says");
    if (is_html(type, body))
        html_text(&(struct html_page){body, charset, url}, text);
    else
        append_plain(charset, body, text);
    return 0;
}

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    (void)directory_fd;
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO type = BUF_INIT(HEADER_MAX);
    BUF_AUTO url = BUF_INIT(HEADER_MAX);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    struct span body = request, header = span_cut(&body, '\n');
    int64_t characters = 0, bytes = 0;
    int r = json_parse(&doc, header, err);
    if (r < 0)
        return r;
    struct json_value root = json_root(&doc);
    if (!json_string(json_get(root, "type"), &type) || !json_string(json_get(root, "url"), &url) ||
        !json_int64(json_get(root, "characters"), &characters) || characters < 0 ||
        !json_int64(json_get(root, "bytes"), &bytes) || bytes < 0)
        return error_set(err, -EINVAL, "no such request");
    r = read_page(buf_span(&type), buf_span(&url), body, &text, err);
    if (r < 0)
        return r;
    if (span_trim(buf_span(&text)).len == 0)
        buf_append_text(out, "[the page holds no text]");
    if (excerpt_append(span_trim(buf_span(&text)), (size_t)characters, (size_t)bytes, out) &&
        characters < bytes && characters < WEB_PAGE_CHARACTERS_MAX)
        buf_printf(out, "\n[char_limit was %d; it may be up to %d]", (int)characters,
                   WEB_PAGE_CHARACTERS_MAX);
    if (buf_is_full(&text))
        buf_printf(out, "\n[only the first %d MiB of its text were looked at]", TEXT_MAX >> 20);
    return 0;
}

const struct process_function web_page_function = {
    .name = "page",
    .run = work,
    .answer_max = TOOL_PROCESS_OUTPUT_MAX,
};
