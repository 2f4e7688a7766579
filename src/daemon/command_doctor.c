#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/command.h"
#include "daemon/main_model.h"
#include "daemon/probe.h"
#include "daemon/probe_sandbox.h"
#include "daemon/settings.h"
#include "llm/model_list.h"
#include "router/plan/plan.h"

static bool probe_configuration(const struct arguments *arguments, struct settings *settings,
                                struct report *report)
{
    struct error err = ERROR_INIT;
    if (settings_load(arguments, settings, &err) < 0) {
        report_line(report, REPORT_FAILED, "configuration", "%s; see hermes config check",
                    err.text);
        return false;
    }
    size_t findings = config_finding_count(settings->config);
    report_line(report, findings ? REPORT_WARNING : REPORT_OK, "configuration", "%s%s",
                settings->path ? settings->path : "no file; defaults and the environment",
                findings ? "; see hermes config check" : "");
    return true;
}

static void report_endpoint(const struct endpoint *endpoint, struct report *report)
{
    report_line(report, REPORT_OK, "model", "%s%s%s at %s (%s)", endpoint->name,
                endpoint->listed ? ": " : "", endpoint->listed ? endpoint->model : "",
                endpoint->base_url, *endpoint->api_key ? "with a key" : "without a key");
}

// The other names of model_list, which /model may take. They are not asked.
static void report_models(const struct llm_config *llm, const char *chosen, struct report *report)
{
    size_t count = model_list_count(&llm->model_list);
    for (size_t i = 0; i < count; i++) {
        const char *name = model_list_at(&llm->model_list, i).name;
        struct endpoint endpoint;
        struct error err = ERROR_INIT;
        if (!name || strcmp(name, chosen) == 0 || model_list_is_repeated(&llm->model_list, i))
            continue;
        if (endpoint_choose_model(llm, name, &endpoint, &err) < 0)
            report_line(report, REPORT_WARNING, "model", "%s", err.text);
        else
            report_endpoint(&endpoint, report);
    }
}

static void probe_model(const struct settings *settings, struct report *report)
{
    struct endpoint endpoint;
    struct router_plan *plan = NULL;
    struct error err = ERROR_INIT;
    int r = main_model_plan(settings, &plan, NULL, &err);
    if (r == 0)
        r = main_model_endpoint(&settings->values.llm, plan, &endpoint, &err);
    if (plan && *plan->notes)
        report_line(report, REPORT_WARNING, "router", "see hermes config check");
    router_plan_unref(plan);
    if (r < 0) {
        report_line(report, REPORT_FAILED, "model", "%s", err.text);
        return;
    }
    if (!endpoint.format) {
        report_line(report, endpoint.chosen ? REPORT_OK : REPORT_WARNING, "model",
                    "the built-in offline model%s",
                    endpoint.chosen ? ""
                                    : "; for a real one set OPENROUTER_API_KEY (or OPENAI_BASE_URL "
                                      "and OPENAI_API_KEY) and HERMES_MODEL");
        return;
    }
    report_endpoint(&endpoint, report);
    report_models(&settings->values.llm, endpoint.name, report);
    probe_upstream(&endpoint, &settings->values.llm,
                   config_variable(settings->config, "SSL_CERT_FILE"), report);
}

static int run(const struct arguments *arguments, struct error *err)
{
    CLEANUP(settings_finish) struct settings settings = {0};
    struct report report = {0};
    if (probe_configuration(arguments, &settings, &report)) {
        probe_home(settings.home, &report);
        probe_model(&settings, &report);
        probe_telegram(&settings.values.telegram, config_variable(settings.config, "SSL_CERT_FILE"),
                       &report);
        probe_mcp(settings.home, &settings.values.mcp, &report);
        if (settings.home)
            probe_cron(settings.home, &report);
    }
    probe_kernel(&report);
    probe_sandbox(settings.config ? &settings.values.shell : NULL, &report);
    probe_clock(&report);
    printf("\n%u failed, %u to look at\n", report.failures, report.warnings);
    return report.failures ? EXIT_FAILED : EXIT_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "Check this machine, the configuration, the model and Telegram, and say what to do",
    .takes_settings = true,
    .run = run,
};
