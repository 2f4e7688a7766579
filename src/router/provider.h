#pragma once

#include "llm/options.h"
#include "llm/provider.h"

struct loop;
struct router;

/*
 * The agent's way through the router: a chat_request becomes the body of a call like any client's,
 * and its bytes become a chat_reply again. The built-in offline model is asked directly, since it
 * costs nothing and cannot be away. `config` is copied; its texts are borrowed and outlive the
 * provider.
 */
void router_provider_create(struct router *router, const struct llm_config *config,
                            struct loop *loop, struct chat_provider **ret_provider);
