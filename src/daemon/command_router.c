#include "daemon/command.h"
#include "daemon/service.h"

/*
 * `hermes router`: the router for other programs, without the agent. What a LiteLLM proxy is
 * started with starts it, too.
 */
enum { OPTION_HOST = OPTION_FIRST_OWN, OPTION_PORT };

static int run(const struct arguments *arguments, struct error *err)
{
    struct service_options service = {
        .arguments = arguments,
        .routes_only = true,
        .host = arguments->values[OPTION_HOST],
        .port = arguments->values[OPTION_PORT],
    };
    return service_run(&service, err);
}

const struct command command_router = {
    .name = "router",
    .summary = "Run the model router alone, for other programs",
    .help = "An OpenAI-compatible server in front of the models of a LiteLLM configuration\n"
            "(model_list, router_settings, litellm_settings, general_settings), with its\n"
            "fallbacks, budgets and limits. `hermes run` has it built in.\n"
            "\n"
            "  LITELLM_MASTER_KEY=sk-... hermes router --config config.yaml --port 4000\n",
    .takes_settings = true,
    COMMAND_OPTIONS(
        {"host", 'H', "ADDRESS", "numeric address to listen on (else router.host, 127.0.0.1)"},
        {"port", 'p', "N",
         "port to listen on (else PORT, router.port, 4000); 0 takes any free one"}),
    .run = run,
};
