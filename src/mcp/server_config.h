#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/option.h"
#include "mcp/client.h"

/*
 * One entry of `mcp_servers`, in the words that users of hermes-agent and others have in their
 * files. It owns all of its texts, so that a reload leaves a server alone whose entry did not
 * change.
 */
enum {
    MCP_SERVERS_MAX = 32,
    MCP_SERVER_NAME_MAX = 32, // bytes; a tool's name must fit behind it
    MCP_ARGUMENTS_MAX = 128,  // of a program, and of its environment
    MCP_GLOBS_MAX = 128,      // of tools that are included, or left out
    MCP_PATHS_MAX = 32,       // that a sandboxed program may read, or write
};

struct mcp_texts { // up to NULL
    char **texts;
    size_t count;
};

void mcp_texts_add(struct mcp_texts *list, char *text); // which becomes the list's
void mcp_texts_finish(struct mcp_texts *list);

struct mcp_server_config {
    char *name;
    char *spelled;                     // all of the entry: two that are equal are spelled alike
    char *url;                         // NULL: a program
    struct mcp_texts argv;             // of that
    struct mcp_texts environment;      // of it, or of header_argv: "NAME=value"
    struct mcp_texts headers;          // "Name: value"
    struct mcp_texts header_files;     // "Name: path" of a file with the value
    struct mcp_texts header_argv;      // prints "Name: value" lines, again after a 401
    struct mcp_texts include, exclude; // globs of tools' own names
    char *directory;                   // of the program; NULL: the workspace
    enum mcp_way way;
    enum mcp_era era;
    bool enabled, lazy, parallel;
    bool resources, prompts; // what it has of them is offered as tools
    bool trusted; // what it says of its own tools is believed: what only reads may be called always
    int64_t timeout_ms, connect_ms, memory;
    bool sandboxed;               // the program, behind all layers
    struct mcp_texts read, write; // paths beyond what everybody may there, and the workspace
    bool static_key;              // an Authorization is configured: no other is ever asked for
    char *client_id, *client_secret, *scope, *redirect_uri; // of OAuth; NULL: as it is found
};

extern const char mcp_server_places[]; // of the settings' tree

// The names of all entries, in their order; at most MCP_SERVERS_MAX. Returns how many.
size_t mcp_server_names(const struct option_map *settings, struct span *names);

// 0, or -EINVAL with a sentence that names the key; *ret_config is untouched then.
int mcp_server_config_read(const struct option_map *settings, struct span name,
                           struct mcp_server_config *ret_config, struct error *err);
void mcp_server_config_finish(struct mcp_server_config *config); // accepts zeroed

// 0, or the first that is wrong.
int mcp_config_check(const struct option_map *settings, struct error *err);
