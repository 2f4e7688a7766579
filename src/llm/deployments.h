#pragma once

#include "base/error.h"
#include "llm/options.h"
#include "llm/provider.h"

struct http_client;
struct loop;

/*
 * The provider of a configuration with a model_list: each request goes to the server that its
 * model's name means (endpoint.h), under the name that server knows. Servers are opened when they
 * are first asked; a name that means none is a failure of the request, whose sentence says why.
 * `config` is copied; its texts are borrowed and outlive the provider.
 */
void deployments_create(const struct llm_config *config, struct loop *loop,
                        struct http_client *http, struct chat_provider **ret_provider);
