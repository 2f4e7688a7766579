#pragma once

#include "agent/agent.h"
#include "agent/dispatcher.h"
#include "agent/memory_block.h"
#include "base/error.h"
#include "channels/telegram.h"
#include "config/config.h"
#include "daemon/command.h"
#include "daemon/gateway_log.h"
#include "llm/options.h"
#include "mcp/options.h"
#include "router/plan/options.h"
#include "sandbox/process.h"
#include "serve/admin.h"
#include "serve/mcp_face.h"
#include "tools/options.h"
#include "tools/shell.h"
#include "tools/web_options.h"

// All settings of the program, filled from the modules' own tables.
struct settings_values {
    struct llm_config llm;
    struct router_config router;
    struct agent_config agent;
    struct memory_config memory;
    struct dispatcher_config dispatcher;
    struct process_config process;
    struct tool_config tool;
    struct shell_config shell;
    struct web_config web;
    struct mcp_config mcp;
    struct telegram_config telegram;
    struct gateway_log_config gateway_log;
    struct admin_config admin;
    struct mcp_serve_config mcp_serve;
};

extern const struct config_schema settings_schema;

struct settings {
    char *home; // owned
    char *path; // of config.yaml, owned; NULL: none
    struct settings_values values;
    struct config *config; // owns what `values` points at
};

// From the command line, the file, the environment. settings_finish() accepts a zeroed struct.
int settings_load(const struct arguments *arguments, struct settings *ret_settings,
                  struct error *err);
void settings_finish(struct settings *settings);

// As above for `config check` and `doctor`: errors are findings of ret_settings->config.
int settings_inspect(const struct arguments *arguments, struct settings *ret_settings,
                     struct error *err);

// --home, HERMES_HOME, ~/.hermes. On the heap.
int settings_find_home(const struct arguments *arguments, char **ret_home, struct error *err);
