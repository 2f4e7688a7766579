#include "daemon/app.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/delegate.h"
#include "agent/dispatcher.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/variables.h"
#include "daemon/main_model.h"
#include "loop/child.h"
#include "mcp/servers.h"
#include "net/ca_roots.h"
#include "net/http_client.h"
#include "router/plan/plan.h"
#include "router/provider.h"
#include "router/router.h"
#include "sandbox/process.h"
#include "store/store.h"
#include "tools/background.h"
#include "tools/shell.h"
#include "tools/spool_keeper.h"
#include "tools/toolbox.h"

static void on_store_event(void *context, int fd, unsigned events)
{
    struct app *app = context;
    store_dispatch(app->store);
}

static void on_discovery(void *context)
{
    enum { LOOK_MS = 20 };
    struct app *app = context;
    bool waits = mcp_servers_discovering(app->mcp) && loop_now(app->loop) < app->discovery_until_ms;
    app->discovery = waits ? loop_timer_after(app->loop, LOOK_MS, on_discovery, app) : 0;
    dispatcher_hold(app->dispatcher, waits);
}

// The first question may be for a tool that nobody has heard of yet. After a first start they are
// known before their servers are.
static void begin_servers(struct app *app)
{
    const struct mcp_config *config = &app->settings.values.mcp;
    mcp_servers_configure(app->mcp, config);
    app->discovery_until_ms = loop_now(app->loop) + config->discovery_ms;
    if (!app->discovery && app->dispatcher)
        on_discovery(app);
}

static void on_store_state(void *context, enum store_state state)
{
    struct app *app = context;
    if (state == STORE_CHECKING)
        log_info("unclean shutdown: checking the database; messages are still accepted");
    if (state == STORE_READY && *store_note(app->store))
        log_warning("%s", store_note(app->store));
    if (state == STORE_READY && app->mcp && !app->replays)
        begin_servers(app);
    if (state == STORE_READY && app->dispatcher)
        dispatcher_wake(app->dispatcher);
    if (state == STORE_READY && app->schedules)
        scheduler_start(app->scheduler);
}

// A typo in a key is no reason not to start, but it is one to speak.
static void tell_typos(const struct config *config)
{
    for (size_t i = 0; i < config_finding_count(config); i++) {
        const struct config_finding *finding = config_finding_at(config, i);
        if (finding->severity == CONFIG_WARNING)
            log_warning("%s: %s", finding->where, finding->text);
    }
}

int app_need_http(struct app *app, struct error *err)
{
    if (app->http)
        return 0;
    int r = trust_create(config_variable(app->settings.config, "SSL_CERT_FILE"), &app->trust, err);
    if (r == 0)
        r = http_client_create(app->loop, app->trust, &app->http, err);
    if (r == 0)
        http_client_count_repeats(
            app->http, metrics_counter(app->metrics, "hermes_http_repeats_total", "",
                                       "Requests sent again because a kept connection had closed"));
    return r;
}

// Without an upstream no TLS is initialised: the offline model starts faster and smaller.
static int open_plan(struct app *app, const struct settings *settings,
                     struct endpoint *ret_endpoint, struct router_plan **ret_plan,
                     struct error *err)
{
    const struct llm_config *llm = &settings->values.llm;
    struct router_plan *plan = NULL;
    bool listed = llm->model_list.count > 0, chooses = !app->routes_only || !listed;
    int r = web_config_check(&settings->values.web, err);
    if (r == 0)
        r = mcp_config_check(&settings->values.mcp.servers, err);
    if (r == 0)
        r = main_model_plan(settings, &plan, NULL, err);
    if (r == 0 && chooses)
        r = main_model_endpoint(llm, plan, ret_endpoint, err);
    if (r == 0 && (listed || ret_endpoint->format))
        r = app_need_http(app, err);
    if (r == 0 && chooses)
        r = main_model_check(settings, ret_endpoint, true, err);
    if (r == 0)
        *ret_plan = STEAL(plan);
    router_plan_unref(plan);
    return r;
}

static struct agent_env agent_env_of(const struct app *app)
{
    return (struct agent_env){
        .loop = app->loop,
        .clock = loop_clock(app->loop),
        .store = app->store,
        .metrics = app->metrics,
        .provider = app->provider,
        .toolbox = app->toolbox,
        .config = &app->settings.values.agent,
        .memory = &app->settings.values.memory,
        .skills = app->skills,
        .home = app->home.path,
        .speech = &app->settings.values.speech,
        .llm = &app->settings.values.llm,
        .outside = &app->cron_commands.outside,
        .model = app->endpoint.name,
        .max_tokens = app->settings.values.llm.max_tokens,
        .stream = app->streaming && app->settings.values.llm.streaming,
        .titles = app->titles &&
                  router_plan_own_slot(router_plan(app->router), SPAN_LITERAL("title")) != NULL,
        .describes = router_plan_own_slot(router_plan(app->router), SPAN_LITERAL("vision")) != NULL,
        .consults =
            router_plan_own_slot(router_plan(app->router), SPAN_LITERAL("approval")) != NULL,
    };
}

static void configure_zone(struct app *app)
{
    shells_set_zone(app->shells, &app->settings.values.tool,
                    config_variable(app->settings.config, "TZ"));
}

static struct tool_settings tool_settings_of(const struct app *app)
{
    const struct memory_config *memory = &app->settings.values.memory;
    struct tool_settings settings = {
        .memory_characters = memory->memory_enabled ? memory->memory_limit : 0,
        .user_characters = memory->user_enabled ? memory->user_limit : 0,
        .skills_ask = app->settings.values.skills.write_approval,
        .web = &app->settings.values.web,
    };
    settings.zoned = tool_find_zone(&app->settings.values.tool,
                                    config_variable(app->settings.config, "TZ"), &settings.zone);
    return settings;
}

// SSH_AUTH_SOCK and the like; base64 begins with "/" as well.
static bool is_path(const char *value)
{
    return *value == '/' && access(value, F_OK) == 0;
}

// Of the settings, and of all variables that have a secret's name.
static void hide_secrets(struct app *app)
{
    const char *secrets[SETTINGS_SECRETS_MAX];
    size_t count = config_secrets(app->settings.config, secrets, ARRAY_LEN(secrets));
    for (char **variable = environ; *variable && count < ARRAY_LEN(secrets); variable++) {
        const char *value = strchr(*variable, '=');
        CLEANUP(mem_cleanup)
        char *name = mem_strndup(*variable, value ? (size_t)(value - *variable) : 0);
        if (value && !is_path(value + 1) && variables_looks_secret(name))
            secrets[count++] = value + 1;
    }
    count += mcp_servers_secrets(app->mcp, secrets + count, ARRAY_LEN(secrets) - count);
    bool all = toolbox_hide(app->toolbox, secrets, count);
    app->secrets_left_out = !all || count == ARRAY_LEN(secrets);
}

static void on_secrets(void *context)
{
    hide_secrets(context);
}

static int need_http(void *context, struct http_client **ret_http, struct error *err)
{
    struct app *app = context;
    int r = app_need_http(app, err);
    if (r == 0)
        *ret_http = app->http;
    return r;
}

// The home first, as the workspace is in it.
static void find_hidden(struct app *app)
{
    const char *const paths[] = {
        app->home.path,
        app->settings.path,
        config_variable(app->settings.config, "HERMES_SECRETS_DIR"),
        config_variable(app->settings.config, "CREDENTIALS_DIRECTORY"),
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (paths[i])
            mcp_texts_add(&app->hidden, mem_strdup(paths[i]));
}

static void open_scheduler(struct app *app)
{
    app->targets = (struct target_env){app->store, app->home.path, &app->settings.values.telegram};
    struct scheduler_env env = {
        .targets = &app->targets,
        .loop = app->loop,
        .store = app->store,
        .agent = app->agent,
        .dispatcher = app->dispatcher,
        .shells = app->shells,
        .toolbox = app->toolbox,
        .skills = app->skills,
        .metrics = app->metrics,
        .home = app->home.path,
    };
    cron_settings(&app->settings, &env);
    app->scheduler = app->cron_commands.scheduler = scheduler_create(&env);
}

static void open_agent(struct app *app)
{
    router_provider_create(app->router, &app->settings.values.llm, app->loop, &app->provider);
    app->processes = processes_create(app->loop, &app->settings.values.process);
    struct shells_env shells = {
        .loop = app->loop,
        .processes = app->processes,
        .workspace = app->home.workspace,
        .results = app->home.results,
    };
    app->skills = skills_create(app->home.skills, app->store);
    skills_configure(app->skills, &app->settings.values.skills, app->settings.config);
    app->shells = shells_create(&shells, &app->settings.values.shell);
    configure_zone(app);
    app->background = background_create(app->shells);
    app->keeper = spool_keeper_create(app->loop, app->processes, app->home.results);
    struct tool_env tools = {
        .store = app->store,
        .processes = app->processes,
        .workspace = app->home.workspace,
        .memories = app->home.memories,
        .skills_home = app->home.skills,
        .skills = app->skills,
        .results = app->home.results,
        .shells = app->shells,
        .background = app->background,
        .settings = tool_settings_of(app),
        .clock = loop_clock(app->loop),
        .loop = app->loop,
        .need_http = need_http,
        .http_context = app,
    };
    app->toolbox = toolbox_create(&tools);
    find_hidden(app);
    struct mcp_servers_env servers = {
        .loop = app->loop,
        .processes = app->processes,
        .store = app->store,
        .toolbox = app->toolbox,
        .metrics = app->metrics,
        .directory = app->home.workspace,
        .results = app->home.results,
        .hidden = (const char *const *)app->hidden.texts,
        .asks = true,
        .need_http = need_http,
        .http_context = app,
        .on_secrets = on_secrets,
        .secrets_context = app,
    };
    app->mcp = mcp_servers_create(&servers);
    mcp_commands_init(&app->mcp_commands, app->mcp);
    cron_commands_init(&app->cron_commands, &app->mcp_commands.outside);
    hide_secrets(app);
    struct agent_env env = agent_env_of(app);
    app->agent = agent_create(&env);
    app->delegates = delegates_create(app->agent);
    tool_source_id id; // it stays
    toolbox_add_source(app->toolbox, delegates_source(app->delegates), &id, NULL);
    struct dispatcher_env dispatcher = {
        .loop = app->loop,
        .store = app->store,
        .agent = app->agent,
        .metrics = app->metrics,
        .config = &app->settings.values.dispatcher,
        .outside = &app->cron_commands.outside,
    };
    app->dispatcher = dispatcher_create(&dispatcher);
    open_scheduler(app);
}

int app_start(struct app *app, const struct arguments *arguments, struct error *err)
{
    struct store_options store = {.on_state = on_store_state, .context = app};
    struct router_plan *plan = NULL;
    *app = (struct app){
        .home = HOME_INIT,
        .streaming = app->streaming,
        .titles = app->titles,
        .routes_only = app->routes_only,
        .replays = app->replays,
        .schedules = app->schedules,
    };
    list_init(&app->retired);
    int r = settings_load(arguments, &app->settings, err);
    if (r == 0)
        tell_typos(app->settings.config);
    if (r == 0)
        r = loop_create(&clock_system, &app->loop, err);
    app->metrics = metrics_create();
    loop_add_metrics(app->loop, app->metrics);
    if (r == 0) // before the home is touched: a missing key leaves nothing behind
        r = open_plan(app, &app->settings, &app->endpoint, &plan, err);
    if (r == 0)
        r = home_open(app->settings.home, &app->home, err);
    if (r == 0)
        r = store_open(app->home.path, &store, &app->store, err);
    if (r == 0)
        app->store_watch =
            loop_watch(app->loop, store_event_fd(app->store), LOOP_READ, on_store_event, app);
    struct router_env router = {
        .loop = app->loop,
        .http = app->http,
        .store = app->store,
        .metrics = app->metrics,
        .home = app->home.path,
    };
    if (r == 0)
        r = router_create(&router, plan, &app->router, err);
    router_plan_unref(plan);
    if (r < 0)
        app_stop(app);
    else if (!app->routes_only)
        open_agent(app);
    return r;
}

int app_open_log(struct app *app, struct gateway_log **log, struct error *err)
{
    gateway_log_close(STEAL(*log));
    int r = settings_open_log(&app->settings, app->home.path, app->loop, log, err);
    if (r == SETTINGS_SECRETS_LEFT_OUT || (r == 0 && app->secrets_left_out))
        LOG_EVENT(LOG_WARNING, "secrets.limit", "",
                  LOG_TEXT("error", "there are more secrets than can be looked for; the last ones "
                                    "are kept out of neither the log nor what tools answer"));
    return r < 0 ? r : 0;
}

struct retired { // a model that runs calls of an earlier configuration, and what it points at
    struct list link;
    struct settings settings;
    struct chat_provider *provider;
};

enum { RETIRING_MS = 1000 }; // between two looks whether its calls have ended

static void retired_destroy(struct retired *retired)
{
    list_remove(&retired->link);
    chat_provider_destroy(retired->provider);
    settings_finish(&retired->settings);
    free(retired);
}

static void on_retiring(void *context)
{
    struct app *app = context;
    list_for_each(link, &app->retired) {
        struct retired *retired = list_entry(link, struct retired, link);
        if (!app->agent || !agent_uses(app->agent, retired->provider))
            retired_destroy(retired);
    }
    loop_cancel(app->loop, app->retiring);
    app->retiring =
        list_empty(&app->retired) ? 0 : loop_timer_after(app->loop, RETIRING_MS, on_retiring, app);
}

int app_reload(struct app *app, const struct arguments *arguments, struct error *err)
{
    struct settings settings = {0};
    struct endpoint endpoint = {0};
    struct router_plan *plan = NULL;
    int r = settings_load(arguments, &settings, err);
    if (r == 0)
        r = open_plan(app, &settings, &endpoint, &plan, err);
    if (r < 0) {
        settings_finish(&settings);
        return r;
    }
    tell_typos(settings.config);
    on_retiring(app); // a storm of reloads must not pile up what nobody uses
    struct retired *retired = mem_new(struct retired);
    retired->settings = app->settings;
    retired->provider = STEAL(app->provider);
    list_append(&app->retired, &retired->link);
    app->settings = settings;
    app->endpoint = endpoint;
    router_configure(app->router, app->http, plan);
    router_plan_unref(plan);
    if (app->agent) {
        router_provider_create(app->router, &app->settings.values.llm, app->loop, &app->provider);
        struct agent_env env = agent_env_of(app);
        agent_configure(app->agent, &env);
        skills_configure(app->skills, &app->settings.values.skills, app->settings.config);
        dispatcher_configure(app->dispatcher, &app->settings.values.dispatcher);
        struct tool_settings tools = tool_settings_of(app);
        toolbox_configure(app->toolbox, &tools);
        if (store_state(app->store) == STORE_READY)
            mcp_servers_configure(app->mcp, &app->settings.values.mcp);
        shells_configure(app->shells, &app->settings.values.shell);
        configure_zone(app);
        struct scheduler_env scheduler = {0};
        cron_settings(&app->settings, &scheduler);
        scheduler_configure(app->scheduler, &scheduler);
        hide_secrets(app);
        processes_configure(app->processes, &app->settings.values.process);
    }
    loop_cancel(app->loop, app->retiring);
    app->retiring = loop_timer_after(app->loop, RETIRING_MS, on_retiring, app);
    return 0;
}

void app_stop(struct app *app)
{
    if (app->loop)
        loop_cancel(app->loop, app->discovery);
    scheduler_destroy(app->scheduler);
    dispatcher_destroy(app->dispatcher);
    agent_destroy(app->agent);
    mcp_servers_destroy(app->mcp);
    mcp_texts_finish(&app->hidden);
    toolbox_destroy(app->toolbox);
    delegates_destroy(app->delegates);
    spool_keeper_destroy(app->keeper);
    background_destroy(app->background);
    skills_destroy(app->skills);
    shells_destroy(app->shells);
    processes_destroy(app->processes);
    chat_provider_destroy(app->provider);
    list_for_each(link, &app->retired)
        retired_destroy(list_entry(link, struct retired, link));
    router_destroy(app->router);
    http_client_destroy(app->http);
    trust_destroy(app->trust);
    if (app->store)
        loop_unwatch(app->loop, app->store_watch);
    store_close(app->store);
    metrics_destroy(app->metrics);
    child_reap_all(app->loop); // no process of ours touches the home after this
    home_close(&app->home);
    loop_destroy(app->loop);
    settings_finish(&app->settings);
    *app = (struct app){.home = HOME_INIT};
    list_init(&app->retired);
}
