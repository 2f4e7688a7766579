#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process_metrics.h"
#include "base/span.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/gateway_log.h"
#include "loop/signals.h"
#include "router/router.h"
#include "serve/control.h"
#include "serve/router_listener.h"

/*
 * `hermes router`: the router for other programs, without the agent. What a LiteLLM proxy is
 * started with starts it, too.
 */
enum { OPTION_HOST = OPTION_FIRST_OWN, OPTION_PORT };
enum { DRAIN_MS = 30 * 1000, LOOK_MS = 20 };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"host", 'H', "ADDRESS", "numeric address to listen on (else router.host, 127.0.0.1)"},
    {"port", 'p', "N", "port to listen on (else PORT, router.port, 4000); 0 takes any free one"},
    COMMAND_OPTIONS_END,
};

struct service {
    const struct arguments *arguments;
    struct app app;
    struct signals signals;
    struct gateway_log *log;
    struct router_listener *listener;
    struct control_env control_env;
    struct control *control;
    int64_t leaving_since_ms; // 0: not leaving
};

static bool read_port(const char *text, int64_t *ret_port)
{
    return span_to_i64(span_of(text), ret_port) && *ret_port >= 0 && *ret_port <= UINT16_MAX;
}

static int reload(void *context, struct buf *ret_text, struct error *err)
{
    struct service *service = context;
    int r = app_reload(&service->app, service->arguments, err);
    if (r < 0)
        return error_wrap(err, "the configuration was not reloaded; the old one stays in use");
    router_listener_configure(service->listener);
    r = app_open_log(&service->app, &service->log, err);
    buf_printf(ret_text, "the configuration was reloaded");
    return r;
}

static void leave(void *context)
{
    struct service *service = context;
    struct loop *loop = service->app.loop;
    bool late = loop_now(loop) - service->leaving_since_ms >= DRAIN_MS;
    if (late || router_listener_open(service->listener) == 0)
        loop_stop(loop);
    else
        loop_timer_after(loop, LOOK_MS, leave, service);
}

static void on_signal(void *context, int number)
{
    struct service *service = context;
    BUF_AUTO text = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    if (number == SIGHUP) {
        if (reload(service, &text, &err) < 0)
            log_error("%s", err.text);
        else
            log_info("%s", buf_text(&text));
        return;
    }
    if (service->leaving_since_ms) {
        log_info("stopping at once on signal %d", number);
        loop_stop(service->app.loop);
        return;
    }
    log_info("stopping on signal %d", number);
    service->leaving_since_ms = loop_now(service->app.loop);
    home_leave(&service->app.home);
    router_listener_close(service->listener);
    leave(service);
}

// --port, else PORT as LiteLLM's command line has it, else the configuration's.
static int choose_port(const struct service *service, int64_t *ret_port, struct error *err)
{
    const struct settings *settings = &service->app.settings;
    const char *told = service->arguments->values[OPTION_PORT];
    if (!told)
        told = config_variable(settings->config, "PORT");
    if (!told || !*told)
        *ret_port = settings->values.router.port;
    else if (!read_port(told, ret_port))
        return error_set(err, -EINVAL, "PORT: \"%.64s\" is not a port number (0 to 65535)", told);
    return 0;
}

static int open_faces(struct service *service, struct error *err)
{
    struct app *app = &service->app;
    const struct router_config *config = &app->settings.values.router;
    const char *host = service->arguments->values[OPTION_HOST];
    struct router_listener_env listener = {
        .loop = app->loop,
        .router = app->router,
        .metrics = app->metrics,
        .host = host ? host : config->host,
        .version = HERMES_VERSION,
    };
    service->control_env = (struct control_env){
        .loop = app->loop,
        .store = app->store,
        .home = app->home.path,
        .version = HERMES_VERSION,
        .started_ms = loop_wall(app->loop),
        .up_since_ms = loop_now(app->loop),
        .reload = reload,
        .router = app->router,
        .context = service,
    };
    int r = choose_port(service, &listener.port, err);
    if (r == 0)
        r = router_listener_create(&listener, &service->listener, err);
    return r < 0 ? r : control_create(&service->control_env, &service->control, err);
}

static int start(struct service *service, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct app *app = &service->app;
    fd_raise_limit();
    int r = app_open(app, service->arguments, err);
    if (r < 0)
        return r;
    metrics_add_process(app->metrics);
    r = app_open_log(app, &service->log, err);
    if (r == 0)
        r = signals_init(&service->signals, app->loop, numbers, ARRAY_LEN(numbers), on_signal,
                         service, err);
    return r < 0 ? r : open_faces(service, err);
}

static bool is_port(const char *text)
{
    int64_t port;
    if (!text || read_port(text, &port))
        return true;
    log_error("--port: \"%.64s\" is not a port number (0 to 65535)", text);
    return false;
}

static int run(const struct command *command, const struct arguments *arguments)
{
    struct service service = {.arguments = arguments,
                              .app = {.home = HOME_INIT, .routes_only = true},
                              .signals = SIGNALS_INIT};
    struct error err = ERROR_INIT;
    if (!is_port(arguments->values[OPTION_PORT]))
        return EXIT_USAGE;
    int r = start(&service, &err);
    if (r == 0) {
        const char *host = service.arguments->values[OPTION_HOST];
        host = host ? host : service.app.settings.values.router.host;
        bool ipv6 = span_find(span_of(host), SPAN_LITERAL(":")) >= 0;
        printf("router: http://%s%s%s:%u\n", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
               router_listener_port(service.listener));
        fflush(stdout);
        loop_run(service.app.loop);
    }
    control_destroy(service.control);
    router_listener_destroy(service.listener);
    signals_finish(&service.signals);
    gateway_log_settle(service.log);
    if (service.app.loop)
        app_stop(&service.app);
    gateway_log_close(service.log);
    if (r < 0)
        log_error("%s", err.text);
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

const struct command command_router = {
    .name = "router",
    .summary = "Run the model router alone, for other programs",
    .help = "An OpenAI-compatible server in front of the models of a LiteLLM configuration\n"
            "(model_list, router_settings, litellm_settings, general_settings), with its\n"
            "fallbacks, budgets and limits. `hermes run` has it built in.\n"
            "\n"
            "  LITELLM_MASTER_KEY=sk-... hermes router --config config.yaml --port 4000\n",
    .options = options,
    .run = run,
};
