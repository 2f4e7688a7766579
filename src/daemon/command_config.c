#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/command.h"
#include "daemon/main_model.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "router/plan/plan.h"

enum { OUTPUT_MAX = 4 << 20 }; // bytes

static size_t count_lines(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

static bool consults(const struct agent_config *config)
{
    return strcmp(config->approvals_mode, "smart") == 0 ||
           strcmp(config->approvals_cron, "smart") == 0 ||
           strcmp(config->approvals_api, "smart") == 0;
}

// Names that lead nowhere, and what is kept for later: each a line, as the findings are.
static void check_plan(const struct arguments *arguments, struct buf *out, size_t *errors,
                       size_t *others)
{
    CLEANUP(settings_finish) struct settings settings = {0};
    struct router_plan *plan = NULL;
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    size_t before = out->len;
    if (settings_load(arguments, &settings, NULL) < 0)
        return;
    if (web_config_check(&settings.values.web, &err) < 0)
        buf_printf(out, "error: %s\n", err.text);
    int r = main_model_plan(&settings, &plan, out, NULL);
    // A key may come later, with the service; a URL that is none stays one.
    if (r == 0 && main_model_endpoint(&settings.values.llm, plan, &endpoint, NULL) == 0 &&
        main_model_check(&settings, &endpoint, false, &err) < 0)
        buf_printf(out, "error: %s\n", err.text);
    *errors += count_lines(span_skip(buf_span(out), before));
    before = out->len;
    if (r == 0)
        buf_append_text(out, plan->notes);
    if (r == 0 && consults(&settings.values.agent) &&
        !router_plan_own_slot(plan, SPAN_LITERAL("approval")))
        buf_append_text(out, "note: approvals: with smart the model of router.slots.approval "
                             "decides, and there is none: so a person is asked\n");
    *others += count_lines(span_skip(buf_span(out), before));
    router_plan_unref(plan);
}

static int check(const struct arguments *arguments, const struct settings *settings)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    size_t errors = config_error_count(settings->config);
    size_t others = config_finding_count(settings->config) - errors;
    config_render_findings(settings->config, &out);
    if (errors == 0)
        check_plan(arguments, &out, &errors, &others);
    page_print_raw(buf_span(&out));
    page_print_raw(span_of(settings->path ? settings->path : "no file"));
    printf(": %zu error%s, %zu other finding%s\n", errors, errors == 1 ? "" : "s", others,
           others == 1 ? "" : "s");
    return errors ? EXIT_FAILED : EXIT_OK;
}

// What the settings come to: which model is asked, and where.
static void show_model(const struct arguments *arguments, struct buf *out)
{
    CLEANUP(settings_finish) struct settings settings = {0};
    struct router_plan *plan = NULL;
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    int r = settings_load(arguments, &settings, &err);
    if (r == 0)
        r = main_model_plan(&settings, &plan, NULL, &err);
    if (r == 0)
        r = main_model_endpoint(&settings.values.llm, plan, &endpoint, &err);
    if (r < 0)
        buf_printf(out, "# model: %s\n", err.text);
    else
        buf_printf(out, "# model: %s%s%s%s%s (%s)\n", endpoint.name, endpoint.listed ? " is " : "",
                   endpoint.listed ? endpoint.model : "", *endpoint.base_url ? " at " : "",
                   endpoint.base_url, endpoint.provider);
    router_plan_unref(plan);
}

static int show(const struct arguments *arguments, const struct settings *settings)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    config_render_show(settings->config, &out);
    if (!config_error_count(settings->config))
        show_model(arguments, &out);
    page_print_raw(buf_span(&out));
    return config_error_count(settings->config) ? EXIT_FAILED : EXIT_OK;
}

static int path(const struct settings *settings)
{
    if (!settings->path) {
        log_info(
            "found no configuration file (--config, HERMES_CONFIG, %s, config.yaml in the home)",
            CONFIG_SYSTEM_PATH);
        return EXIT_OK;
    }
    page_print_raw(span_of(settings->path));
    putchar('\n');
    return EXIT_OK;
}

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "check";
    if (strcmp(word, "keys") == 0) {
        BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
        config_render_keys(&settings_schema, &out);
        page_print_raw(buf_span(&out));
        return EXIT_OK;
    }
    if (strcmp(word, "check") != 0 && strcmp(word, "show") != 0 && strcmp(word, "path") != 0)
        return error_set(err, COMMAND_MISUSED,
                         "config: \"%.64s\" is not one of check, show, keys, path", word);
    CLEANUP(settings_finish) struct settings settings = {0};
    int r = settings_inspect(arguments, &settings, err);
    if (r < 0)
        return r;
    return *word == 'c'   ? check(arguments, &settings)
           : *word == 's' ? show(arguments, &settings)
                          : path(&settings);
}

const struct command command_config = {
    .name = "config",
    .words = "[check|show|keys|path]",
    .summary = "Check and explain the configuration, which Hermes never writes",
    .help = "check  list what is wrong or unknown, with its line (the default)\n"
            "show   list every setting, its value (secrets masked) and its origin\n"
            "keys   list every key, with its default and its variable\n"
            "path   print which file is read\n",
    .takes_settings = true,
    .max_words = 1,
    .run = run,
};
