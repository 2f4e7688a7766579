#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/service.h"

enum { OPTION_PORT = OPTION_FIRST_OWN, OPTION_ALLOW_WRITABLE_CONFIG };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"port", 'p', "N", "port of the admin listener; 0 takes any free one"},
    {"allow-writable-config", 0, NULL, "start even if the tools can write the configuration"},
    COMMAND_OPTIONS_END,
};

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

static int run(const struct arguments *arguments, struct error *err)
{
    struct service_options service = {
        .arguments = arguments,
        .port = -1,
        .allow_writable_config = arguments->values[OPTION_ALLOW_WRITABLE_CONFIG] != NULL,
    };
    const char *port = arguments->values[OPTION_PORT];
    if (port && service_read_port("--port", port, &service.port, err) < 0)
        return COMMAND_MISUSED;
    int r = refuse_root(err);
    return r < 0 ? r : service_run(&service, err);
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
    .options = options,
    .run = run,
};
