#pragma once

#include "channels/console.h"
#include "loop/loop.h"

/*
 * A conversation with the process that owns the home: what console_backend wants, over the control
 * socket. One answer at a time.
 */
struct remote_conversation;

int remote_conversation_create(struct loop *loop, const char *home, const char *chat,
                               struct remote_conversation **ret_conversation, struct error *err);
// Without callbacks; accepts NULL.
void remote_conversation_destroy(struct remote_conversation *conversation);
struct console_backend remote_conversation_backend(struct remote_conversation *conversation);
