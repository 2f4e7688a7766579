#pragma once

#include "loop/loop.h"
#include "mcp/server_config.h"
#include "sandbox/process.h"

/*
 * The headers that an entry adds: those that are written there, those whose values stand in files
 * (secrets that are mounted, and replaced now and then), and those that a command prints, as
 * "Name: value" lines. They are got before each connection, and again when they were refused.
 */
enum {
    HEADER_FILE_MAX = 16 * 1024,   // bytes
    HEADER_COMMAND_MS = 30 * 1000, // of its time
    HEADER_OUTPUT_MAX = 32 * 1024, // bytes that it prints
};

struct header_source {
    const struct mcp_server_config *config; // borrowed
    struct processes *processes;
    const char *lines[MCP_HEADERS_MAX + 2]; // up to NULL
    char *owned[MCP_HEADERS_MAX];           // of those
    char *token;                            // a line, the last of them; NULL: none
    size_t count, owned_count;
    process_id process;
    void (*on_ready)(void *context, const struct error *err); // NULL: they are there
    void *context;
};

void header_source_init(struct header_source *source, const struct mcp_server_config *config,
                        struct processes *processes,
                        void (*on_ready)(void *context, const struct error *err), void *context);
void header_source_finish(struct header_source *source);       // nothing comes after it
bool header_source_renews(const struct header_source *source); // others may come another time

// The Authorization that was given; NULL: none. Of what is got from now on, and what there is.
void header_source_set_token(struct header_source *source, const char *token);

// In place of one that has not ended. on_ready follows, from the loop or (without a command) before
// this returns.
void header_source_get(struct header_source *source);
