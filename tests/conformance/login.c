#include "login.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "tools/web_call.h"

static void on_page_answer(void *context, const struct web_answer *answer, const struct error *err)
{
    struct login *login = context;
    login->page = NULL;
    if (err->code < 0)
        login->err = *err;
    else if (!answer->location)
        error_set(&login->err, -EBADMSG, "the page leads nowhere: status %d", answer->status);
    else
        oauth_redirected(login->oauth, span_of(answer->location), &login->err);
    if (login->err.code < 0)
        loop_stop(login->loop);
}

static void on_page(void *context, const char *url)
{
    struct login *login = context;
    struct web_call_spec spec = {
        .http = login->http, .loop = login->loop, .method = "GET", .url = url, .body_max = 1024};
    if (web_call_start(&spec, on_page_answer, login, &login->page, &login->err) < 0)
        loop_stop(login->loop);
}

static void on_done(void *context, const struct oauth_grant *grant, const struct error *err)
{
    struct login *login = context;
    login->oauth = NULL;
    if (err) {
        login->err = *err;
    } else {
        oauth_grant_finish(&login->grant);
        oauth_grant_copy(grant, &login->grant);
    }
    loop_stop(login->loop);
}

int login(struct login *login, const char *url, struct span challenge, struct error *err)
{
    static const struct oauth_events events = {on_page, on_done};
    CLEANUP(mem_cleanup)
    char *client_id = json_strdup(json_get(login->context, "client_id"), OAUTH_TOKEN_MAX);
    CLEANUP(mem_cleanup)
    char *client_secret = json_strdup(json_get(login->context, "client_secret"), OAUTH_TOKEN_MAX);
    struct oauth_spec spec = {
        .loop = login->loop,
        .http = login->http,
        .server_url = url,
        .redirect_uri = "http://localhost:3000/callback",
        .client_id = client_id,
        .client_secret = client_secret,
        .client_document = "https://conformance-test.local/client-metadata.json",
    };
    if (++login->tries > LOGIN_TRIES_MAX)
        return error_set(err, -EACCES, "it was let in %d times, and refused again",
                         LOGIN_TRIES_MAX);
    login->err = (struct error)ERROR_INIT;
    int r = oauth_authorize(&spec, challenge, &login->grant, &events, login, &login->oauth, err);
    if (r < 0)
        return r;
    loop_run(login->loop);
    web_call_cancel(STEAL(login->page));
    oauth_cancel(STEAL(login->oauth));
    if (login->err.code < 0)
        return error_set(err, login->err.code, "%s", login->err.text);
    free((char *)login->headers[0]);
    login->headers[0] = mem_printf("Authorization: Bearer %s", login->grant.access_token);
    return 0;
}

void login_finish(struct login *login)
{
    oauth_grant_finish(&login->grant);
    free((char *)login->headers[0]);
}
