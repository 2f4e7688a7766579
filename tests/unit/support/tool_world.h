#pragma once

#include <stdbool.h>
#include <stddef.h>

// A workspace in a directory of its own, and the tools that work in it, called without a process
// around them. `arguments` are JSON in which ' stands for ".
enum { TOOL_WORLD_PATH_MAX = 256 };

struct tool_world {
    char root[TOOL_WORLD_PATH_MAX]; // holds "workspace" and, beside it, "secret"
    char workspace[2 * TOOL_WORLD_PATH_MAX];
    int fd; // of the workspace, O_PATH
};

void tool_world_make(struct tool_world *world);
void tool_world_remove(struct tool_world *world);

// Files of the workspace; parents are made.
void tool_world_put(struct tool_world *world, const char *name, const void *data, size_t len);
void tool_world_put_text(struct tool_world *world, const char *name, const char *text);
void tool_world_link(struct tool_world *world, const char *name, const char *target);
bool tool_world_holds(struct tool_world *world, const char *name, const char *text);

// The local time zone from now on, as "TZ=EST5". Only while no other thread runs.
void tool_world_set_zone(const char *assignment);

// What the tool said, its refusal after "refused: "; valid until the next call.
const char *tool_world_run(struct tool_world *world, const char *tool, const char *arguments);
