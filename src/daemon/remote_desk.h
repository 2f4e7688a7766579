#pragma once

#include "channels/console.h"
#include "loop/loop.h"

/*
 * The desk of another process: what console_backend wants, over the control socket of the one that
 * owns the home. One conversation, one answer at a time.
 */
struct remote_desk;

int remote_desk_create(struct loop *loop, const char *home, const char *chat,
                       struct remote_desk **ret_desk, struct error *err);
void remote_desk_destroy(struct remote_desk *desk); // without callbacks; accepts NULL
struct console_backend remote_desk_backend(struct remote_desk *desk);
