#pragma once

#include "base/error.h"
#include "base/list.h"
#include "channels/target.h"
#include "daemon/cron_commands.h"
#include "daemon/home.h"
#include "daemon/mcp_commands.h"
#include "daemon/settings.h"
#include "llm/endpoint.h"
#include "loop/loop.h"
#include "mcp/server_config.h"

/*
 * The wiring: everything that a command needs which talks to a model, built in the order of the
 * ladder and taken down in the reverse one. Nobody else knows all of it.
 */
struct app {
    struct settings settings;
    struct home home;
    struct loop *loop;
    struct store *store;
    loop_id store_watch;
    struct endpoint endpoint;
    struct trust *trust;
    struct http_client *http; // NULL offline
    struct metrics *metrics;
    struct router *router;
    struct chat_provider *provider;
    struct processes *processes;
    struct skills *skills;
    struct shells *shells;
    struct background *background; // of these
    struct spool_keeper *keeper;
    struct toolbox *toolbox;
    struct mcp_servers *mcp;
    struct mcp_commands mcp_commands;
    struct mcp_texts hidden; // from its programs: the home, and where secrets are
    loop_id discovery;       // while the first question waits for their tools
    int64_t discovery_until_ms;
    struct agent *agent;
    struct delegates *delegates;
    struct dispatcher *dispatcher;
    struct target_env targets;
    struct cron_commands cron_commands;
    struct scheduler *scheduler;
    struct list retired; // models of earlier configurations, until their last call has ended
    loop_id retiring;
    bool streaming;
    bool titles;           // conversations outlive their first turn; a better title is worth a call
    bool routes_only;      // there is no agent, and no model need be chosen where there is a list
    bool schedules;        // jobs are run
    bool replays;          // no server of tools is started
    bool secrets_left_out; // there are more than can be kept out of results
};

// On failure everything is taken down again and the sentence says what to do. With `routes_only` it
// ends with the router: no agent, no dispatcher, no tools.
int app_start(struct app *app, const struct arguments *arguments, struct error *err);
void app_stop(struct app *app);

// The log that the configuration describes, without the secrets that it names. Closes *log (NULL at
// first) before, which may not know those of a reload.
int app_open_log(struct app *app, struct gateway_log **log, struct error *err);

// The HTTP client, made when it is first needed.
int app_need_http(struct app *app, struct error *err);

/*
 * Builds everything from the configuration as it is now, and takes it: calls that run end as they
 * began, what follows goes by the new one. On failure nothing has changed.
 */
int app_reload(struct app *app, const struct arguments *arguments, struct error *err);
