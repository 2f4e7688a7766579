#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dispatcher.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/process_metrics.h"
#include "channels/telegram.h"
#include "daemon/app.h"
#include "daemon/gateway_log.h"
#include "daemon/retention.h"
#include "loop/reaper.h"
#include "loop/signals.h"
#include "router/router.h"
#include "serve/admin.h"
#include "serve/api.h"
#include "serve/control.h"
#include "serve/mcp_face.h"
#include "serve/router_listener.h"
#include "store/outbox.h"
#include "store/store.h"

/*
 * The end. The first SIGTERM stops taking messages and lets what runs go on for as long as
 * agent.restart_drain_timeout says; then the answers that are on their way out get a moment, since
 * a message cut between Telegram and us would have to be sent twice; and whatever still runs is
 * parked: it is in the store, and goes on at the next start. A second signal ends it at once.
 */
enum {
    LEAVE_LOOK_MS = 20,      // between two looks
    LEAVE_REPLIES_MS = 2000, // what replies that are due are given to get out
    LEAVE_FLIGHT_MS = 5000,  // what those are given that were handed over already
    ROUTES_DRAIN_MS = 30 * 1000,
};

struct service {
    const struct service_options *options;
    int64_t port; // of the command line; -1: none
    struct app app;
    struct signals signals;
    struct gateway_log *log;
    struct admin *admin;
    struct router_listener *router_listener; // NULL: there is no key for it
    struct control_env control_env;
    struct control *control;
    struct mcp_face *mcp;
    struct api *api; // NULL: there is no key for it
    struct telegram *telegram;
    struct reaper *reaper;
    struct retention retention;
    int64_t stopping_since_ms;
    int64_t leaving_since_ms;
    bool stopping, handed_over;
};

static bool replies_are_out(const struct service *service)
{
    struct store_outbox_summary summary = {0}; // nothing waits where it cannot be read
    store_read_outbox_summary(service->app.store, SPAN_LITERAL("telegram"), &summary, NULL);
    return summary.waiting == 0;
}

// Clients of the router have as long as the agent's own turns have.
static bool clients_are_served(const struct service *service)
{
    const struct app *app = &service->app;
    int64_t gone_on = loop_now(app->loop) - service->stopping_since_ms;
    int64_t drain_ms = app->agent ? app->settings.values.dispatcher.drain_ms : ROUTES_DRAIN_MS;
    return !service->router_listener || router_listener_open(service->router_listener) == 0 ||
           gone_on >= drain_ms;
}

static void leave(void *context)
{
    struct service *service = context;
    struct loop *loop = service->app.loop;
    int64_t gone_on = loop_now(loop) - service->leaving_since_ms;
    if (service->telegram && !service->handed_over &&
        (gone_on >= LEAVE_REPLIES_MS || replies_are_out(service))) {
        service->handed_over = true;
        telegram_drain(service->telegram);
    }
    bool said = !service->telegram || gone_on >= LEAVE_FLIGHT_MS ||
                (service->handed_over && telegram_drained(service->telegram));
    if (said && clients_are_served(service))
        loop_stop(loop);
    else
        loop_timer_after(loop, LEAVE_LOOK_MS, leave, service);
}

static void on_drained(void *context)
{
    struct service *service = context;
    unsigned parked = dispatcher_turns(service->app.dispatcher);
    if (parked)
        log_info("%u answer%s parked; Hermes continues %s at the next start", parked,
                 parked == 1 ? " is" : "s are", parked == 1 ? "it" : "them");
    service->leaving_since_ms = loop_now(service->app.loop);
    leave(service);
}

static void stop(struct service *service, int number)
{
    struct app *app = &service->app;
    if (service->stopping) {
        log_info("stopping at once on signal %d", number);
        loop_stop(app->loop);
        return;
    }
    service->stopping = true;
    service->stopping_since_ms = loop_now(app->loop);
    home_leave(&app->home);
    if (app->scheduler)
        scheduler_stop(app->scheduler);
    if (service->router_listener)
        router_listener_close(service->router_listener);
    if (service->api)
        api_close(service->api);
    log_info("stopping on signal %d", number);
    if (!app->agent) {
        leave(service);
        return;
    }
    LOG_EVENT(LOG_INFO, "daemon.stop", "", LOG_NUMBER("signal", number),
              LOG_NUMBER("turns", dispatcher_turns(app->dispatcher)));
    dispatcher_drain(app->dispatcher, app->settings.values.dispatcher.drain_ms, on_drained,
                     service);
}

// What takes a restart, a line each: as whom we speak, and where we listen.
static char *fixed_of(const struct settings_values *values)
{
    const struct telegram_config *bot = &values->telegram;
    bool wanted = telegram_is_wanted(bot);
    return mem_printf("%s %s\n%s %" PRId64 "\n%s %" PRId64 "\n%s %" PRId64,
                      wanted ? bot->token : "", wanted ? bot->base_url : "", values->admin.host,
                      values->admin.port, values->router.host, values->router.port,
                      values->api.host, values->api.port);
}

// So that nobody believes it to have happened.
static void tell_what_waits(const char *before, const char *after, struct buf *out)
{
    static const char *const names[] = {
        "Telegram's token and base URL", "the admin listener's address and port",
        "the router's address and port", "the API's address and port"};
    struct span old = span_of(before), new = span_of(after);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!span_equal(span_cut(&old, '\n'), span_cut(&new, '\n')))
            buf_printf(out, "; %s change at the next start", names[i]);
}

static int reload(void *context, struct buf *ret_text, struct error *err)
{
    struct service *service = context;
    struct app *app = &service->app;
    struct settings_values *values = &app->settings.values;
    CLEANUP(mem_cleanup) char *before = fixed_of(values);
    int r = app_reload(app, service->options->arguments, err);
    if (r < 0) {
        error_wrap(err, "the configuration was not reloaded; the old one stays in use");
        if (app->agent)
            LOG_EVENT(LOG_ERROR, "config.reload", "", LOG_TEXT("error", err->text));
        return r;
    }
    if (service->admin && service->port >= 0)
        values->admin.port = service->port;
    if (service->telegram)
        telegram_configure(service->telegram, &values->telegram);
    if (service->admin)
        admin_configure(service->admin, &values->admin);
    if (service->router_listener)
        router_listener_configure(service->router_listener);
    if (service->mcp)
        mcp_face_reloaded(service->mcp);
    r = app_open_log(app, &service->log, err);
    buf_printf(ret_text, "the configuration was reloaded");
    if (!app->agent)
        return r;
    buf_printf(ret_text, "; model %s", app->endpoint.name);
    CLEANUP(mem_cleanup) char *after = fixed_of(values);
    tell_what_waits(before, after, ret_text);
    LOG_EVENT(LOG_INFO, "config.reload", "", LOG_TEXT("model", app->endpoint.name));
    return r;
}

static void on_signal(void *context, int number)
{
    struct service *service = context;
    if (number != SIGHUP) {
        stop(service, number);
        return;
    }
    BUF_AUTO text = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    if (reload(service, &text, &err) < 0)
        log_error("%s", err.text);
    else
        log_info("%s", buf_text(&text));
}

// True when `path` lies in `directory`, links followed.
static bool lies_in(const char *path, const char *directory)
{
    char real_path[PATH_MAX], real_directory[PATH_MAX];
    if (!realpath(path, real_path) || !realpath(directory, real_directory))
        return false;
    size_t len = strlen(real_directory);
    return strncmp(real_path, real_directory, len) == 0 && real_path[len] == '/';
}

static int refuse_writable_config(const struct service *service, struct error *err)
{
    const struct app *app = &service->app;
    const char *path = config_path(app->settings.config);
    if (!path || service->options->allow_writable_config ||
        (!lies_in(path, app->home.workspace) && !lies_in(path, app->home.memories) &&
         !lies_in(path, app->home.skills)))
        return 0;
    return error_set(err, -EPERM,
                     "the agent's tools can write %s; move it (to /etc/hermes, or the home "
                     "itself), or accept that with --allow-writable-config",
                     path);
}

static int open_channels(struct service *service, struct error *err)
{
    struct app *app = &service->app;
    const struct telegram_config *config = &app->settings.values.telegram;
    if (!telegram_is_wanted(config))
        return 0;
    int r = app_need_http(app, err);
    if (r < 0)
        return r;
    struct telegram_env env = {
        .loop = app->loop,
        .store = app->store,
        .http = app->http,
        .dispatcher = app->dispatcher,
        .metrics = app->metrics,
        .home = app->home.path,
        .config = config,
    };
    return telegram_create(&env, &service->telegram, err);
}

// `name` is who gave the number, for the sentence.
static int read_port(const char *name, const char *text, int64_t *ret_port, struct error *err)
{
    if (span_to_i64(span_of(text), ret_port) && *ret_port >= 0 && *ret_port <= UINT16_MAX)
        return 0;
    return error_set(err, -EINVAL, "%s: \"%.64s\" is not a port number (0 to 65535)", name, text);
}

// What the command line says of the address. For the router alone PORT comes next, as LiteLLM's
// command line has it.
static int choose_address(const struct service *service, struct settings_values *values,
                          struct error *err)
{
    const struct service_options *options = service->options;
    const char *told = config_variable(service->app.settings.config, "PORT");
    if (options->host)
        values->router.host = options->host;
    if (service->port >= 0)
        *(options->routes_only ? &values->router.port : &values->admin.port) = service->port;
    else if (options->routes_only && told && *told)
        return read_port("PORT", told, &values->router.port, err);
    return 0;
}

// Without a key there is nobody who might use it, and nothing is opened; alone, it needs one.
static int open_router_listener(struct service *service, struct error *err)
{
    struct app *app = &service->app;
    const char *key = router_plan(app->router)->master_key;
    struct router_listener_env env = {
        .loop = app->loop,
        .router = app->router,
        .metrics = app->metrics,
        .host = app->settings.values.router.host,
        .port = app->settings.values.router.port,
    };
    return service->options->routes_only || (key && *key)
               ? router_listener_create(&env, &service->router_listener, err)
               : 0;
}

static int open_listeners(struct service *service, struct error *err)
{
    struct app *app = &service->app;
    service->control_env = (struct control_env){
        .loop = app->loop,
        .store = app->store,
        .dispatcher = app->dispatcher,
        .telegram = &service->telegram,
        .home = app->home.path,
        .workspace = app->home.workspace,
        .agent = app->agent,
        .mcp_servers = app->mcp,
        .toolbox = app->toolbox,
        .scheduler = app->scheduler,
        .targets = &app->targets,
        .endpoint = app->agent ? &app->endpoint : NULL,
        .started_ms = loop_wall(app->loop),
        .up_since_ms = loop_now(app->loop),
        .reload = reload,
        .router = app->router,
        .context = service,
    };
    if (app->agent)
        service->mcp = service->control_env.mcp_face =
            mcp_face_create(&service->control_env, &app->settings.values.mcp_serve);
    int r = choose_address(service, &app->settings.values, err);
    if (r == 0 && app->agent)
        r = admin_create(&app->settings.values.admin, &service->control_env, app->metrics,
                         &service->admin, err);
    if (r == 0)
        r = open_router_listener(service, err);
    if (r == 0 && app->agent)
        r = api_create(&app->settings.values.api, &service->control_env, &service->api, err);
    return r < 0 ? r : control_create(&service->control_env, &service->control, err);
}

static void report_listener(const char *name, const char *host, uint16_t port)
{
    bool ipv6 = span_find(span_of(host), SPAN_LITERAL(":")) >= 0;
    printf("%s: http://%s%s%s:%u\n", name, ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
    fflush(stdout);
}

static void tell(const struct service *service)
{
    const struct app *app = &service->app;
    const struct settings_values *values = &app->settings.values;
    if (service->router_listener)
        report_listener("router", values->router.host,
                        router_listener_port(service->router_listener));
    if (!app->agent)
        return;
    report_listener("admin", values->admin.host, admin_port(service->admin));
    if (service->api)
        report_listener("api", values->api.host, api_port(service->api));
    if (!service->telegram)
        log_info("no chat channel is set up; for Telegram set TELEGRAM_BOT_TOKEN (from @BotFather) "
                 "and TELEGRAM_ALLOWED_USERS (your numeric id)");
    LOG_EVENT(LOG_INFO, "daemon.start", "", LOG_TEXT("version", HERMES_VERSION),
              LOG_TEXT("model", app->endpoint.name), LOG_NUMBER("pid", getpid()),
              LOG_TEXT("telegram", service->telegram ? "on" : "off"));
}

static int start(struct service *service, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct app *app = &service->app;
    fd_raise_limit();
    int r = app_start(app, service->options->arguments, err);
    if (r < 0)
        return r;
    app->mcp_commands.reload = reload;
    app->mcp_commands.reload_context = service;
    metrics_add_process(app->metrics);
    if (app->agent)
        r = refuse_writable_config(service, err);
    if (r == 0)
        r = app_open_log(app, &service->log, err);
    if (r == 0)
        r = signals_init(&service->signals, app->loop, numbers, ARRAY_LEN(numbers), on_signal,
                         service, err);
    if (r == 0 && app->agent && reaper_is_needed())
        r = reaper_create(app->loop, &service->reaper, err);
    if (r == 0 && app->agent) {
        retention_init(&service->retention, app);
        r = open_channels(service, err);
    }
    if (r == 0)
        r = open_listeners(service, err);
    return r;
}

static void finish(struct service *service)
{
    retention_finish(&service->retention);
    telegram_destroy(service->telegram);
    scheduler_destroy(service->app.scheduler);
    service->app.scheduler = NULL;
    dispatcher_destroy(service->app.dispatcher); // turns stay in the store
    service->app.dispatcher = NULL;
    mcp_face_destroy(service->mcp);
    service->control_env.mcp_face = NULL;
    control_destroy(service->control);
    api_destroy(service->api);
    router_listener_destroy(service->router_listener);
    admin_destroy(service->admin);
    reaper_destroy(service->reaper);
    signals_finish(&service->signals);
    gateway_log_settle(service->log);
    if (service->app.loop)
        app_stop(&service->app);
    gateway_log_close(service->log);
}

// What a model says is carried out with this program's rights; root has all of them.
static int refuse_root(struct error *err)
{
    const char *allowed = getenv("HERMES_ALLOW_ROOT_GATEWAY");
    if (geteuid() != 0 || (allowed && strcmp(allowed, "1") == 0))
        return 0;
    return error_set(
        err, -EPERM,
        "hermes run does not run as root; start it as an ordinary user (docs/operations.md has "
        "a systemd unit), or accept the risk with HERMES_ALLOW_ROOT_GATEWAY=1");
}

int service_run(const struct service_options *options, struct error *err)
{
    struct service service = {.options = options,
                              .port = -1,
                              .app = {.home = HOME_INIT,
                                      .streaming = true,
                                      .titles = true,
                                      .routes_only = options->routes_only,
                                      .schedules = !options->routes_only}};
    if (options->port && read_port("--port", options->port, &service.port, err) < 0)
        return COMMAND_MISUSED;
    int r = options->routes_only ? 0 : refuse_root(err);
    if (r < 0)
        return r;
    r = start(&service, err);
    if (r == 0) {
        tell(&service);
        if (service.app.dispatcher)
            dispatcher_resume(service.app.dispatcher);
        loop_run(service.app.loop);
    }
    finish(&service);
    return r;
}
