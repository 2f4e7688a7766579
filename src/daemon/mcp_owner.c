#include "daemon/mcp_owner.h"

#include "base/mem.h"
#include "codec/url.h"
#include "daemon/control_client.h"
#include "mcp/servers.h"
#include "serve/control.h"
#include "store/store.h"

enum {
    SETTLE_MS = 90 * 1000,      // for servers to be connected, or not
    ANSWER_MS = 11 * 60 * 1000, // for the answer to a call: a little more than it may take
    LOOK_MS = 50,
};

struct here { // an answer of this process
    struct buf *body;
    unsigned status;
};

static void on_answer(void *context, unsigned status, struct span body)
{
    struct here *here = context;
    here->status = status;
    buf_append_span(here->body, body);
}

static int begin_here(struct mcp_owner *owner, struct error *err)
{
    struct app *app = &owner->app;
    *app = (struct app){.home = HOME_INIT, .streaming = true};
    int r = app_start(app, owner->arguments, err);
    if (r < 0)
        return r;
    owner->here = true;
    store_wait(app->store);
    store_dispatch(app->store);
    int64_t until_ms = loop_now(app->loop) + SETTLE_MS;
    while (!owner->connects && !mcp_servers_settled(app->mcp, owner->server) &&
           loop_now(app->loop) < until_ms)
        loop_run_once(app->loop, LOOK_MS);
    return 0;
}

static int ask_here(struct mcp_owner *owner, struct span body, const char *path,
                    struct buf *ret_body, struct error *err)
{
    struct app *app = &owner->app;
    struct here here = {ret_body, 0};
    struct control_env env = {
        .loop = app->loop, .store = app->store, .mcp_servers = app->mcp, .toolbox = app->toolbox};
    control_answer(&env, span_of(body.len ? "POST" : "GET"), span_of(path), body, on_answer, &here);
    while (!here.status)
        loop_run_once(app->loop, LOOK_MS);
    return here.status == 200 ? 0 : control_client_refusal(here.status, buf_span(ret_body), err);
}

int mcp_owner_ask(struct mcp_owner *owner, struct span body, struct buf *ret_body,
                  struct json *values, struct error *err)
{
    CLEANUP(mem_cleanup) char *home = NULL;
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    buf_append_text(&path, owner->server ? "/mcp-servers/" : "/mcp-servers");
    if (owner->server)
        url_encode(span_of(owner->server), &path);
    int r = owner->here ? CONTROL_NO_OWNER : settings_find_home(owner->arguments, &home, err);
    if (r == 0)
        r = body.len ? control_client_post(home, buf_text(&path), body, ANSWER_MS, ret_body, err)
                     : control_client_ask(home, "GET", buf_text(&path), ret_body, err);
    if (r == CONTROL_NO_OWNER && !owner->here)
        r = begin_here(owner, err);
    if (owner->here)
        r = ask_here(owner, body, buf_text(&path), ret_body, err);
    return r < 0 ? r : json_parse(values, buf_span(ret_body), err);
}

void mcp_owner_finish(struct mcp_owner *owner)
{
    if (owner->here)
        app_stop(&owner->app);
    owner->here = false;
}
