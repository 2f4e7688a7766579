#include "daemon/app.h"

#include <string.h>

#include "agent/agent.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/ca_roots.h"
#include "net/http_client.h"
#include "sandbox/worker.h"
#include "store/store.h"
#include "tools/toolbox.h"

static void on_store_event(void *context, int fd, unsigned events)
{
    (void)fd, (void)events;
    struct app *app = context;
    store_dispatch(app->store);
}

static void on_store_state(void *context, enum store_state state)
{
    struct app *app = context;
    if (state == STORE_CHECKING)
        log_info("the last stop was not a clean one: checking the database; messages are taken");
    if (state == STORE_READY && *store_note(app->store))
        log_warning("%s", store_note(app->store));
}

static int open_store(struct app *app, struct error *err)
{
    struct store_options options = {.on_state = on_store_state, .context = app};
    int r = store_open(app->home.path, &options, &app->store, err);
    if (r == 0)
        app->store_watch =
            loop_watch(app->loop, store_event_fd(app->store), LOOP_READ, on_store_event, app);
    return r;
}

// A typo in a key is no reason not to start, but it is one to speak.
static void tell_typos(const struct config *config)
{
    for (size_t i = 0; i < config_finding_count(config); i++) {
        const struct config_finding *finding = config_finding_at(config, i);
        if (finding->severity == CONFIG_WARNING)
            log_warning("%s: %s", finding->where, finding->text);
    }
}

// Puts the place of the setting before a complaint about the base URL.
static int place_of_base_url(const struct app *app, struct error *err)
{
    static const char *const keys[] = {"model.base_url", "providers.openai.base_url",
                                       "providers.openrouter.base_url"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct config_setting *setting = config_setting(app->settings.config, keys[i]);
        if (setting && setting->text && strcmp(setting->text, app->endpoint.base_url) == 0)
            return error_wrap(err, "%s: %s", setting->where, keys[i]);
    }
    return err->code;
}

// Without an upstream no TLS is initialised: the offline model starts faster and smaller.
static int open_model(struct app *app, struct error *err)
{
    const struct llm_config *llm = &app->settings.values.llm;
    int r = endpoint_choose(llm, &app->endpoint, err);
    if (r == 0 && app->endpoint.kind == ENDPOINT_OPENAI) {
        r = trust_create(config_variable(app->settings.config, "SSL_CERT_FILE"), &app->trust, err);
        if (r == 0)
            r = http_client_create(app->loop, app->trust, &app->http, err);
    }
    if (r < 0)
        return r;
    r = endpoint_open(&app->endpoint, llm, app->loop, app->http, &app->provider, err);
    return r < 0 ? place_of_base_url(app, err) : 0;
}

static void open_agent(struct app *app)
{
    app->workers = workers_create(app->loop, app->home.workspace);
    struct tool_env tools = {app->store, app->workers, loop_clock(app->loop)};
    app->toolbox = toolbox_create(&tools);
    struct agent_env env = {
        .clock = loop_clock(app->loop),
        .store = app->store,
        .provider = app->provider,
        .toolbox = app->toolbox,
        .config = &app->settings.values.agent,
        .home = app->home.path,
        .model = app->endpoint.model,
        .max_tokens = app->settings.values.llm.max_tokens,
        .stream = app->streaming && app->settings.values.llm.streaming,
    };
    app->agent = agent_create(&env);
}

int app_start(struct app *app, const struct arguments *arguments, struct error *err)
{
    *app = (struct app){.home = HOME_INIT, .streaming = app->streaming};
    int r = settings_load(arguments, &app->settings, err);
    if (r == 0)
        tell_typos(app->settings.config);
    if (r == 0)
        r = loop_create(&clock_system, &app->loop, err);
    if (r == 0)
        r = open_model(app, err); // before the home is touched: a missing key leaves nothing behind
    if (r == 0)
        r = home_open(app->settings.home, &app->home, err);
    if (r == 0)
        r = open_store(app, err);
    if (r < 0)
        app_stop(app);
    else
        open_agent(app);
    return r;
}

void app_stop(struct app *app)
{
    agent_destroy(app->agent);
    toolbox_destroy(app->toolbox);
    workers_destroy(app->workers);
    chat_provider_destroy(app->provider);
    http_client_destroy(app->http);
    trust_destroy(app->trust);
    if (app->store)
        loop_unwatch(app->loop, app->store_watch);
    store_close(app->store);
    home_close(&app->home);
    loop_destroy(app->loop);
    settings_finish(&app->settings);
    *app = (struct app){.home = HOME_INIT};
}
