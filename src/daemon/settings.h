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
#include "llm/speech.h"
#include "mcp/options.h"
#include "router/plan/options.h"
#include "sandbox/process.h"
#include "scheduler/scheduler.h"
#include "serve/admin.h"
#include "serve/api.h"
#include "serve/mcp_face.h"
#include "tools/options.h"
#include "tools/shell.h"
#include "tools/skills.h"
#include "tools/web_options.h"

// All settings of the program, filled from the modules' own tables.
struct settings_values {
    struct llm_config llm;
    struct router_config router;
    struct speech_config speech;
    struct agent_config agent;
    struct memory_config memory;
    struct dispatcher_config dispatcher;
    struct process_config process;
    struct tool_config tool;
    struct shell_config shell;
    struct skills_config skills;
    struct web_config web;
    struct mcp_config mcp;
    struct scheduler_config scheduler;
    struct telegram_config telegram;
    struct gateway_log_config gateway_log;
    struct admin_config admin;
    struct api_config api;
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

// The log that they describe, without the secrets that they name; with `loop` as
// gateway_log_open(). 0, or SETTINGS_SECRETS_LEFT_OUT when there are more than it can know.
enum { SETTINGS_SECRETS_MAX = 512, SETTINGS_SECRETS_LEFT_OUT = 1 };
int settings_open_log(const struct settings *settings, const char *home, struct loop *loop,
                      struct gateway_log **ret_log, struct error *err);

// --home, HERMES_HOME, ~/.hermes; with a profile, the home of that name in its profiles/. On the
// heap.
extern const char *settings_profile; // of --profile, set once; NULL: HERMES_PROFILE
int settings_find_home(const struct arguments *arguments, char **ret_home, struct error *err);
