#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/command.h"
#include "daemon/service.h"

enum { OPTION_PORT = OPTION_FIRST_OWN, OPTION_ALLOW_WRITABLE_CONFIG };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"port", 'p', "N", "port of the admin listener; 0 takes any free one"},
    {"allow-writable-config", 0, NULL, "start even if the tools can write the configuration"},
    COMMAND_OPTIONS_END,
};

static bool parse_port(const char *text, int64_t *ret_port)
{
    if (span_to_i64(span_of(text), ret_port) && *ret_port >= 0 && *ret_port <= UINT16_MAX)
        return true;
    log_error("--port: \"%.64s\" is not a port number (0 to 65535)", text);
    return false;
}

// What a model says is carried out with this program's rights; root has all of them.
static bool refuse_root(void)
{
    const char *allowed = getenv("HERMES_ALLOW_ROOT_GATEWAY");
    if (geteuid() != 0 || (allowed && strcmp(allowed, "1") == 0))
        return false;
    log_error(
        "hermes run does not run as root; start it as an ordinary user (docs/operations.md has "
        "a systemd unit), or accept the risk with HERMES_ALLOW_ROOT_GATEWAY=1");
    return true;
}

static int run(const struct command *command, const struct arguments *arguments)
{
    struct service_options service = {
        .arguments = arguments,
        .port = -1,
        .allow_writable_config = arguments->values[OPTION_ALLOW_WRITABLE_CONFIG] != NULL,
    };
    struct error err = ERROR_INIT;
    const char *port = arguments->values[OPTION_PORT];
    if (port && !parse_port(port, &service.port))
        return EXIT_USAGE;
    if (refuse_root())
        return EXIT_FAILED;
    if (service_run(&service, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILED;
    }
    return EXIT_OK;
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
