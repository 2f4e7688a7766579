#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/dispatcher.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/app.h"
#include "daemon/command_mcp.h"
#include "daemon/control_client.h"
#include "daemon/mcp_bridge.h"
#include "loop/signals.h"
#include "serve/control.h"
#include "serve/mcp_face.h"

static void on_signal(void *context, int number)
{
    loop_stop(context);
}

static void on_end(void *context)
{
    loop_stop(context);
}

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

static int serve_through(const char *home, struct error *err)
{
    struct loop *loop = NULL;
    struct signals signals = {0};
    int r = loop_create(&clock_system, &loop, err);
    if (r == 0)
        r = signals_init(&signals, loop, ending, ARRAY_LEN(ending), on_signal, loop, err);
    if (r == 0)
        r = mcp_bridge_run(loop, home, err);
    signals_finish(&signals);
    loop_destroy(loop);
    return r;
}

// With the control socket open, so that a second client of this home finds the first one's hermes.
static int serve_here(const struct arguments *arguments, struct error *err)
{
    struct app app = {.home = HOME_INIT, .streaming = true};
    struct signals signals = {0};
    struct control *control = NULL;
    int r = app_start(&app, arguments, err);
    if (r < 0)
        return r;
    struct control_env env = {
        .loop = app.loop,
        .store = app.store,
        .dispatcher = app.dispatcher,
        .agent = app.agent,
        .endpoint = &app.endpoint,
        .home = app.home.path,
        .started_ms = loop_wall(app.loop),
        .up_since_ms = loop_now(app.loop),
        .router = app.router,
    };
    env.mcp_face = mcp_face_create(&env, &app.settings.values.mcp_serve);
    r = signals_init(&signals, app.loop, ending, ARRAY_LEN(ending), on_signal, app.loop, err);
    if (r == 0)
        r = control_create(&env, &control, err);
    if (r == 0)
        r = mcp_server_open_stdio(mcp_face_server(env.mcp_face), STDIN_FILENO, STDOUT_FILENO,
                                  on_end, app.loop, err);
    if (r == 0)
        loop_run(app.loop);
    dispatcher_destroy(STEAL(app.dispatcher)); // turns stay in the store
    mcp_face_destroy(STEAL(env.mcp_face));
    control_destroy(control);
    signals_finish(&signals);
    app_stop(&app);
    return r;
}

int command_mcp_serve(const struct arguments *arguments, struct error *err)
{
    enum { STATUS_MAX = 1 << 20 };
    BUF_AUTO answer = BUF_INIT(STATUS_MAX);
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/status", &answer, err);
    if (r == 0)
        return serve_through(home, err);
    return r == CONTROL_NO_OWNER ? serve_here(arguments, err) : r;
}
