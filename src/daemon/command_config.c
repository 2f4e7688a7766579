#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/command.h"
#include "daemon/settings.h"
#include "llm/endpoint.h"

enum { OUTPUT_MAX = 4 << 20 }; // bytes

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    COMMAND_OPTIONS_END,
};

static void print(const struct buf *text)
{
    fwrite(buf_text(text), 1, text->len, stdout);
}

static int check(const struct settings *settings)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    config_render_findings(settings->config, &out);
    print(&out);
    size_t errors = config_error_count(settings->config);
    printf("%s: %zu error%s, %zu finding%s\n", settings->path ? settings->path : "no file", errors,
           errors == 1 ? "" : "s", config_finding_count(settings->config),
           config_finding_count(settings->config) == 1 ? "" : "s");
    return errors ? EXIT_FAILED : EXIT_OK;
}

// What the settings come to: which model is asked, and where.
static void show_model(const struct arguments *arguments)
{
    struct settings settings = {0};
    struct endpoint endpoint;
    struct error err = ERROR_INIT;
    int r = settings_load(arguments, &settings, &err);
    if (r == 0)
        r = endpoint_choose(&settings.values.llm, &endpoint, &err);
    if (r < 0)
        printf("# model: %s\n", err.text);
    else
        printf("# model: %s%s%s%s%s (%s)\n", endpoint.name, endpoint.listed ? " is " : "",
               endpoint.listed ? endpoint.model : "", *endpoint.base_url ? " at " : "",
               endpoint.base_url, endpoint.provider);
    settings_finish(&settings);
}

static int show(const struct arguments *arguments, const struct settings *settings)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    config_render_show(settings->config, &out);
    print(&out);
    if (!config_error_count(settings->config))
        show_model(arguments);
    return config_error_count(settings->config) ? EXIT_FAILED : EXIT_OK;
}

static int keys(void)
{
    BUF_AUTO out = BUF_INIT(OUTPUT_MAX);
    config_render_keys(&settings_schema, &out);
    print(&out);
    return EXIT_OK;
}

static int path(const struct settings *settings)
{
    if (settings->path)
        puts(settings->path);
    else
        log_info("there is no configuration file; --config, HERMES_CONFIG and %s were looked at",
                 CONFIG_SYSTEM_PATH);
    return EXIT_OK;
}

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    const char *word = arguments->word_count ? arguments->words[0] : "check";
    if (strcmp(word, "keys") == 0)
        return keys();
    bool known =
        strcmp(word, "check") == 0 || strcmp(word, "show") == 0 || strcmp(word, "path") == 0;
    if (!known) {
        log_error("config: \"%.64s\" is not one of check, show, keys, path", word);
        return EXIT_USAGE;
    }
    struct settings settings = {0};
    struct error err = ERROR_INIT;
    if (settings_inspect(arguments, &settings, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILED;
    }
    int status = *word == 'c'   ? check(&settings)
                 : *word == 's' ? show(arguments, &settings)
                                : path(&settings);
    settings_finish(&settings);
    return status;
}

const struct command command_config = {
    .name = "config",
    .words = "[check|show|keys|path]",
    .summary = "Check and explain the configuration, which Hermes never writes",
    .help = "check  everything that is wrong or unknown, with its line (the default)\n"
            "show   every setting, its value (secrets masked) and where it comes from\n"
            "keys   every key there is, with its default and its variable\n"
            "path   which file is read\n",
    .options = options,
    .max_words = 1,
    .run = run,
};
