#include "daemon/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/main_model.h"

enum { PROFILE_NAME_MAX = 64 }; // bytes

#define SECTION(module)                                                                    \
    {                                                                                      \
        module##_options, &module##_option_count, offsetof(struct settings_values, module) \
    }

static const struct config_section sections[] = {
    SECTION(llm),         SECTION(router),  SECTION(agent),     SECTION(memory),
    SECTION(dispatcher),  SECTION(process), SECTION(tool),      SECTION(shell),
    SECTION(skills),      SECTION(web),     SECTION(mcp),       SECTION(telegram),
    SECTION(gateway_log), SECTION(admin),   SECTION(mcp_serve), SECTION(api),
    SECTION(scheduler),   SECTION(speech),
};

const struct config_schema settings_schema = {sections, ARRAY_LEN(sections),
                                              sizeof(struct settings_values)};

const char *settings_profile;

// A mistyped name must not become a new home, whose assistant knows nothing.
static int enter_profile(const char *root, char **ret_home, struct error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const char *name = settings_profile ? settings_profile : getenv("HERMES_PROFILE");
    if (!name || !*name) {
        *ret_home = mem_strdup(root);
        return 0;
    }
    if (name[strspn(name, letters)] || strlen(name) > PROFILE_NAME_MAX)
        return error_set(err, -EINVAL,
                         "a profile's name has at most %d letters, digits, - and _, and is not "
                         "\"%.64s\"",
                         PROFILE_NAME_MAX, name);
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/profiles/%s", root, name);
    if (access(path, F_OK) < 0)
        return error_errno(
            err, errno, "there is no profile %s: to begin one, make the directory %s", name, path);
    *ret_home = STEAL(path);
    return 0;
}

int settings_find_home(const struct arguments *arguments, char **ret_home, struct error *err)
{
    const char *home = arguments->values[OPTION_HOME];
    if (!home || !*home)
        home = getenv("HERMES_HOME");
    if (home && *home) {
        // Absolute, because tools' processes are told it too.
        CLEANUP(mem_cleanup) char *here = *home == '/' ? NULL : getcwd(NULL, 0);
        CLEANUP(mem_cleanup)
        char *root = here ? mem_printf("%s/%s", here, home) : mem_strdup(home);
        return enter_profile(root, ret_home, err);
    }
    const char *user_home = getenv("HOME");
    if (!user_home || *user_home != '/')
        return error_set(err, -ENOENT, "neither HERMES_HOME nor HOME is set: use --home DIR");
    CLEANUP(mem_cleanup) char *root = mem_printf("%s/.hermes", user_home);
    return enter_profile(root, ret_home, err);
}

static int load(const struct arguments *arguments, bool inspect, struct settings *ret_settings,
                struct error *err)
{
    struct settings settings = {0};
    int r = settings_find_home(arguments, &settings.home, err);
    struct config_search search = {
        .option_path = arguments->values[OPTION_CONFIG],
        .environment = &config_environment_process,
        .system_path = CONFIG_SYSTEM_PATH,
        .home = settings.home,
    };
    if (r == 0)
        r = config_find_file(&search, &settings.path, err);
    if (r == 0) {
        CLEANUP(mem_cleanup) char *dotenv = mem_printf("%s/.env", settings.home);
        struct config_override overrides[] = {
            {"model.default", arguments->values[OPTION_MODEL], "--model"}};
        struct config_inputs inputs = {
            .path = settings.path,
            .dotenv_path = dotenv,
            .environment = &config_environment_process,
            .overrides = overrides,
            .override_count = ARRAY_LEN(overrides),
        };
        if (inspect)
            settings.config = config_inspect(&inputs, &settings_schema);
        else
            r = config_load(&inputs, &settings_schema, &settings.values, &settings.config, err);
    }
    if (r == 0 && !inspect)
        main_model_choose(settings.config, &settings.values);
    if (r < 0)
        settings_finish(&settings);
    else
        *ret_settings = settings;
    return r;
}

int settings_load(const struct arguments *arguments, struct settings *ret_settings,
                  struct error *err)
{
    return load(arguments, false, ret_settings, err);
}

int settings_inspect(const struct arguments *arguments, struct settings *ret_settings,
                     struct error *err)
{
    return load(arguments, true, ret_settings, err);
}

void settings_finish(struct settings *settings)
{
    config_destroy(settings->config);
    free(settings->path);
    free(settings->home);
    *settings = (struct settings){0};
}

int settings_open_log(const struct settings *settings, const char *home, struct loop *loop,
                      struct gateway_log **ret_log, struct error *err)
{
    const char *secrets[SETTINGS_SECRETS_MAX];
    size_t count = config_secrets(settings->config, secrets, ARRAY_LEN(secrets));
    int r = gateway_log_open(&settings->values.gateway_log, home, secrets, count, &clock_system,
                             loop, ret_log, err);
    return r < 0 ? r : count == ARRAY_LEN(secrets) ? SETTINGS_SECRETS_LEFT_OUT : 0;
}
