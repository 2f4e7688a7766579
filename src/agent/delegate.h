#pragma once

struct agent;
struct delegates;
struct tool_source;

// The tool with which a turn has others do a part of its work. Borrows the agent, whose turns must
// be gone before it is destroyed.
struct delegates *delegates_create(struct agent *agent);
void delegates_destroy(struct delegates *delegates); // accepts NULL
struct tool_source *delegates_source(struct delegates *delegates);
