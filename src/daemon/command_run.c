#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "loop/signals.h"
#include "serve/admin.h"

enum { OPTION_PORT = OPTION_FIRST_OWN };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"port", 'p', "N", "port of the admin face; 0 takes any free one"},
    COMMAND_OPTIONS_END,
};

static void on_signal(void *context, int number)
{
    struct app *app = context;
    log_info("stopping on signal %d", number);
    loop_stop(app->loop);
}

static void tell(const struct app *app, const struct admin *admin)
{
    const char *host = app->settings.values.admin.host;
    bool ipv6 = span_find(span_of(host), SPAN_LITERAL(":")) >= 0;
    printf("admin: http://%s%s%s:%u\n", ipv6 ? "[" : "", host, ipv6 ? "]" : "", admin_port(admin));
    fflush(stdout);
}

static int serve(struct app *app, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct signals signals = SIGNALS_INIT;
    struct admin *admin = NULL;
    int r = signals_init(&signals, app->loop, numbers, ARRAY_LEN(numbers), on_signal, app, err);
    if (r == 0)
        r = admin_create(app->loop, &app->settings.values.admin, app->store, &admin, err);
    if (r == 0) {
        tell(app, admin);
        loop_run(app->loop);
    }
    admin_destroy(admin);
    signals_finish(&signals);
    return r;
}

static bool parse_port(const char *text, int64_t *ret_port)
{
    if (span_to_i64(span_of(text), ret_port) && *ret_port >= 0 && *ret_port <= UINT16_MAX)
        return true;
    log_error("--port: \"%.64s\" is not a port number (0 to 65535)", text);
    return false;
}

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    struct app app = {.home = HOME_INIT, .streaming = true};
    struct error err = ERROR_INIT;
    const char *port_text = arguments->values[OPTION_PORT];
    int64_t port = 0;
    if (port_text && !parse_port(port_text, &port))
        return EXIT_USAGE;
    int r = app_start(&app, arguments, &err);
    if (r == 0) {
        if (port_text)
            app.settings.values.admin.port = port;
        r = serve(&app, &err);
        app_stop(&app);
    }
    if (r < 0)
        log_error("%s", err.text);
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

const struct command command_run = {
    .name = "run",
    .summary = "Run as a service: the admin face with /healthz and /readyz",
    .help = "Holds the home and answers probes until SIGTERM or Ctrl-C. In this version no chat\n"
            "channel is attached to it; talk with hermes chat.\n",
    .options = options,
    .run = run,
};
