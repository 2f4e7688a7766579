#include "daemon/command.h"
#include "daemon/service.h"

enum { OPTION_PORT = OPTION_FIRST_OWN, OPTION_ALLOW_WRITABLE_CONFIG };

static int run(const struct arguments *arguments, struct error *err)
{
    struct service_options service = {
        .arguments = arguments,
        .port = arguments->values[OPTION_PORT],
        .allow_writable_config = arguments->values[OPTION_ALLOW_WRITABLE_CONFIG] != NULL,
    };
    return service_run(&service, err);
}

const struct command command_run = {
    .name = "run",
    .summary = "Run as a service: Telegram, the router, and the admin listener with its probes",
    .help =
        "Answers on Telegram and on the home's socket (hermes chat, hermes status), and serves\n"
        "/healthz, /readyz and /metrics, until SIGTERM or Ctrl-C. Running turns then get\n"
        "agent.restart_drain_timeout to end; the others continue at the next start.\n"
        "With its own key (LITELLM_MASTER_KEY, or general_settings.master_key) the router\n"
        "serves other programs on port 4000 (router.port).\n"
        "SIGHUP reloads the configuration. `hermes gateway run` is the same.\n\n"
        "  TELEGRAM_BOT_TOKEN=... TELEGRAM_ALLOWED_USERS=123456789 hermes run\n",
    .takes_settings = true,
    COMMAND_OPTIONS(
        {"port", 'p', "N", "port of the admin listener; 0 takes any free one"},
        {"allow-writable-config", 0, NULL, "start even if the tools can write the configuration"}),
    .run = run,
};
