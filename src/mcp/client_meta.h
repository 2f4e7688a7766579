#pragma once

#include "mcp/client_call.h"
#include "mcp/param_headers.h"
#include "mcp/rpc.h"

// The params that go out: those given, those of a round, _meta.
bool mcp_params_print(const struct mcp_client *client, const struct mcp_call *call, uint64_t wire,
                      struct buf *out);
void mcp_params_initialize(const struct mcp_client *client, struct buf *out);
char **mcp_lines_copy(const char *const *lines); // NULL of NULL
// What is shown of it in a sentence.
struct span mcp_shown(struct json_value value);
bool mcp_versions_have(struct json_value versions, const char *version);
int mcp_client_post(struct mcp_client *client, const char *method, struct span text,
                    struct error *err); // what nothing comes behind
void mcp_client_notify(struct mcp_client *client, const char *method, struct span params);
