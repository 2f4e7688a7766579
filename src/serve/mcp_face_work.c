#include <stdlib.h>

#include "agent/agent.h"
#include "base/mem.h"
#include "serve/control.h"
#include "serve/mcp_face_internal.h"

void *face_work_begin(struct mcp_face *face, size_t size, mcp_call_id call,
                      void (*cancel)(struct face_work *work))
{
    struct face_work *work = mem_zalloc(size);
    work->face = face;
    work->call = call;
    work->cancel = cancel;
    list_append(&face->works, &work->link);
    return work;
}

void face_work_end(struct face_work *work)
{
    list_remove(&work->link);
    free(work->text);
    free(work);
}

const struct agent_env *face_agent(const struct mcp_face *face)
{
    return agent_env(face->control->agent);
}

void face_reply_text(struct mcp_face *face, mcp_call_id call, struct span text, bool failed)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    struct node root = document_object(&doc);
    struct node content = node_add_object(node_add_array(root, "content"), NULL);
    node_add_text(content, "type", "text");
    node_add_string(content, "text", text);
    if (failed)
        node_add_bool(root, "isError", true);
    mcp_server_reply(face->server, call, &doc);
}
