// Sessions, as the control socket tells them, and the memory files, as they lie in the home.
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/entries.h"
#include "mcp/rpc.h"
#include "serve/control_internal.h"
#include "serve/mcp_face_internal.h"

static const char sessions_uri[] = "hermes://sessions/", memories_uri[] = "hermes://memories/";

static const struct {
    const char *file, *description;
} memories[] = {
    {"MEMORY.md", "What Hermes has noted for itself"},
    {"USER.md", "What Hermes knows of its user"},
};

static void add_resource(struct node list, const char *uri, const char *name,
                         const char *description, const char *type)
{
    struct node resource = node_add_object(list, NULL);
    node_add_text(resource, "uri", uri);
    node_add_text(resource, "name", name);
    if (description)
        node_add_text(resource, "description", description);
    node_add_text(resource, "mimeType", type);
}

static int read_memory(const struct mcp_face *face, const char *file, struct buf *text)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/memories/%s", face->control->home, file);
    return fd_read_file(path, text, NULL);
}

static void reply_content(struct mcp_face *face, mcp_call_id call, const char *uri,
                          const char *type, struct span text)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(2 * (size_t)MCP_ANSWER_MAX);
    struct node root = document_object(&doc);
    struct node content = node_add_object(node_add_array(root, "contents"), NULL);
    node_add_text(content, "uri", uri);
    node_add_text(content, "mimeType", type);
    node_add_string(content, "text", text);
    mcp_server_reply(face->server, call, &doc);
}

static void reply_list(struct mcp_face *face, mcp_call_id call, struct node sessions)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    struct node list = node_add_array(document_object(&doc), "resources");
    for (size_t i = 0; i < ARRAY_LEN(memories); i++) {
        BUF_AUTO text = BUF_INIT(ENTRIES_FILE_MAX);
        CLEANUP(mem_cleanup) char *uri = mem_printf("%s%s", memories_uri, memories[i].file);
        if (read_memory(face, memories[i].file, &text) == 0)
            add_resource(list, uri, memories[i].file, memories[i].description, "text/markdown");
    }
    for (struct node it = node_first(sessions); it.doc; it = node_next(it)) {
        const char *id = node_text(node_get(it, "id")), *title = node_text(node_get(it, "title"));
        CLEANUP(mem_cleanup) char *uri = mem_printf("%s%s", sessions_uri, id ? id : "");
        add_resource(list, uri, title ? title : id, node_text(node_get(it, "channel")),
                     "application/json");
    }
    mcp_server_reply(face->server, call, &doc);
}

// `work->text` is the URI, or NULL for the list of all.
static void on_told(void *context, unsigned status, struct span body)
{
    struct face_work *work = context;
    struct mcp_face *face = work->face;
    mcp_call_id call = work->call; // 0: nobody waits any more
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    bool readable = status == 200 && work->text ? true : document_read(&doc, body, NULL) == 0;
    const char *error = node_text(node_get(document_root(&doc), "error"));
    if (status == 200 && work->text)
        reply_content(face, call, work->text, "application/json", span_trim(body));
    else if (status == 200 && readable)
        reply_list(face, call, node_get(document_root(&doc), "sessions"));
    else if (status == 404)
        mcp_server_fail_unknown(face->server, call);
    else
        mcp_server_fail(face->server, call, RPC_INTERNAL_ERROR,
                        error ? error : "the sessions cannot be read", SPAN_ABSENT);
    face_work_end(work);
}

static void forget(struct face_work *work)
{
    work->call = 0; // the store's answer is still to come
}

static void ask_control(struct mcp_face *face, const struct mcp_asked *asked, const char *path)
{
    struct face_work *work = face_work_begin(face, sizeof *work, asked->call, forget);
    if (asked->verb == MCP_READ_RESOURCE)
        work->text = mem_strdup(asked->name);
    struct control_question question = {
        .env = face->control,
        .method = SPAN_LITERAL("GET"),
        .path = span_of(path),
        .waiting = &face->questions,
        .done = on_told,
        .context = work,
    };
    control_ask(&question);
}

static void read_resource(struct mcp_face *face, const struct mcp_asked *asked)
{
    struct span uri = span_of(asked->name);
    if (span_starts_with(uri, sessions_uri) && uri.len > strlen(sessions_uri)) {
        CLEANUP(mem_cleanup)
        char *path = mem_printf("/sessions/%s", asked->name + strlen(sessions_uri));
        ask_control(face, asked, path);
        return;
    }
    for (size_t i = 0; span_starts_with(uri, memories_uri) && i < ARRAY_LEN(memories); i++) {
        BUF_AUTO text = BUF_INIT(ENTRIES_FILE_MAX);
        if (span_is(span_skip(uri, strlen(memories_uri)), memories[i].file) &&
            read_memory(face, memories[i].file, &text) == 0) {
            reply_content(face, asked->call, asked->name, "text/markdown", buf_span(&text));
            return;
        }
    }
    mcp_server_fail_unknown(face->server, asked->call);
}

void face_resources(struct mcp_face *face, const struct mcp_asked *asked)
{
    if (asked->verb == MCP_LIST_RESOURCES) {
        ask_control(face, asked, "/sessions");
    } else if (asked->verb == MCP_READ_RESOURCE) {
        read_resource(face, asked);
    } else { // the templates
        DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
        struct node list = node_add_array(document_object(&doc), "resourceTemplates");
        struct node one = node_add_object(list, NULL);
        node_add_text(one, "uriTemplate", "hermes://sessions/{id}");
        node_add_text(one, "name", "session");
        node_add_text(one, "mimeType", "application/json");
        mcp_server_reply(face->server, asked->call, &doc);
    }
}
