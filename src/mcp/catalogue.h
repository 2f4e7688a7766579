#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codec/json.h"
#include "codec/sha256.h"
#include "mcp/server_config.h"
#include "tools/tool_source.h"

/*
 * The tools of one server, as it listed them, and which of them are offered. One that cannot be is
 * kept with the reason and costs no other its place. Definitions are pinned: a tool whose name,
 * description or parameters are not what the owner has taken once waits until they are accepted,
 * as what a model reads of a tool is an instruction to it.
 */
enum {
    MCP_TOOLS_MAX = 256,         // of one server
    MCP_TOOL_ORIGINAL_MAX = 128, // bytes of a name there (SEP-986)
    MCP_SCHEMA_DEPTH_MAX = 32,   // levels of a schema
    MCP_SCHEMA_PARTS_MAX = 4096, // members and elements of one
};

enum mcp_tool_state {
    MCP_TOOL_OFFERED,
    MCP_TOOL_CHANGED,    // waits for the owner
    MCP_TOOL_EXCLUDED,   // by the configuration
    MCP_TOOL_QUARANTINED // cannot be offered: `why`
};

// What a call of it asks the server for.
enum mcp_tool_kind {
    MCP_KIND_TOOL, // tools/call
    MCP_KIND_LIST_RESOURCES,
    MCP_KIND_READ_RESOURCE,
    MCP_KIND_LIST_PROMPTS,
    MCP_KIND_GET_PROMPT,
};

struct mcp_tool {
    enum mcp_tool_kind kind;
    char name[TOOL_NAME_MAX + 1]; // that models use
    char *original;               // that its server uses
    char *description;            // without what nobody sees
    char *parameters;             // the schema's own bytes, but for what no model needs
    char hash[SHA256_HEX_SIZE];   // of its definition
    unsigned flags;               // enum tool_flags
    enum mcp_tool_state state;
    const char *why;
    // While it waits: how it was accepted. NULL: not known any more.
    char *was_description, *was_parameters;
    bool mirrored; // some of its arguments go into headers (x-mcp-header)
};

struct mcp_catalogue {
    struct mcp_tool *tools;
    size_t count, capacity;
    bool cut; // the server has more than MCP_TOOLS_MAX
};

void mcp_catalogue_finish(struct mcp_catalogue *catalogue); // accepts zeroed

// Adds the tools of a page of tools/list. What is no list adds nothing.
void mcp_catalogue_add(struct mcp_catalogue *catalogue, const struct mcp_server_config *config,
                       struct json_value result);

// The resources and prompts that a server has are tools as well, unless it has some of these names.
void mcp_catalogue_add_utilities(struct mcp_catalogue *catalogue,
                                 const struct mcp_server_config *config, bool resources,
                                 bool prompts);

struct mcp_tool *mcp_catalogue_find(const struct mcp_catalogue *catalogue, const char *name);

/*
 * Pins as text: {"tool": ["hash", "description", {parameters}], ...}, and "hash" alone where the
 * room is needed for others. What has no pin is pinned as it is; what has another waits,
 * unless `accept`. Tools that are gone keep theirs, so that they cannot come back changed.
 * Appends the new text to `out` (absent `pins`: there were none). Returns how many wait.
 */
size_t mcp_catalogue_pin(struct mcp_catalogue *catalogue, struct span pins, bool accept,
                         struct buf *out);
