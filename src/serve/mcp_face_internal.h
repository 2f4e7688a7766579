#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "serve/mcp_face.h"

// What the files of the face share. Nobody else includes this.

struct mcp_face {
    struct mcp_server *server;
    const struct control_env *control;
    const struct mcp_serve_config *config;
    struct list works;     // that a call waits for
    struct list questions; // of them, those to the store
    uint64_t listed;       // hash of the tools as clients were told of them last
    loop_id look;          // whether they are others now
};

struct face_work {
    struct list link; // mcp_face::works
    struct mcp_face *face;
    mcp_call_id call;                       // 0: nobody waits any more
    void (*cancel)(struct face_work *work); // nobody waits any more
    char *text;                             // the URI that is read, the conversation; owned
};

// mcp_face_work.c
// `size` bytes that begin with a face_work.
void *face_work_begin(struct mcp_face *face, size_t size, mcp_call_id call,
                      void (*cancel)(struct face_work *work));
void face_work_end(struct face_work *work); // frees it

const struct agent_env *face_agent(const struct mcp_face *face);
void face_reply_text(struct mcp_face *face, mcp_call_id call, struct span text, bool failed);

void face_ask(struct mcp_face *face, const struct mcp_asked *asked);       // mcp_face_ask.c
void face_resources(struct mcp_face *face, const struct mcp_asked *asked); // mcp_face_resources.c
